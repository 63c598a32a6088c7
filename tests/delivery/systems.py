"""New systems of this machine's release of Debian, from where apt gets packages here."""
import subprocess


def say(*command):
    return subprocess.run(command, capture_output=True, text=True).stdout


def make_root(root, packages, *options):
    """None, or why not. Beside it lies ROOT.conf, with apt's settings of how to fetch."""
    suite = say("sh", "-c", ". /etc/os-release && echo $VERSION_CODENAME").strip()
    targets = [line.split() for line in say("apt-get", "indextargets", "--format", "$(REPO_URI) $(CODENAME) $(COMPONENT)", "Created-By: Packages").splitlines()]
    places = [target[0] for target in targets if target[1:] == [suite, "main"]]
    if not places:
        return "apt has no main component of %s" % suite
    settings = root + ".conf"
    with open(settings, "w") as file:
        file.write("".join(line + "\n" for line in say("apt-config", "dump").splitlines() if line.startswith("Acquire::")))
    done = subprocess.run(["mmdebstrap", "--variant=apt", "--aptopt=" + settings, "--include=" + ",".join(packages), *options, suite, root,
                           "deb %s %s main" % (places[0], suite)], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)
    return None if done.returncode == 0 else done.stderr[-500:]
