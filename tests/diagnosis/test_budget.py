"""The number of ports, their owners, and the unusable ones."""
import errno
import json
import os
import re
import socket
import subprocess
import time

import network
from doctor import CRITICAL, OK, WARNING, doctor, doctor_text, in_network, narrow, verdict


def budget():
    narrow()
    sink = network.Sink()
    results = []
    status, report = doctor()
    results.append(verdict("nothing in use", OK, "healthy", status, report, report["budget"]["usable_ports"] == 180 and
                           report["budget"]["reserved_ports"] == 20 and report["budget"]["range_ports"] == 200))
    network.waste(sink.address, 100)
    status, report = doctor()
    results.append(verdict("100 of 180", OK, "healthy", status, report, report["tuples"][0]["used_ports"] == 100 and
                           report["tuples"][0]["time_wait"] == 100 and report["tuples"][0]["is_past_scan_cliff"]))
    network.waste(sink.address, 50)
    status, report = doctor()
    results.append(verdict("150 of 180", WARNING, "local_ports", status, report, report["tuples"][0]["used_ratio"] == 0.833))
    made = network.waste(sink.address, 100)
    status, report = doctor()
    full = report["tuples"][0]
    results.append(verdict("exhausted", CRITICAL, "local_ports", status, report, made == 30 and full["usable_ports"] == 180 and
                           full["used_ports"] == 180 and full["destination"] == "10.77.0.2:8080" and full["source"] == "10.77.0.1" and
                           full["exhaustion_seconds"] == 0 and full["unattributed_connections"] == 180))
    commands = [fix["command"] or "" for fix in report["fixes"]]
    results.append(["fixes begin with reuse and end with the emergency", commands[0].startswith("holdline run") and
                    commands[-1].startswith("ss -K") and any("ip_local_port_range" in command for command in commands) and
                    any("tcp_tw_reuse=1" in command for command in commands), str(commands)])
    status, text = doctor_text()
    results.append(["in words", status == CRITICAL and re.match(r"CRITICAL \(local_ports\): no port is left from 10.77.0.1 to 10.77.0.2:8080", text)
                    is not None and "EADDRNOTAVAIL" in text and max(map(len, text.splitlines())) <= 100, text])
    emergency = subprocess.run(commands[-1], shell=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    made = network.waste(sink.address, 1)
    results.append(["the emergency command frees ports", made == 1, emergency.stderr.decode()])
    return results


def listeners():
    """A port that a socket listens on, or is bound to, is lost for all destinations."""
    narrow(reserved="")
    sink = network.Sink()
    listening = [socket.create_server(("127.0.0.1", 40010 + i)) for i in range(30)]
    bound = socket.socket()
    bound.bind(("10.77.0.3", 40100))
    status, report = doctor()
    holders = report["budget"]["bound_by"]
    results = [verdict("31 ports held", OK, "healthy", status, report, report["budget"]["bound_ports"] == 31 and
                       report["budget"]["usable_ports"] == 169 and len(holders) == 31 and
                       all(holder["pid"] == os.getpid() for holder in holders) and [h["port"] for h in holders if not h["listens"]] == [40100])]
    made = network.waste(sink.address, 300)
    status, report = doctor()
    results.append(verdict("the kernel agrees", CRITICAL, "local_ports", status, report, made == 169))
    del listening, bound
    return results


def many_sockets():
    """Walking through many sockets is expensive: doctor looks for sockets that are only bound when they can change the
    verdict."""
    network.set_ports(20000, 59999)
    sink = network.Sink()
    bound = socket.socket()
    bound.bind(("10.77.0.3", 30500))
    network.waste(sink.address, 10100)
    status, report = doctor()
    results = [verdict("with ports to spare", OK, "healthy", status, report, report["tuples"][0]["time_wait"] == 10100 and
                       report["budget"]["bound_ports"] == 0)]
    fixed = network.dial(sink.address, ("10.77.0.1", 5000))
    status, report = doctor()
    results.append(verdict("with a suspicion", WARNING, "fixed_source_port", status, report, report["budget"]["bound_ports"] == 1 and
                           report["budget"]["bound_by"][0]["pid"] == os.getpid()))
    del bound, fixed
    return results


def several_destinations():
    """Each destination has all ports; the worst decides. IPv6, and IPv4 in IPv6 sockets."""
    narrow()
    sinks = [network.Sink(port=8081), network.Sink("::1", 8082, socket.AF_INET6)]
    held = network.hold(sinks[0].address, 100)
    held += [network.dial(sinks[1].address) for _ in range(150)]
    held += [network.dial(("::ffff:10.77.0.2", 8081)) for _ in range(20)]
    status, report = doctor()
    counts = {(item["source"], item["destination"]): item["used_ports"] for item in report["tuples"]}
    results = [verdict("three tuples", WARNING, "local_ports", status, report, report["tuples"][0]["destination"] == "[::1]:8082"),
               ["counted apart", counts == {("10.77.0.1", "10.77.0.2:8081"): 100, ("::1", "[::1]:8082"): 150,
                                            ("10.77.0.2", "10.77.0.2:8081"): 20}, str(counts)]]
    del held
    return results


def bound_first():
    """bind() to port 0 takes a port from all other destinations."""
    narrow()
    sinks = [network.Sink(port=8081 + i) for i in range(3)]
    held, error = [], None
    try:
        for i in range(300):
            held.append(network.dial(sinks[i % 3].address, ("10.77.0.1", 0)))
    except OSError as problem:
        error = problem.errno
    status, report = doctor()
    results = [verdict("the ports of a source are bound", CRITICAL, "bind_port", status, report, len(held) == 180 and error == errno.EADDRINUSE),
               ["the remedy", "IP_BIND_ADDRESS_NO_PORT" in report["fixes"][0]["what"], json.dumps(report["fixes"])]]
    # connect() chooses ports for each destination separately: the same number is no trouble.
    for connection in held:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, bytes([1, 0, 0, 0, 0, 0, 0, 0]))
        connection.close()
    held = [connection for sink in sinks for connection in network.hold(sink.address, 100)]
    status, report = doctor()
    results.append(verdict("300 connections from 180 ports", OK, "healthy", status, report, len(held) == 300))
    return results


