"""arm64, with pages of 4 and of 16 KiB: what is cross-built here runs in an emulated machine, which is twenty times as slow.
Debian has no kernel with pages of 64 KiB."""
import functools
import glob
import re

import machine
import roots
from suite import tally

# The main families of the contract.
FAMILIES = "exchange close connect vectors receive after_eof execs forks processes cancellation"
FEW = """exchange/plain exchange/chunked exchange/post poll/nonblocking epoll/edge-1.0 close/close-range receive/wait-all vectors/splice-out
    processes/vfork-close-range processes/spawn processes/exec-cat forks/child-goes-on errors"""
INTEGRATION = "curl-close curl-1.0 curl-keep curl-post wget python-urllib python-http.client-close"


@functools.lru_cache
def prepared():
    """Whether there is a machine with what was built."""
    if not roots.is_asked():
        return False
    reason = machine.missing()
    if reason:
        tally.skip("arm64", reason)
        return False
    status, text = machine.build()
    errors = "\n".join(line for line in text.splitlines() if re.search(r": (error|warning): |undefined|\*\*\*", line))
    if not tally.expect("it builds without a warning", status == 0 and not errors, "status %s\n%s" % (status, errors[:3000])):
        return False
    machine.stage()
    return True


def test_arm64_unit():
    if prepared():
        roots.expect_suite("unit tests", machine.boot("build/arm64/unit-tests", 1500), 2000)


def test_arm64_contract():
    if prepared():
        roots.expect_suite("contract", machine.boot("tests/contract/run --world=local " + FAMILIES, 2400), 500)


def test_arm64_integration():
    if prepared():
        roots.expect_suite("integration", machine.boot("tests/integration/run " + INTEGRATION, 600), 7)


def test_arm64_large_pages():
    """With Debian 13's kernel for pages of 16 KiB."""
    if prepared():
        kernel = roots.make("arm64-16k", "trixie", ["linux-image-arm64-16k"], "--variant=extract", "--architectures=arm64") + "/boot/vmlinuz-*"
        status, text = machine.boot("tests/contract/run --world=local " + FEW.replace("\n", " "), 900, glob.glob(kernel)[0])
        tally.expect("the pages are large", "pages of 16384" in text, text[:500])
        roots.expect_suite("contract with large pages", (status, text), 50)
