"""holdline enable, disable, enabled, in the files of a made-up system."""
import functools
import os
import shutil
import subprocess
import sysconfig
import tempfile

import harness
from harness import SHIM
from made_up import ETC, Root, in_other_etc, why_no_other_etc
from suite import tally

LIBRARY = SHIM.split(":")[-1]
PRELOAD = 'Environment="LD_PRELOAD=%s"' % LIBRARY
DYNAMIC = "ExecStart=/usr/bin/dynamic -x"

# Lines of a unit, and what `enable` says when it refuses it.
REFUSED = [
    ("PrivateNetwork", [DYNAMIC, "PrivateNetwork=yes"], "PrivateNetwork=: it has no network"),
    ("another root", [DYNAMIC, "RootDirectory=/srv/root"], "RootDirectory=/srv/root: its programs see another root"),
    ("an image", [DYNAMIC, "RootImage=/srv/root.img"], "RootImage="),
    ("no TCP", [DYNAMIC, "RestrictAddressFamilies=AF_UNIX AF_NETLINK"], "it may not use TCP"),
    ("no sockets", [DYNAMIC, "RestrictAddressFamilies=none"], "it may not use TCP"),
    ("single system calls", [DYNAMIC, "SystemCallFilter=read write connect"], "allow @system-service"),
    ("not executable", [DYNAMIC, "NoExecPaths=/", "ExecPaths=/usr/bin/dynamic"], "add ExecPaths=%s" % LIBRARY),
    ("hidden", [DYNAMIC, "InaccessiblePaths=/proc -%s" % os.path.dirname(LIBRARY)], "hides"),
    ("taken away", [DYNAMIC, "UnsetEnvironment=A LD_PRELOAD"], "takes LD_PRELOAD away"),
    ("a file wins", [DYNAMIC, "EnvironmentFile=-/etc/default/other"], "sets LD_PRELOAD, which wins"),
    ("no program", ["Type=oneshot"], "no ExecStart"),
    ("a program that is not there", ["ExecStart=/usr/bin/missing"], "missing: No such file"),
    ("no text", ["ExecStart=/usr/bin/dynamic", "ExecStart=\"/usr/bin/dynamic"], "can't be understood"),
    ("a relay for a name", ["ExecStart=@/usr/bin/static name"], "can't pass on the name"),
]

# Lines that it takes.
TAKEN = [
    ("simple", [DYNAMIC]),
    ("every prefix", ["ExecStart=-@+/usr/bin/dynamic name"]),
    ("no substitution", ["ExecStart=:/usr/bin/dynamic $x"]),
    ("lower rights", ["ExecStart=!!/usr/bin/dynamic"]),
    ("quoted", ["ExecStart=\"/usr/bin/dynamic\" 'a b'"]),
    ("continued", ["ExecStart=/usr/bin/dynamic \\", "# a comment between", "  -x \\", "  -y"]),
    ("several", ["Type=oneshot", DYNAMIC, "ExecStart=/usr/bin/dynamic -y"]),
    ("reset", ["ExecStart=/usr/bin/missing", "ExecStart=", DYNAMIC]),
    ("reset network", [DYNAMIC, "PrivateNetwork=yes", "PrivateNetwork=no"]),
    ("hardened", [DYNAMIC, "PrivateTmp=no", "ProtectSystem=strict", "MemoryDenyWriteExecute=yes", "SystemCallFilter=@system-service",
                  "SystemCallFilter=~@mount", "RestrictAddressFamilies=AF_INET AF_UNIX", "NoNewPrivileges=yes"]),
    ("forbidden calls", [DYNAMIC, "SystemCallFilter=~@mount @reboot"]),
    ("forbidden families", [DYNAMIC, "RestrictAddressFamilies=~AF_PACKET"]),
    ("executable again", [DYNAMIC, "NoExecPaths=/", "ExecPaths=/usr %s" % os.path.dirname(LIBRARY)]),
]


def test_refused():
    """What can't work is refused with its reason, and nothing is written."""
    for name, lines, why in REFUSED:
        with Root() as root:
            root.write("etc/default/other", "LD_PRELOAD=/other.so\n")
            make_static(root)
            root.add_unit("a.service", *lines)
            before = root.files()
            status, said = root.holdline("enable", "a")
            tally.expect("refused: " + name, status == 1 and why in said and root.files() == before, (status, said, root.files()))
            status, said = root.holdline("enable", "--force", "a")
            tally.expect("forced: " + name, ("in spite of it" in said and status == 0) or name == "no text", (status, said))


