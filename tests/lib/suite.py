"""How a suite of Python tests runs: its cases are functions test_NAME in files test_TOPIC.py beside its script `run`.

NAMEs as arguments of the script run those tests only; a TOPIC that is no test's name stands for all tests of its file.
A name that is neither ends the run: nothing must pass because it was misspelt.
"""
import glob
import importlib
import inspect
import os
import sys
import traceback

import harness

# The verdicts of the whole suite. Test files use it: `from suite import tally`.
tally = harness.Tally()


def wanted():
    """The names on the command line."""
    return [argument for argument in sys.argv[1:] if not argument.startswith("-")]


def find_tests(folder):
    """[(topic, name, function)] of all test files of a folder, in the order in which they are written."""
    found = []
    for path in sorted(glob.glob(os.path.join(folder, "test_*.py"))):
        module = importlib.import_module(os.path.basename(path)[:-3])
        found += [(module.__name__[5:], name[5:], function) for name, function in vars(module).items()
                  if name.startswith("test_") and inspect.isfunction(function)]
    return found


def select(tests):
    """Those that are wanted."""
    names = {name for _, name, _ in tests}
    topics = {topic for topic, _, _ in tests} - names
    unknown = set(wanted()) - names - topics
    if unknown:
        sys.exit("no such test: %s\ntests: %s\ntopics: %s" % (" ".join(sorted(unknown)), " ".join(sorted(names)), " ".join(sorted(topics))))
    return [test for test in tests if not wanted() or test[1] in wanted() or (test[0] in topics and test[0] in wanted())]


def run_tests(tests, after_each=lambda: None):
    """Runs them; an exception is a failure of that test alone."""
    for _, name, function in tests:
        try:
            function()
        except Exception:
            tally.fail(name, traceback.format_exc())
        finally:
            after_each()


def main(script, after_each=lambda: None):
    """Runs the suite of a script; returns its exit status."""
    harness.need_shim()
    harness.build_server()
    run_tests(select(find_tests(os.path.dirname(os.path.abspath(script)))), after_each)
    return tally.finish()
