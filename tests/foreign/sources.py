"""Debian's source packages, fetched by apt in a configuration of its own: the machine's sources are asked for sources
too, and nothing in /etc or /var is changed. Trees and archives stay under build/foreign, which is never committed.
"""
import contextlib
import fcntl
import glob
import os
import re
import shutil
import subprocess

import harness

CACHE = os.path.join(harness.ROOT, "build", "foreign")


def codename():
    with open("/etc/os-release") as file:
        return dict(line.rstrip().split("=", 1) for line in file if "=" in line).get("VERSION_CODENAME", "").strip('"')


def source_stanzas():
    """The machine's own entries of this Debian release, in deb822 form, turned to sources. Other vendors' have none,
    and not every mirror has those of updates: which of two point releases a suite is of makes no difference here."""
    release, stanzas = codename(), []
    for path in ["/etc/apt/sources.list", *glob.glob("/etc/apt/sources.list.d/*.list")]:
        for line in open(path) if os.path.exists(path) else []:
            match = re.match(r"deb\s+(?:\[.*?\]\s+)?(\S+)\s+(\S+)\s+(.+)", line)
            if match and match.group(2) == release:
                stanzas.append("Types: deb-src\nURIs: %s\nSuites: %s\nComponents: %s\n" % (match.group(1), match.group(2), match.group(3).strip()))
    for path in glob.glob("/etc/apt/sources.list.d/*.sources"):
        with open(path) as file:
            text = re.sub(r"^#.*\n", "", file.read(), flags=re.M)
        for stanza in re.split(r"\n\s*\n", text):
            suites = re.search(r"^Suites:\s*(\S+)", stanza, re.M)
            if suites and suites.group(1) == release:
                stanza = re.sub(r"^Types:.*$", "Types: deb-src", stanza.strip(), flags=re.M)
                stanzas.append(re.sub(r"^Suites:.*$", "Suites: " + release, stanza, flags=re.M) + "\n")
    return stanzas


def apt(*words, timeout=300):
    folder = os.path.join(CACHE, "apt")
    options = {"Dir::Etc::sourcelist": "/dev/null", "Dir::Etc::sourceparts": os.path.join(folder, "parts"),
               "Dir::State::lists": os.path.join(folder, "lists"), "Dir::Cache": os.path.join(folder, "cache"),
               "APT::Sandbox::User": "", "APT::Get::List-Cleanup": "0", "Acquire::Languages": "none"}
    command = ["apt-get", "-qq", *(word for key, value in options.items() for word in ("-o", "%s=%s" % (key, value))), *words]
    subprocess.run(command, check=True, timeout=timeout, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


@contextlib.contextmanager
def one_at_a_time():
    """apt's folders are for one apt: suites begin two at once."""
    os.makedirs(CACHE, exist_ok=True)
    with open(os.path.join(CACHE, "lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def update():
    folder = os.path.join(CACHE, "apt")
    if os.path.exists(os.path.join(folder, "updated")):
        return
    for name in "parts", "lists/partial", "cache/archives/partial":
        os.makedirs(os.path.join(folder, name), exist_ok=True)
    with open(os.path.join(folder, "parts", "sources.sources"), "w") as file:
        file.write("\n".join(source_stanzas()))
    apt("update")
    open(os.path.join(folder, "updated"), "w").close()


def unpack(package):
    """The unpacked tree of the newest version of a source package."""
    tree = os.path.join(CACHE, package)
    with one_at_a_time():
        if os.path.exists(tree):
            return tree
        update()
        download = os.path.join(CACHE, "apt", package)
        shutil.rmtree(download, ignore_errors=True)
        apt("source", "--only-source", "--download-only", package)
        description = sorted(glob.glob(os.path.join(CACHE, "apt", glob.escape(package) + "_*.dsc")))[-1]
        subprocess.run(["dpkg-source", "--no-check", "-x", description, download], check=True, timeout=300,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.rename(download, tree)
    return tree


def build(tree, line, settings):
    """Runs a shell line in a tree; its output is shown if it fails."""
    outcome = harness.run(["sh", "-ec", line], False, 1200, cwd=tree, **settings)
    if outcome.status != 0:
        raise RuntimeError("building %s: status %s\n%s" % (tree, outcome.status, (outcome.output + outcome.errors).decode("utf-8", "replace")[-2000:]))