def test_taken():
    """The unit's file stays, the drop-in has the library."""
    for name, lines in TAKEN:
        with Root() as root:
            text = root.add_unit("a.service", *lines)
            status, said = root.holdline("enable", "a.service")
            tally.expect("taken: " + name, status == 0 and PRELOAD in (root.dropin("a.service") or "").splitlines() and
                         root.read(ETC + "/a.service") == text, (status, said, root.dropin("a.service")))
            status, said = root.holdline("disable", "a")
            tally.expect("and taken back: " + name, status == 0 and not os.path.exists(root.at(ETC + "/a.service.d")), (status, said))


def test_names():
    """Names that are no service's, that are not there, that are masked."""
    with Root() as root:
        root.add_unit("a.socket", DYNAMIC)
        root.link(ETC + "/masked.service", "/dev/null")
        for name, why in (("a.socket", "not the name of a service"), ("../x", "not the name"), ("", "not the name"), ("b c", "not the name"),
                          ("none", "no such unit"), ("masked", "it is masked"), ("x" * 300, "too long")):
            status, said = root.holdline("enable", name)
            tally.expect("name: %.20s" % name, status == 2 and why in said, (status, said))
        before = root.files()
        tally.expect("no unit: help", root.holdline("enable")[0] == 2 and root.files() == before, root.files())
        tally.expect("two units", "one unit at a time" in root.holdline("enable", "a", "b")[1], "")
        tally.expect("help", root.holdline("enable", "--help")[0] == 0 and root.holdline("disable", "--help")[0] == 0, "")


def test_instances_and_aliases():
    """An instance has the drop-in of its own, an alias that of the unit."""
    with Root() as root:
        root.add_unit("t@.service", "ExecStart=/usr/bin/dynamic %i", folder="usr/lib/systemd/system")
        root.add_unit("real.service", DYNAMIC, folder="lib/systemd/system")
        root.link(ETC + "/alias.service", "/lib/systemd/system/real.service")
        root.add_unit("choice@.service", "ExecStart=/usr/bin/%i", folder="usr/lib/systemd/system")
        for given, written in (("t@one", "t@one.service"), ("t@", "t@.service"), ("alias", "real.service"), ("real", "real.service")):
            status, said = root.holdline("enable", given)
            tally.expect("enable %s" % given, status == 0 and root.dropin(written), (status, said, root.files()))
        status, said = root.holdline("enable", "choice@a")
        tally.expect("a program that is not known", status == 0 and "was not checked" in said, said)
        status, said = root.holdline("enabled")
        tally.expect("enabled: a line for each", [line.split()[:2] for line in said.splitlines()] ==
                     [[name, "library"] for name in ("choice@a.service", "real.service", "t@.service", "t@one.service")], said)
        tally.expect("disable by the alias", root.holdline("disable", "alias")[0] == 0 and not root.dropin("real.service"), root.files())
        os.unlink(root.at("usr/lib/systemd/system/t@.service"))
        tally.expect("disable when the unit is gone", root.holdline("disable", "t@one")[0] == 0 and not root.dropin("t@one.service"), "")
        tally.expect("disable what is not enabled", root.holdline("disable", "t@two") == (1, "holdline disable: t@two.service: it is not enabled\n"), "")


