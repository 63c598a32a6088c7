"""Programs that run with more rights than their caller."""
import os
import shutil

import harness
from suite import tally
from two_users import AS_VICTIM, Folder, VICTIM, needs_root


def test_setuid():
    """/etc/ld.so.preload brings the library into setuid programs too: there it must be as if it were not. In a mount
    namespace with an /etc of its own."""
    if not needs_root("setuid"):
        return
    script = """set -e
mkdir "$1/etc"; cp -a /etc/passwd /etc/nsswitch.conf /etc/ld.so.cache "$1/etc"
cp "$(readlink -f "$(command -v curl)")" "$1/curl-setuid"; chmod 4755 "$1/curl-setuid"
echo "$2" > "$1/etc/ld.so.preload"
mount --bind "$1/etc" /etc
exec setpriv --reuid %d --clear-groups env HOLDLINE_LOG="$1/$4-log" HOLDLINE_STATS="$1/$4-stats" "$1/$4" -sS -m 5 "$3" """ % VICTIM
    with harness.Server() as server:
        for program in "curl-plain", "curl-setuid":
            with Folder() as folder:
                shutil.copy(os.path.realpath(shutil.which("curl")), folder / "curl-plain")
                outcome = harness.run(["unshare", "-m", "sh", "-c", script, "sh", folder.path, folder.shim, server.url("/bytes/10"), program],
                                      False, 20)
                made = sorted(name for name in os.listdir(folder.path) if name.startswith(program + "-"))
                wanted = [program + "-log", program + "-stats"] if program == "curl-plain" else []
                tally.expect("ld.so.preload: " + program, outcome.status == 0 and len(outcome.output) == 10 and made == wanted,
                             "made %s; %s%s" % (made, outcome.text(), outcome.errors.decode()))


def test_setuid_run():
    """`holdline run` and `check` say that the loader will not bring the library into a setuid program; run starts it
    nevertheless."""
    if not needs_root("run of a setuid program"):
        return
    with Folder() as folder:
        program = shutil.copy(os.path.realpath(shutil.which("curl")), folder / "curl-setuid")
        os.chmod(program, 0o4755)
        outcomes = [harness.run([*AS_VICTIM, folder.holdline, *line, program, *more], False, 10, HOLDLINE_LIBRARY=folder.shim)
                    for line, more in ((["check"], []), (["run", "--pool=local", "--"], ["--version"]))]
        tally.expect("check says that it is setuid", outcomes[0].status == 1 and b"setuid" in outcomes[0].output, outcomes[0].output)
        tally.expect("run says so, and runs it", outcomes[1].status == 0 and b"curl" in outcomes[1].output and b"setuid" in outcomes[1].errors,
                     "%s%s" % (outcomes[1].text(), outcomes[1].errors))
