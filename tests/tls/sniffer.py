#!/usr/bin/env python3
"""Watches loopback for ClientHellos: no client random and no key share may be seen twice, whichever programs make them.

As a program: prints `ready`, sniffs until its standard input ends, then prints a JSON object. Needs root. A stream is
put together by its sequence numbers; a stream's second ClientHello, after a HelloRetryRequest, has its random again.
The kernel passes on only the packets that open a stream or begin with a record of handshake: other suites make far more
packets than a sniffer could read. A ClientHello over several packets, which loopback has no reason for, is `cut`.
"""
import ctypes
import json
import os
import select
import socket
import struct
import subprocess
import sys

ETH_P_IP, ETH_P_IPV6, PACKET_OUTGOING = 0x0800, 0x86dd, 4
SOL_PACKET, PACKET_STATISTICS, SO_RCVBUFFORCE, SO_ATTACH_FILTER = 263, 6, 33, 26
HELLOS_MAX = 40000  # bytes of a stream that are looked at
KEY_SHARE = 51


# Of classic BPF (linux/filter.h): (code, jump if true, jump if not, operand); jumps count from the next instruction.
LOAD_BYTE, LOAD_HALF, LOAD_BYTE_AT_X, LOAD_X, LOAD_X_IHL = 0x30, 0x28, 0x50, 0x01, 0xb1
JUMP, EQUAL, ANY_BIT, AND, SHIFT_RIGHT, ADD_X, COPY_TO_X, RETURN = 0x05, 0x15, 0x45, 0x54, 0x74, 0x0c, 0x07, 0x06
PACKET_TYPE, PROTOCOL = 0xfffff004, 0xfffff000  # SKF_AD_OFF, and SKF_AD_PKTTYPE, SKF_AD_PROTOCOL
SNAP = 20100
FILTER = (
    (LOAD_BYTE, 0, 0, PACKET_TYPE),  # loopback has each packet twice: as one that goes out, and as one that comes in
    (EQUAL, 20, 0, PACKET_OUTGOING),
    (LOAD_HALF, 0, 0, PROTOCOL),
    (EQUAL, 4, 0, ETH_P_IPV6),
    (EQUAL, 0, 17, ETH_P_IP),
    (LOAD_BYTE, 0, 0, 9),
    (LOAD_X_IHL, 0, 0, 0),
    (JUMP, 0, 0, 2),
    (LOAD_BYTE, 0, 0, 6),
    (LOAD_X, 0, 0, 40),
    (EQUAL, 0, 11, socket.IPPROTO_TCP),
    (LOAD_BYTE_AT_X, 0, 0, 13),
    (ANY_BIT, 8, 0, 2),  # SYN
    (LOAD_BYTE_AT_X, 0, 0, 12),  # the TCP header's length
    (AND, 0, 0, 0xf0),
    (SHIFT_RIGHT, 0, 0, 2),
    (ADD_X, 0, 0, 0),
    (COPY_TO_X, 0, 0, 0),
    (LOAD_BYTE_AT_X, 0, 0, 0),  # a packet that ends before is dropped
    (EQUAL, 1, 0, 22),
    (RETURN, 0, 0, 0),
    (RETURN, 0, 0, SNAP),
    (RETURN, 0, 0, 0),
)


class Stream:
    """What a client has sent at the beginning of a connection."""

    def __init__(self, first):
        self.first, self.pieces, self.done = first, {}, False
        self.randoms, self.shares, self.has_handshake = set(), set(), False

    def add(self, sequence, payload):
        """The bytes from the beginning on, as far as they are there."""
        offset = (sequence - self.first) & 0xffffffff
        if offset > HELLOS_MAX:
            return b""
        if len(payload) > len(self.pieces.get(offset, b"")):
            self.pieces[offset] = payload
        text = b""
        for at in sorted(self.pieces):
            if at > len(text):
                break
            text = text[:at] + self.pieces[at] + text[at + len(self.pieces[at]):]
        return text


def read_hello(body):
    """(random, key shares) of a ClientHello's body (RFC 8446 4.1.2)."""
    random, at = body[2:34], 34
    at += 1 + body[at]
    at += 2 + int.from_bytes(body[at:at + 2], "big")
    at += 1 + body[at]
    end, shares = at + 2 + int.from_bytes(body[at:at + 2], "big"), []
    at += 2
    while at + 4 <= min(end, len(body)):
        kind, length = struct.unpack("!HH", body[at:at + 4])
        content, at = body[at + 4:at + 4 + length], at + 4 + length
        inner = 2
        while kind == KEY_SHARE and inner + 4 <= len(content):
            _, length = struct.unpack("!HH", content[inner:inner + 4])
            shares.append(content[inner:inner + 4 + length])
            inner += 4 + length
    return random, shares