def test_drop_ins_of_others():
    """They count, in their order, and stay."""
    with Root() as root:
        root.add_unit("a.service", "ExecStart=/usr/bin/missing", "PrivateNetwork=yes", folder="usr/lib/systemd/system")
        root.write("usr/lib/systemd/system/a.service.d/10-net.conf", "[Service]\nPrivateNetwork=no\n")
        root.write("run/systemd/system/a.service.d/20-exec.conf", "[Service]\nExecStart=\n%s\n" % DYNAMIC)
        root.write("usr/lib/systemd/system/service.d/10-all.conf", "[Service]\nEnvironment=LD_PRELOAD=/all.so\n")
        other = root.write(ETC + "/a.service.d/other.conf", "[Service]\nEnvironment=\"LD_PRELOAD=/first.so:/100%%.so\" B=1\n")
        status, said = root.holdline("enable", "a")
        tally.expect("drop-ins: theirs stay in front", 'Environment="LD_PRELOAD=/first.so:/100%%%%.so:%s"' % LIBRARY in
                     (root.dropin("a.service") or "").splitlines(), (status, said, root.dropin("a.service")))
        root.holdline("enable", "a", "--mode=observe")
        tally.expect("again: it replaces itself", root.dropin("a.service").count(LIBRARY) == 1 and "MODE=observe" in root.dropin("a.service"),
                     root.dropin("a.service"))
        root.holdline("disable", "a")
        tally.expect("drop-ins: theirs are left", root.dropin("a.service") is None and root.read(ETC + "/a.service.d/other.conf") == other, root.files())
        ours = root.write(ETC + "/a.service.d/zzz-holdline.conf", "[Service]\nEnvironment=MINE=1\n")
        for command in ("enable", "disable"):
            status, said = root.holdline(command, "a")
            tally.expect("%s: a file of this name that somebody wrote" % command, status == 1 and "is not of" in said and
                         root.dropin("a.service") == ours, (status, said))
        tally.expect("enabled: not that one", root.holdline("enabled") == (0, ""), root.holdline("enabled"))


def environment_of(root, unit, *names):
    """The libraries of A= lines that come first in the drop-in: what the unit has by now."""
    status, said = root.holdline("enable", unit)
    text = root.dropin(unit + ".service") or ""
    return status, said, [line.split("=", 2)[2].split(":")[0] for line in text.splitlines() if "LD_PRELOAD" in line]


def test_order_of_drop_ins():
    """By name over all folders; of equal names, the higher folder's; and those of prefixes and generators."""
    preload = "[Service]\nEnvironment=LD_PRELOAD=/%s.so\n"
    with Root() as root:
        root.add_unit("a-b-c@.service", DYNAMIC, folder="run/systemd/generator")
        root.write(ETC + "/a-b-c@1.service.d/10-x.conf", preload % "first")
        for folder, name in (("usr/lib/systemd/system/a-b-c@1.service.d/20", "second"), (ETC + "/a-.service.d/30", "third"),
                             (ETC + "/service.d/40", "fourth"), ("run/systemd/generator/a-b-c@.service.d/50", "fifth"), (ETC + "/a-b-.service.d/60", "sixth")):
            root.write(folder + "-x.conf", preload % name)
            found = environment_of(root, "a-b-c@1")
            tally.expect("order: " + name, found[0] == 0 and found[2] == ["/%s.so" % name], found)
        root.write(ETC + "/a-b-c@1.service.d/60-x.conf", preload % "nearest")
        tally.expect("order: equal names", environment_of(root, "a-b-c@1")[2] == ["/nearest.so"], root.files())
        root.link(ETC + "/a-b-c@1.service.d/zzzz.conf", "/dev/null")
        tally.expect("order: behind ours, empty", environment_of(root, "a-b-c@1")[0] == 0, root.files())
        tally.expect("enabled: not overruled", "a-b-c@1.service" in root.holdline("enabled")[1] and "overruled" not in root.holdline("enabled")[1], "")
        for line in ("ExecStart=/usr/bin/dynamic", "Environment=B=1 LD_PRELOAD=/x.so", "Environment=", "Environment=\nEnvironment=B=1"):
            root.write(ETC + "/a-.service.d/zzzzz.conf", "[Service]\n%s\n" % line)
            found = environment_of(root, "a-b-c@1")
            tally.expect("order: behind ours: " + line, found[0] == 1 and "zzzzz.conf comes behind" in found[1], found)
            tally.expect("enabled: overruled: " + line, "overruled by zzzzz.conf\n" in root.holdline("enabled")[1], root.holdline("enabled"))
        root.write(ETC + "/a-.service.d/zzzz\x1b[31m.conf", "[Service]\nEnvironment=\n")
        os.unlink(root.at(ETC + "/a-.service.d/zzzzz.conf"))
        tally.expect("enabled: overruled by an odd name", "overruled by zzzz?[31m.conf" in root.holdline("enabled")[1] and "\x1b" not in root.holdline("enabled")[1],
                     root.holdline("enabled"))
        found = root.holdline("enable", "--dry-run", "a-b-c@1")
        tally.expect("order: behind ours by an odd name", found[0] == 1 and "zzzz?[31m.conf comes behind" in found[1] and "\x1b" not in found[1], found)
        os.unlink(root.at(ETC + "/a-.service.d/zzzz\x1b[31m.conf"))
        # What it sets itself, and clears of other names, is its own affair.
        root.write(ETC + "/a-.service.d/zzzzz.conf", "[Service]\nEnvironment=B=1\nUnsetEnvironment=\n")
        tally.expect("order: behind ours, something else", environment_of(root, "a-b-c@1")[0] == 0 and "overruled" not in root.holdline("enabled")[1],
                     root.holdline("enabled"))


