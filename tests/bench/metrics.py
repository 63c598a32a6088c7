"""A scrape of many programs: from the request to the last byte, when every answer is made anew."""
import http.client
import os
import shutil
import subprocess
import tempfile
import time

import harness
import network

PROCESSES, DESTINATIONS = 1000, 500
HELD = 2
# How many destinations each process has, and the goal.
SHAPES = (20, 50), (60, None)


def scrape_times(command, n_each, n):
    """Milliseconds of n scrapes, in a namespace; the text's length."""
    many = harness.compile_program("report_many", ["tests/report/many.c"])

    def measure():
        sink = network.Sink("0.0.0.0")
        folder = tempfile.mkdtemp(prefix="holdline-bench-", dir="/dev/shm")
        settings = {"HOLDLINE_STATS": folder}
        shape = [str(number) for number in (sink.address[1], PROCESSES, DESTINATIONS, n_each, HELD)]
        programs = subprocess.Popen([many, *shape], env=harness.environment(True, **settings), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        programs.stdout.readline()
        exporter = subprocess.Popen([command, "metrics", "--listen=127.0.0.1:0", "--destinations=%d" % DESTINATIONS], stderr=subprocess.PIPE, text=True,
                                    env=harness.environment(False, **settings))
        port = int(exporter.stderr.readline().split()[-1])
        times = []
        for _ in range(n):
            begin = time.monotonic()
            connection = http.client.HTTPConnection("127.0.0.1", port)
            connection.request("GET", "/metrics")
            text = connection.getresponse().read()
            times.append(1000 * (time.monotonic() - begin))
            if b"\nholdline_processes %d\n" % PROCESSES not in text:
                raise RuntimeError("not all processes are counted")
            time.sleep(1.1)  # it is made at most once a second
        exporter.terminate()
        exporter.wait()
        exporter.stderr.close()
        programs.communicate()
        shutil.rmtree(folder)
        return times, len(text)
    return network.Inside(measure).result()


def bench(info, row, command, repetitions):
    """Best values: other load only adds."""
    if os.geteuid() != 0:
        info("a scrape", "skipped: needs root")
        return
    for n_each, goal in SHAPES:
        times, length = scrape_times(command, n_each, repetitions)
        name = "a scrape of %d processes, %d of %d destinations each, ms" % (PROCESSES, n_each, DESTINATIONS)
        if goal:
            row(name, min(times), "%.0f", "<= %d" % goal, min(times) <= goal)
        else:
            info(name, "%.0f (%d KiB)" % (min(times), length // 1024))