def find_hellos(text):
    """The ClientHellos in what a client has sent, and whether there may be more behind."""
    found, at, handshake = [], 0, b""
    while at + 5 <= len(text):
        kind, length = text[at], int.from_bytes(text[at + 3:at + 5], "big")
        if kind not in (20, 22) or text[at + 1] != 3:
            return found, False
        if at + 5 + length > len(text):
            break
        if kind == 22:
            handshake += text[at + 5:at + 5 + length]
        at += 5 + length
    while len(handshake) >= 4:
        length = int.from_bytes(handshake[1:4], "big")
        if handshake[0] != 1:
            return found, False
        if len(handshake) < 4 + length:
            break
        found.append(read_hello(handshake[4:4 + length]))
        handshake = handshake[4 + length:]
    return found, True


class Watch:
    def __init__(self):
        self.streams, self.randoms, self.shares, self.repeated = {}, {}, {}, []
        self.n_hellos = 0

    def packet(self, packet):
        if packet[0] >> 4 == 4:
            if packet[9] != socket.IPPROTO_TCP:
                return
            addresses, tcp = packet[12:20], packet[(packet[0] & 15) * 4:struct.unpack("!H", packet[2:4])[0] or len(packet)]
        else:
            if packet[6] != socket.IPPROTO_TCP:
                return
            addresses, tcp = packet[8:40], packet[40:]
        source, destination, sequence = struct.unpack("!HHI", tcp[:8])
        key, payload = (addresses, source, destination), tcp[(tcp[12] >> 4) * 4:]
        if tcp[13] & 2 and not tcp[13] & 16:
            self.streams[key] = Stream((sequence + 1) & 0xffffffff)
            sequence += 1  # bytes may come with the SYN (TCP_FASTOPEN)
        stream = self.streams.get(key)
        if stream and payload and not stream.done:
            self.read(key, stream, stream.add(sequence & 0xffffffff, payload))

    def read(self, key, stream, text):
        hellos, may_go_on = find_hellos(text)
        stream.has_handshake, stream.done = text[:1] == b"\x16", len(text) >= 5 and not may_go_on
        for random, shares in hellos:
            if random not in stream.randoms:
                self.n_hellos += 1
                self.remember(self.randoms, random, key, "random")
                stream.randoms.add(random)
            for share in shares:
                if share not in stream.shares:
                    self.remember(self.shares, share, key, "key share")
                    stream.shares.add(share)
        if stream.done:
            stream.pieces.clear()

    def remember(self, seen, value, key, what):
        name = "%s, port %d to %d" % (what, key[1], key[2])
        if value in seen:
            self.repeated.append("%s %s: %s, then %s" % (what, value.hex()[:40], seen[value], name))
        seen.setdefault(value, name)


def main():
    sniffer = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
    sniffer.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 128 << 20)
    instructions = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *instruction) for instruction in FILTER))
    sniffer.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HL", len(FILTER), ctypes.addressof(instructions)))
    sniffer.bind(("lo", 3))
    watch, buffer = Watch(), bytearray(SNAP)
    view = memoryview(buffer)
    print("ready", flush=True)
    while True:
        readable = select.select([sniffer, 0], [], [])[0]
        if not readable or (0 in readable and sniffer not in readable and not os.read(0, 1)):
            break
        if sniffer in readable:
            watch.packet(bytes(view[:sniffer.recv_into(buffer)]))
    drops = struct.unpack("II", sniffer.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))[1]
    cut = sum(stream.has_handshake and not stream.randoms for stream in watch.streams.values())
    print(json.dumps({"hellos": watch.n_hellos, "cut": cut, "key_shares": len(watch.shares), "repeated": watch.repeated, "dropped": drops}))


class Sniffer:
    """The program, alive inside a with block; `seen` is its verdict."""

    def __enter__(self):
        self.process = subprocess.Popen([sys.executable, os.path.abspath(__file__)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.process.stdout.readline()
        return self

    def __exit__(self, *_):
        self.seen = json.loads(self.process.communicate(timeout=60)[0])


def is_allowed():
    return os.geteuid() == 0 and hasattr(socket, "AF_PACKET")


if __name__ == "__main__":
    main()