def test_files_of_the_root():
    """The drop-in has the paths of the system that is below the root, not those of this one."""
    with Root() as root:
        make_static(root)
        root.add_unit("a.service", DYNAMIC)
        root.add_unit("b.service", "ExecStart=/usr/bin/static")
        here = (LIBRARY, os.path.realpath(harness.HOLDLINE))
        for path in here:
            os.unlink(root.at(path[1:]))
        status, said = root.holdline("enable", "a")
        tally.expect("root: the library that was named is not there", status == 1 and LIBRARY + ": it is not in that root" in said and not root.dropin("a.service"), said)
        status, said = root.holdline("enable", "a", HOLDLINE_LIBRARY="")
        tally.expect("root: no library is there", status == 1 and "it is not in that root" in said and not root.dropin("a.service"), said)
        root.link("usr/local/lib64/libholdline.so", LIBRARY)
        status, said = root.holdline("enable", "a", HOLDLINE_LIBRARY="")
        tally.expect("root: a link out of it does not count", status == 1 and not root.dropin("a.service"), said)
        for place in ("/opt/holdline/lib/holdline", "/usr/lib64", "/usr/lib/%s" % sysconfig.get_config_var("MULTIARCH")):
            root.write("%s/libholdline.so" % place[1:], "")
            status, said = root.holdline("enable", "a", HOLDLINE_LIBRARY="")
            tally.expect("root: the library in " + place, status == 0 and 'Environment="LD_PRELOAD=%s/libholdline.so"' % place in root.dropin("a.service"), said)
        status, said = root.holdline("enable", "a", HOLDLINE_LIBRARY=root.at("usr/lib64/libholdline.so"))
        tally.expect("root: named from here", status == 0 and 'LD_PRELOAD=/usr/lib64/libholdline.so"' in root.dropin("a.service"), (said, root.dropin("a.service")))
        for name in "usr/lib64/missing.so", "../libholdline.so":
            before = root.dropin("a.service")
            status, said = root.holdline("enable", "a", HOLDLINE_LIBRARY=root.at(name))
            tally.expect("root: it is not there: " + name, status == 1 and "it is not in that root" in said and root.dropin("a.service") == before, said)
        status, said = root.holdline("enable", "b", HOLDLINE_LIBRARY="")
        tally.expect("root: no command is there", status == 1 and "`holdline` is not in that root" in said and not root.dropin("b.service"), said)
        root.write("usr/bin/holdline", "")
        status, said = root.holdline("enable", "b", HOLDLINE_LIBRARY="")
        tally.expect("root: the command", status == 0 and "ExecStart=/usr/bin/holdline run --quiet -- /usr/bin/static" in root.dropin("b.service"), said)


def test_name_of_old():
    """A drop-in of an earlier version is replaced, listed and removed; another one of its name stays."""
    with Root() as root:
        root.add_unit("a.service", DYNAMIC)
        root.holdline("enable", "a")
        new, old = (root.at(ETC + "/a.service.d/%sholdline.conf" % name) for name in ("zzz-", ""))
        os.rename(new, old)
        tally.expect("of old: listed", root.holdline("enabled")[1].split()[:2] == ["a.service", "library"], root.holdline("enabled"))
        status, said = root.holdline("enable", "a")
        tally.expect("of old: replaced", status == 0 and root.dropin("a.service").count(LIBRARY) == 1 and not os.path.exists(old), (said, root.files()))
        os.rename(new, old)
        status, said = root.holdline("disable", "a")
        tally.expect("of old: removed", status == 0 and not os.path.exists(os.path.dirname(old)), (said, root.files()))
        root.write(ETC + "/a.service.d/holdline.conf", "[Service]\nEnvironment=LD_PRELOAD=/mine.so\n")
        root.holdline("enable", "a")
        tally.expect("of old: somebody's", "/mine.so:" in root.dropin("a.service") and root.holdline("disable", "a")[0] == 0 and os.path.exists(old),
                     root.files())


