"""The Debian packages: built twice, installed, upgraded under a program that runs, removed and purged."""
import glob
import os
import re
import shutil
import subprocess
import tempfile

import harness
import systems
from suite import tally

PACKAGING = os.path.join(harness.ROOT, "tools", "packaging")
# The project has no address of its own.
SUPPRESSED = "bogus-mail-host,bogus-mail-host-in-debian-changelog"


def test_versions():
    """The changelog begins with the version."""
    with open(os.path.join(harness.ROOT, "tools/base/version.h")) as file:
        version = re.search('HOLDLINE_VERSION "(.*)"', file.read()).group(1)
    with open(os.path.join(PACKAGING, "CHANGELOG.md")) as file:
        first = next(line for line in file if line.startswith("## "))
    tally.expect("the changelog's version", re.fullmatch(r"## %s \(\d{4}-\d\d-\d\d\)\n" % re.escape(version), first), first)


def build(folder, commit):
    done = subprocess.run([os.path.join(PACKAGING, "build-deb"), folder], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          env={**os.environ, "COMMIT": commit} if commit else None)
    return done.returncode == 0, done.stdout + done.stderr


def packages(folder):
    return {os.path.basename(path): path for path in glob.glob(os.path.join(folder, "*.deb"))}


def read(path):
    with open(path, "rb") as file:
        return file.read()


def test_packages():
    """The long form: takes minutes."""
    if not harness.HEAVY:
        return
    missing = [name for name in ("dpkg-buildpackage", "dh", "lintian") if not shutil.which(name)]
    if missing:
        tally.skip("packages", "needs %s" % ", ".join(missing))
        return
    with tempfile.TemporaryDirectory(prefix="holdline-deb-") as folder:
        # Both of the same commit, whatever is committed meanwhile; a tarball has none.
        commit = subprocess.run(["git", "-C", harness.ROOT, "rev-parse", "HEAD"], capture_output=True, text=True).stdout.strip()
        first, second = os.path.join(folder, "a"), os.path.join(folder, "elsewhere", "b")
        for place in (first, second):
            built, said = build(place, commit)
            if not tally.expect("built in %s" % os.path.basename(place), built and len(packages(place)) == 4, said):
                return
        same = {name: read(path) == read(packages(second)[name]) for name, path in packages(first).items()}
        tally.expect("two builds are equal", all(same.values()), same)
        lint = subprocess.run(["lintian", "--allow-root", "--fail-on", "warning", "--suppress-tags", SUPPRESSED, *glob.glob(first + "/*.changes")],
                              capture_output=True, text=True)
        tally.expect("lintian", lint.returncode == 0, lint.stdout + lint.stderr)
        if os.geteuid() != 0:
            tally.skip("installed", "needs root")
            return
        installed = [packages(first)[next(name for name in packages(first) if name.startswith(kind))] for kind in ("holdline_", "libholdline_")]
        run_autopkgtest(folder, installed)
        life = subprocess.run(["unshare", "--mount", "--propagation", "private", os.path.join(harness.ROOT, "tests/delivery/package_life"),
                               *installed], stdin=subprocess.DEVNULL, capture_output=True, text=True)
        for line in life.stdout.splitlines():
            if line.startswith(("ok ", "FAIL ")):
                tally.expect("packages: " + line.split(" ", 1)[1], line.startswith("ok "), life.stdout[-3000:] + life.stderr[-1000:])
        tally.expect("packages: to the end", "ok the end" in life.stdout.splitlines(), life.stdout[-3000:] + life.stderr[-3000:])


# What the packages and autopkgtest itself need.
TESTBED = "apt-utils curl dpkg-dev libcjson1 libdw1 libmicrohttpd12 libmnl0 libseccomp2 python3".split()


