"""Reads pages of counters (pool/stats/stats.h) from a folder, independently of the command's own reader: the tests'
oracle."""
import os
import re
import struct

SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "pool", "stats", "stats.c")


def names(array):
    """The strings of an array of names in the source, in order."""
    with open(SOURCE) as source:
        text = source.read()
    return re.findall(r'"([A-Za-z0-9_]+)"', re.search(array + r"\[.*?\] = \{(.*?)\};", text, re.S).group(1))


COUNTERS, ERRORS, REFUSALS = (names("stats_%s_names" % kind) for kind in ("counter", "error", "refusal"))
N_DIAL_TIMES = 20
HEADER, MODULE, CALLSITE = 192, 192, 168
DESTINATION = 48 + 8 * (len(COUNTERS) + len(ERRORS) + len(REFUSALS) + N_DIAL_TIMES + 1)


def layout(data):
    """How many destinations, call sites and modules there can be, and at which offsets they begin."""
    numbers = struct.unpack_from("<3I", data, 16)
    at = HEADER + 4 * (sum(numbers) + sum(numbers) % 2)
    return numbers, (at, at + numbers[0] * DESTINATION, at + numbers[0] * DESTINATION + numbers[1] * CALLSITE)


def read_page(data):
    """{(address, port): {name: number}} of one file's bytes; {} if it has no owner."""
    if data[:8] != b"HOLDSTAT":
        return {}
    (n_destinations, _, _), (at, _, _) = layout(data)
    hashes = struct.unpack_from("<%dI" % n_destinations, data, HEADER)
    found = {}
    for index in range(n_destinations):
        if hashes[index] > 1:
            fields = struct.unpack_from("<Q16sIH2s2q%dQ" % ((DESTINATION - 48) // 8), data, at + index * DESTINATION)
            found[fields[1][:4] if fields[3] == 2 else fields[1], int.from_bytes(fields[4], "big")] = dict(
                zip(["active", "idle", *COUNTERS, *ERRORS, *REFUSALS], fields[5:]))
    return found


def read_callsites(path):
    """[(connects, [(module, offset) innermost first])] of one file."""
    with open(path, "rb") as file:
        data = file.read()
    (n_destinations, n_callsites, _), (_, at, modules) = layout(data)
    hashes = struct.unpack_from("<%dI" % n_callsites, data, HEADER + 4 * n_destinations)
    found = []
    for index in range(n_callsites):
        if hashes[index] > 1:
            _, n_frames, connects, _, *rest = struct.unpack_from("<2I2Q16Q16s", data, at + index * CALLSITE)
            names = [data[modules + module * MODULE + 8:modules + (module + 1) * MODULE].split(b"\0")[0].decode() if module != 255 else "" for module in rest[16]]
            found.append((connects, list(zip(names, rest[:16]))[:n_frames]))
    return found


def read_folder(folder, port=None):
    """All numbers of a folder's files added up, of one port or all."""
    sums = {}
    for name in os.listdir(folder) if os.path.isdir(folder) else []:
        path = os.path.join(folder, name)
        if not os.path.isfile(path):
            continue
        with open(path, "rb") as file:
            data = file.read()
        if name != "total" and struct.unpack_from("<I", data, 40)[0] == 0:
            continue
        for (_, its_port), numbers in read_page(data).items():
            if port in (None, its_port):
                for key, number in numbers.items():
                    sums[key] = sums.get(key, 0) + number
    return sums