def test_links_out_of_the_root():
    """Nothing is written, made or removed outside."""
    for where in (ETC + "/a.service.d", "etc/systemd", ETC):
        with Root() as root, tempfile.TemporaryDirectory() as outside:
            root.add_unit("a.service", DYNAMIC, folder="usr/lib/systemd/system")
            root.link(where, outside)
            status, said = root.holdline("enable", "a")
            tally.expect("out of the root: %s" % where, status == 1 and "leads out" in said and not os.listdir(outside), (status, said))
            status, said = root.holdline("disable", "a")
            tally.expect("out of the root: disable, %s" % where, status == 1 and "leads out" in said, (status, said))
    with Root() as root:
        root.add_unit("a.service", DYNAMIC, folder="usr/lib/systemd/system")
        root.link(ETC + "/a.service.d", "/nonexistent-holdline")
        tally.expect("out of the root: to nowhere", root.holdline("enable", "a")[0] == 1 and not os.path.exists("/nonexistent-holdline"), "")
        os.unlink(root.at(ETC + "/a.service.d"))
        os.makedirs(root.at("etc/elsewhere"))
        root.link(ETC + "/a.service.d", "../../elsewhere")
        tally.expect("a link within the root", root.holdline("enable", "a")[0] == 0 and os.listdir(root.at("etc/elsewhere")), root.files())


def test_library_of_others():
    """One that somebody else may change is not put into a service."""
    if os.geteuid() != 0 or why_no_other_etc():
        tally.skip("library of others", why_no_other_etc() or "needs root")
        return
    script = ('mkdir -p "$1" && cp "$2" "$1/libholdline.so" && chmod "$3" "$1" && chmod "$4" "$1/libholdline.so" && mkdir -p /etc/systemd/system && '
              'printf "[Service]\\nExecStart=/bin/true\\n" >/etc/systemd/system/made-up.service && '
              'HOLDLINE_LIBRARY="$1/libholdline.so" exec "$0" enable --dry-run $5 made-up')
    for title, folder, library, flag, status in (("root's", "755", "644", "", 0), ("in a folder of others", "777", "644", "", 1), ("of a group", "755", "664", "", 1),
                                                 ("forced", "777", "644", "--force", 0)):
        done = in_other_etc(["sh", "-c", script, harness.HOLDLINE, "/etc/libraries/%s" % title.replace(" ", "-").replace("'", ""), LIBRARY, folder, library, flag])
        tally.expect("library: " + title, done.returncode == status and ("may be changed" in done.stderr) == (status == 1 or flag != ""), done)


def test_no_manager():
    """Where systemd does not run, `enable` says so; for another system's root it can't know."""
    note = "note: systemd does not run here"
    with Root() as root:
        root.add_unit("a.service", DYNAMIC)
        status, said = root.holdline("enable", "a")
        tally.expect("no manager: a root", status == 0 and note not in said, said)
    if why_no_other_etc():
        tally.skip("no manager", why_no_other_etc())
        return
    script = ('mount -t tmpfs none /run && mkdir -p /etc/systemd/system /run/bin $3 && ln -s /bin/true /run/bin/systemctl && '
              'printf "[Service]\\nExecStart=/bin/true\\n" >/etc/systemd/system/made-up.service && cp "$1" /run/libholdline.so && '
              'PATH=/run/bin:$PATH HOLDLINE_LIBRARY=/run/libholdline.so exec "$0" enable $2 made-up')
    for title, flag, folder, is_noted in (("without", "", "", True), ("with one", "", "/run/systemd/system", False), ("dry run", "--dry-run", "", False)):
        done = in_other_etc(["sh", "-c", script, harness.HOLDLINE, LIBRARY, flag, folder])
        tally.expect("no manager: " + title, done.returncode == 0 and "made-up.service" in done.stdout + done.stderr and (note in done.stderr) == is_noted, done)