def run_autopkgtest(folder, paths):
    """debian/tests by Debian's own runner, in a new system that has the packages and what they depend on."""
    missing = [name for name in ("autopkgtest", "mmdebstrap") if not shutil.which(name)]
    root, tree = os.path.join(folder, "root"), os.path.join(folder, "tree")
    why_not = "needs %s" % ", ".join(missing) if missing else systems.make_root(root, TESTBED)
    if why_not:
        tally.skip("autopkgtest", why_not)
        return
    shutil.copytree(os.path.join(PACKAGING, "debian"), tree + "/debian")
    with open(tree + "/debian/changelog", "w") as file:
        file.write("holdline (%s) unstable; urgency=medium\n\n  * See CHANGELOG.md.\n\n -- Nobody <nobody@localhost>  Thu, 01 Jan 1970 00:00:00 +0000\n" %
                   os.path.basename(paths[0]).split("_")[1])
    script = 'mount -t proc proc "$0/proc" && mount -t tmpfs none "$0/dev/shm" && exec autopkgtest --no-built-binaries "$@" -- chroot "$0"'
    done = subprocess.run(["timeout", "-k", "5", "300", "unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private", "--mount-proc", "sh", "-c",
                           script, root, *paths, tree + "/"], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    tally.expect("autopkgtest", done.returncode == 0 and re.search(r"(?m)^smoke +PASS$", done.stdout), (done.stdout[-2000:], done.stderr[-2000:]))


def rpm_files(path):
    return set(subprocess.run(["rpm", "-qlp", "--nosignature", path], capture_output=True, text=True).stdout.split())


def test_rpm():
    """The long form: by the rpmbuild that there is, whose system does not know what is installed."""
    if not harness.HEAVY:
        return
    if not shutil.which("rpmbuild"):
        tally.skip("rpm", "needs rpmbuild")
        return
    with tempfile.TemporaryDirectory(prefix="holdline-rpm-") as folder:
        done = subprocess.run([os.path.join(PACKAGING, "build-rpm"), folder, "--nodeps"], stdin=subprocess.DEVNULL, capture_output=True, text=True)
        paths = {os.path.basename(path).split("-")[0]: path for path in glob.glob(folder + "/*/*.rpm")}
        if not tally.expect("rpm: built", done.returncode == 0 and set(paths) == {"holdline", "libholdline"}, (done.stdout, done.stderr)):
            return
        library = subprocess.run(["rpm", "--eval", "%{_libdir}"], capture_output=True, text=True).stdout.strip() + "/libholdline.so"
        licence = {path for path in rpm_files(paths["libholdline"]) if path.startswith("/usr/share/licenses/")}
        tally.expect("rpm: the library's files", rpm_files(paths["libholdline"]) == {library} | licence and licence, rpm_files(paths["libholdline"]))
        pages = {"/usr/share/man/man%s/%s" % (name[-1], name) for name in os.listdir(os.path.join(harness.ROOT, "tools/man"))}
        files = {"/usr/bin/holdline", "/usr/lib/systemd/user/holdline-broker.service", "/usr/lib/systemd/user/holdline-broker.socket",
                 "/usr/lib/systemd/system/holdline-metrics.service",
                 "/usr/share/bash-completion/completions/holdline", "/usr/share/fish/vendor_completions.d/holdline.fish",
                 "/usr/share/zsh/site-functions/_holdline", "/usr/share/holdline", "/usr/share/holdline/holdline.rules.yml",
                 "/usr/share/holdline/holdline-dashboard.json"} | pages
        found = {path for path in rpm_files(paths["holdline"]) if not path.startswith(("/usr/lib/.build-id", "/usr/share/doc/", "/usr/share/licenses/"))}
        tally.expect("rpm: the command's files", found == files, found ^ files)
        needs = subprocess.run(["rpm", "-qRp", "--nosignature", paths["holdline"]], capture_output=True, text=True).stdout
        tally.expect("rpm: the command needs its library", re.search(r"^libholdline\S* = ", needs, re.M), needs)
        root = os.path.join(folder, "root")
        os.mkdir(root)
        for path in paths.values():
            subprocess.run("rpm2archive - <%s | tar -xz" % path, shell=True, cwd=root, check=True)
        said = subprocess.run([root + "/usr/bin/holdline", "version", "--verbose"], capture_output=True, text=True, env=harness.environment(False)).stdout
        tally.expect("rpm: the command finds its library", "library: %s%s" % (root, library) in said, said)
