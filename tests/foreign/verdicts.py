"""Reads the output of foreign test suites into {case: verdict}. Times, addresses and the order of cases stay out."""
import re


PASSES = {"ok", "OK", "pass", "PASS", "SUCCESS", "status 0", "", "."}


def keep(found, case, verdict):
    """A case that comes again gets a number."""
    name, n = case, 1
    while name in found:
        n += 1
        name = "%s (%d)" % (case, n)
    found[name] = verdict


def by_lines(begin, verdict):
    """A case begins in the line that matches `begin`, whose group is its name; its verdict is the first match of
    `verdict` in that line after the name, or in a later one before the next case."""
    begin, verdict = re.compile(begin), re.compile(verdict)

    def read(text):
        found, case = {}, None
        for line in text.split("\n"):
            line = line.rstrip("\r").rpartition("\r")[2]
            match = begin.search(line)
            if match:
                if case:
                    keep(found, case, "none")
                case, line = match.group(1), line[match.end():]
            answer = verdict.search(line) if case else None
            if answer:
                keep(found, case, answer.group(1))
                case = None
        if case:
            keep(found, case, "none")
        return found
    return read


tinytest = by_lines(r"^([a-z0-9_]+/[^ :]+): ", r"(OK|FAILED|SKIPPED|DISABLED)")
googletest = by_lines(r"^\[ RUN +\] (\S+)", r"^\[ +(OK|FAILED|SKIPPED) +\]")
unittest = by_lines(r"^(test\w* \([\w.]+\))", r"(?:\.\.\. |^)(ok|FAIL|ERROR|skipped|expected failure|unexpected success)\b")
neon = by_lines(r"^ *\d+\. ([a-zA-Z_0-9]+)\.+", r"(pass|FAIL|SKIPPED|XFAIL)")
abts = by_lines(r"^(test\w+) +: ", r"(SUCCESS|FAILED|SKIPPED)")
ruby = by_lines(r"^\[ *\d+/\d+\] ([\w:]+#\w+)", r" = [\d.]+ s(?: = )?([A-Z.]?)")


def curl(text):
    """As Automake's, verdicts before numbers; what is skipped by keyword is not in it."""
    return {match.group(2): match.group(1) for match in re.finditer(r"^(PASS|FAIL): (\d+) - ", text, re.M)}


def php(text):
    """Verdicts, each before its test."""
    return {match.group(2): match.group(1) for match in re.finditer(r"^(PASS|FAIL|SKIP|XFAIL|BORK|WARN|LEAK)\b.*\[(\S+\.phpt)\]", text, re.M)}


def tap(text):
    """The Test Anything Protocol, its plan left out."""
    found = {}
    for match in re.finditer(r"^(not ok|ok) +(\d+)(?: *-? *([^#\n]*))?(# *(?:skip|todo))?", text, re.M | re.I):
        keep(found, "%s %s" % (match.group(2), (match.group(3) or "").strip()),
             match.group(1) + (" " + match.group(4).strip("# ").lower() if match.group(4) else ""))
    return found


def status_only(_):
    """A suite whose jobs are its cases."""
    return {}