def test_flags():
    """Flags of `holdline run` become variables, quoted as systemd wants it."""
    with Root() as root:
        root.add_unit("a.service", DYNAMIC)
        status, said = root.holdline("enable", "a", "--mode=observe", "--rules", '*:9200 max-conn-age=10s; [::1]:80 off', "--log=/var/log/100% \"a\\b\".log")
        wanted = ['Environment="HOLDLINE_MODE=observe"', 'Environment="HOLDLINE_RULES=*:9200 max-conn-age=10s; [::1]:80 off"',
                  'Environment="HOLDLINE_LOG=/var/log/100%% \\"a\\\\b\\".log"', PRELOAD]
        tally.expect("flags", status == 0 and root.dropin("a.service").splitlines()[2:] == wanted, (said, root.dropin("a.service")))
        status, said = root.holdline("enabled")
        tally.expect("enabled: the settings", "HOLDLINE_MODE=observe HOLDLINE_RULES=" in said and "unknown" in said, said)
        before = root.dropin("a.service")
        for flag, why in (("--mode=fast", "off|observe|full"), ("--frobnicate", "no such flag"), ("--log=here.log", "an absolute path"), ("--mode", "off|"),
                          ("-x", "no such flag")):
            status, said = root.holdline("enable", "a", flag)
            tally.expect("bad flag %s" % flag, status == 2 and why in said and root.dropin("a.service") == before, (status, said))
        status, said = root.holdline("enable", "--dry-run", "a")
        tally.expect("dry run", status == 0 and PRELOAD in said and root.dropin("a.service") == before, said)
        status, said = root.holdline("disable", "--dry-run", "a")
        tally.expect("dry run of disable", status == 0 and "a.service.d/zzz-holdline.conf" in said and root.dropin("a.service") == before, said)
        status, said = root.holdline("enable", "a", HOLDLINE_LIBRARY="/none.so")
        tally.expect("no library", status == 1 and "/none.so" in said, said)


@functools.cache
def static_program():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "static")
        subprocess.run([harness.CC, "-static", "-xc", "-", "-o", path], input=b"int main(void) { return 0; }\n", check=True)
        with open(path, "rb") as file:
            return file.read()


def make_static(root):
    with open(root.at("usr/bin/static"), "wb") as file:
        file.write(static_program())
    os.chmod(root.at("usr/bin/static"), 0o755)


def test_relay():
    """A static program gets `holdline run` before its command; the rest of the line stays as it is."""
    with Root() as root:
        make_static(root)
        root.add_unit("a.service", "Type=oneshot", "ExecStart=-:/usr/bin/static \"a b\" $x %%n", "ExecStart=!/usr/bin/dynamic", "ExecStart=@/usr/bin/dynamic name")
        status, said = root.holdline("enable", "a", "--mode=full")
        lines = (root.dropin("a.service") or "").splitlines()
        command = os.path.realpath(harness.HOLDLINE)
        tally.expect("relay", status == 0 and "the relay serves it" in said and lines[2:] == [
            'Environment="HOLDLINE_MODE=full"', "ExecStart=", "ExecStart=-:%s run --quiet -- /usr/bin/static \"a b\" $x %%%%n" % command,
            "ExecStart=!%s run --quiet -- /usr/bin/dynamic" % command, "ExecStart=@/usr/bin/dynamic name"], (said, lines))
        tally.expect("enabled: relay", root.holdline("enabled")[1].split()[:2] == ["a.service", "relay"], root.holdline("enabled"))


def test_relay_with_another_name():
    """The command's own path has characters that mean something to systemd."""
    with Root() as root, tempfile.TemporaryDirectory(prefix="a b%") as folder:
        make_static(root)
        root.add_unit("a.service", "ExecStart=-/usr/bin/static x")
        command = os.path.join(folder, "holdline")
        shutil.copy(harness.HOLDLINE, command)
        root.write(command[1:], "")
        status, said = root.holdline("enable", "a", program=command)
        tally.expect("relay: quoted", status == 0 and 'ExecStart=-"%s" run --quiet -- /usr/bin/static x' % command.replace("%", "%%") in
                     root.dropin("a.service").splitlines(), (said, root.dropin("a.service")))
