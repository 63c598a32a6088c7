"""Services under a real systemd."""
import container
from suite import tally


def test_services():
    """Enabled, restarted, hardened, disabled: see services.py."""
    if container.why_not():
        tally.skip("services", container.why_not())
        return
    results, known = container.run("services.py")
    for name, passed, details in results:
        tally.expect("systemd: " + name, passed, details)
    tally.expect("systemd: to the end", results and results[-1][0] == "end", known)
