"""Findings that need two samples: leaks, and when the ports will run out."""
import threading
import time

import network
from doctor import WARNING, doctor, in_network, verdict
from suite import tally


def forecast(rate):
    """The forecast of exhaustion against the real one."""
    network.set_ports(40000, 40099, tcp_tw_reuse=0)
    sink = network.Sink()
    dialer, foretold, full_s = {}, [], 100 / rate
    begin = time.monotonic()
    thread = threading.Thread(target=lambda: dialer.update(end=network.waste_steadily(sink.address, rate, 2 * full_s)))
    thread.start()
    for window, share in ("0", 0.25), ("2s", 0.3), ("0", 0.7):
        time.sleep(max(0, begin + share * full_s - time.monotonic()))
        before = time.monotonic()
        status, report = doctor(window=window)
        # The sample was taken between these two times, at the end of its window.
        foretold.append((window, before + float(window.rstrip("s")), time.monotonic(), status, report))
    thread.join()
    results = []
    for window, earliest, latest, status, report in foretold:
        said, end = report["tuples"][0]["exhaustion_seconds"], dialer["end"]
        good = said is not None and 0.9 * (end - latest) <= said <= 1.1 * (end - earliest)
        results.append(["%s/s, window %s" % (rate, window), good and status == WARNING,
                        "foretold %s s, it came after %.2f s, status %s" % (said, end - latest, status)])
    return results


def windows():
    """Only a window of time shows a leak: connections that stay, more and more."""
    network.set_ports(40000, 40199, tcp_tw_reuse=0)
    sink = network.Sink()
    held, stop = [], threading.Event()

    def leak():
        begin, n = time.monotonic(), 0
        while not stop.wait(max(0, begin + n / 20 - time.monotonic())):
            held.extend(network.hold(sink.address, 1))
            n += 1
    thread = threading.Thread(target=leak)
    thread.start()
    time.sleep(0.5)
    status, report = doctor(window="2s")
    n = len(held)
    stop.set()
    thread.join()
    leaking = report["tuples"][0]
    seconds = (200 - n) / 20
    return [verdict("a leak", WARNING, "local_ports", status, report, 17 <= leaking["growth_per_second"] <= 23 and
                    abs(leaking["exhaustion_seconds"] - seconds) <= 0.2 * seconds and report["window_seconds"] >= 2 and
                    leaking["sustainable_dials_per_second"] is None and 17 <= report["dials_per_second"] <= 23)]


test_windows = tally.timed(in_network(windows, in_time=True))
