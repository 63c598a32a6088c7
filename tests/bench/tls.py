"""Rows on HTTPS: programs with OpenSSL and GnuTLS, bare, with --tls=reuse, and with a keep-alive of their own."""
import json
import os
import shutil
import sys
import tempfile

import harness

HERE = os.path.dirname(os.path.abspath(__file__))
CLIENTS = os.path.join(HERE, "..", "tls", "clients")
HOST = "10.77.0.2"
SYSTEM_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
TIMED = os.path.join(HERE, "timed")


def certificates():
    sys.path.insert(0, os.path.join(HERE, "..", "tls"))
    import servers
    return servers.certificates()


def held(command):
    return [harness.HOLDLINE, "run", "--quiet", "--tls=reuse", "--", *command]


def measure(folder, round_trip, rounds, commands):
    """{name: what the command says on stderr}, or None without a tun device."""
    delay = harness.compile_program("bench_delay", ["tests/bench/delay.c"], ["-O2"])
    with tempfile.TemporaryDirectory(prefix="holdline-bench-") as runtime:
        outcome = harness.run(["unshare", "-n", sys.executable, os.path.join(HERE, "at_distance"), delay, os.path.join(HERE, "tls_server"), str(round_trip),
                               str(rounds), json.dumps(commands)], False, 600, XDG_RUNTIME_DIR=runtime, HOLDLINE_BENCH_CERTIFICATES=folder)
    if outcome.status == 77:
        return None
    if outcome.status:
        raise RuntimeError(outcome.errors.decode()[-500:])
    return json.loads(outcome.output)


def programs():
    """{name: (command that takes CA and URLs, the same with a keep-alive of its own)}."""
    import programs as table
    python, php = [harness.PYTHON], ["php"]
    return {
        "urllib": ([*python, os.path.join(CLIENTS, "urllib_own.py")], [*python, os.path.join(HERE, "tls_keep.py")]),
        "file_get_contents": ([*php, os.path.join(CLIENTS, "file_get_contents.php")], [*php, os.path.join(HERE, "tls_keep.php")]),
        "php-curl": ([*php, os.path.join(CLIENTS, "curl.php")], [*php, os.path.join(HERE, "tls_keep.php")]),
        "libcurl": ([table.build("libcurl_easy", *table.LIBCURL)], ["curl", "-sS", "--cacert"]),
    }


def bundle(folder, scratch):
    """The system's authorities, or others as many as there are, and that of the tests."""
    path = os.path.join(scratch, "bundle.pem")
    with open(path, "wb") as out:
        for name in SYSTEM_BUNDLE if os.path.exists(SYSTEM_BUNDLE) else "authorities.pem", "ca.pem":
            with open(os.path.join(folder, name), "rb") as file:
                shutil.copyfileobj(file, out)
    return path


def url(n=1):
    return ["https://%s:8080/bytes/1000" % HOST] * n


def loop(n, command):
    return [TIMED, "sh", "-c", "i=0; while [ $((i += 1)) -le %d ]; do %s || exit; done" % (n, command)]


def in_one_process(info, row, folder, scratch, rounds):
    ca, system = os.path.join(folder, "ca.pem"), bundle(folder, scratch)
    for name, (command, keep) in programs().items():
        words = [*command, ca, *url(100)]
        times = measure(folder, 20000, rounds, {"bare": [TIMED, *words], "held": [TIMED, *held(words)], "keep": [TIMED, *keep, ca, *url(100)]})
        if not times:
            info("HTTPS", "skipped: no tun device")
            return
        info("HTTPS, %s, 20 ms: bare, held, own keep-alive" % name, "%.0f, %.0f, %.0f ms" % (times["bare"], times["held"], times["keep"]))
        row("  held / own keep-alive", times["keep"] / times["held"], "%.2fx", ">= 0.85x", times["keep"] / times["held"] >= 0.85)
        for kind, authorities, least in ("", ca, 1.1), (", system's bundle", system, 5):
            words = [*command, authorities, *url(100)]
            times = measure(folder, 0, rounds, {"bare": [TIMED, *words], "held": [TIMED, *held(words)]})
            ratio = times["bare"] / times["held"]
            row("HTTPS, %s, loopback%s: held / bare" % (name, kind), ratio, "%.2fx", ">= %.2fx" % least, ratio >= least)


def loops(info, row, folder, scratch, rounds):
    system = bundle(folder, scratch)
    lines = {"curl": "curl -sS --cacert %s %s" % (system, *url()), "wget": "wget -q -O /dev/null --ca-certificate=%s %s" % (system, *url())}
    for name, line in lines.items():
        for round_trip, most in (20000, {"curl": 0.55, "wget": 0.45}[name]), (0, 1.0):
            times = measure(folder, round_trip, rounds, {"bare": loop(50, line), "held": [TIMED, *held(loop(50, line)[1:])]})
            if not times:
                info("HTTPS, loops", "skipped: no tun device")
                return
            ratio = times["held"] / times["bare"]
            row("HTTPS, a loop of 50 %ss, %d ms: time held / bare" % (name, round_trip / 1000), ratio, "%.2fx", "<= %.2fx" % most, ratio <= most)


def costs(info, row, folder, rounds):
    program = harness.compile_program("bench_tls_cost", ["tests/bench/tls_cost.c"], ["-O2", "-lssl", "-lcrypto"])
    for what, n in ("handshake", 300), ("record", 2000):
        command = [program, what, os.path.join(folder, "ca.pem"), HOST, "8080", str(n)]
        times = measure(folder, 0, rounds, {"bare": command, "held": held(command)})
        info("HTTPS, processor: a %s, bare, held" % what, "%.1f, %.1f us" % (times["bare"], times["held"]))
        if what == "handshake":
            row("  held / bare", times["held"] / times["bare"], "%.2fx", "<= 0.70x", times["held"] <= 0.7 * times["bare"])
        else:
            row("  16 KiB more", times["held"] - times["bare"], "%.1f us", "<= 20 us", times["held"] - times["bare"] <= 20)


def bench(info, row, rounds):
    """The rows; `info` and `row` are those of bench/run."""
    if os.geteuid() != 0 or not all(shutil.which(name) for name in ("curl", "php", "wget")):
        info("HTTPS", "skipped: needs root, curl, php and wget")
        return
    folder = certificates()
    with tempfile.TemporaryDirectory(prefix="holdline-bench-") as scratch:
        costs(info, row, folder, rounds)
        in_one_process(info, row, folder, scratch, rounds)
        loops(info, row, folder, scratch, rounds)