def fixed_port():
    narrow()
    sink = network.Sink()
    reuse = (socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    first = network.dial(sink.address, ("10.77.0.1", 5000), reuse)
    status, report = doctor()
    results = [verdict("a connection from a port of the program's choice", WARNING, "fixed_source_port", status, report,
                       report["fixed_source_ports"][0]["source_port"] == 5000 and report["fixed_source_ports"][0]["pid"] == os.getpid())]
    second = socket.socket()
    second.setsockopt(*reuse)
    second.bind(("10.77.0.1", 5000))
    error = second.connect_ex(sink.address)
    status, report = doctor()
    results.append(verdict("and again", CRITICAL, "fixed_source_port", status, report, error == errno.EADDRNOTAVAIL and
                           report["fixed_source_ports"][0]["wanted_by_another"]))
    second.close()
    first.shutdown(socket.SHUT_WR)
    first.recv(1)
    first.close()
    third = socket.socket()
    try:
        third.bind(("10.77.0.1", 5000))
        error = 0
    except OSError as problem:
        error = problem.errno
    status, report = doctor()
    results.append(verdict("in TIME_WAIT", WARNING, "fixed_source_port", status, report, error == errno.EADDRINUSE and
                           report["fixed_source_ports"][0]["time_wait"]))
    third.setsockopt(*reuse)
    third.bind(("10.77.0.1", 5000))
    error = third.connect_ex(sink.address)
    results.append(["SO_REUSEADDR, the remedy for that", error == 0 and "SO_REUSEADDR" in json.dumps(report["fixes"]), str(error)])
    return results


def servers():
    """A server's connections take no ephemeral port of its own, also in the ephemeral range, or if its listener is gone."""
    network.set_ports(40000, 49999)
    results = []
    for port in 8080, 41000:
        listener, held = socket.create_server(("10.77.0.2", port)), []
        for _ in range(50):
            held += [network.dial(("10.77.0.2", port)), listener.accept()[0]]
        for state in "listening", "its listener gone":
            status, report = doctor()
            tuples = [(item["destination"], item["used_ports"]) for item in report["tuples"]]
            results.append(verdict("port %d, %s: the clients' end alone" % (port, state), OK, "healthy", status, report,
                                   tuples == [("10.77.0.2:%d" % port, 50)] and not report["fixed_source_ports"]))
            listener.close()
        for client, served in zip(held[::2], held[1::2]):
            served.close()
            client.recv(1)
            client.close()
        status, report = doctor()
        results.append(verdict("port %d, closed by the server first" % port, OK, "healthy", status, report, not report["tuples"]))
    return results


def reuse_on_loopback():
    """tcp_tw_reuse=2, the default: TIME_WAITs are many, but no end."""
    network.set_ports(40000, 40199, "40000-40019", tcp_tw_reuse=2)
    sink = network.Sink("127.0.0.1")
    for _ in range(200):
        try:
            network.dial(sink.address).close()
        except OSError:
            break
    time.sleep(1.3)
    status, report = doctor()
    full = report["tuples"][0]
    good = full["used_ports"] == 180 and full["reusable_time_wait"] == 180 and full["exhaustion_seconds"] is None
    results = [verdict("full of TIME_WAITs that are reusable", WARNING, "local_ports", status, report, good)]
    network.dial(sink.address).close()
    return results


test_budget = in_network(budget)


test_listeners = in_network(listeners)
test_several_destinations = in_network(several_destinations)
test_bound_first = in_network(bound_first)


test_fixed_port = in_network(fixed_port)
test_servers = in_network(servers)
test_reuse_on_loopback = in_network(reuse_on_loopback)
