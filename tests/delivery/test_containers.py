"""The tree for images, in roots that have nothing else: by bubblewrap, and as an image by buildah where that works."""
import os
import shutil
import subprocess
import tempfile

import harness
from suite import tally

TREE = "/opt/holdline"
COMMAND = TREE + "/bin/holdline"
LIBRARY = TREE + "/lib/holdline/libholdline.so"


def make_tree(folder):
    done = subprocess.run(["make", "--no-print-directory", "-s", "-C", harness.ROOT, "-o", "all", "container", "BUILD=" + os.path.abspath(harness.PRODUCT)],
                          env={key: value for key, value in os.environ.items() if not key.startswith("MAKE")}, capture_output=True, text=True)
    built = os.path.join(harness.PRODUCT, "container")
    if done.returncode == 0:
        shutil.copytree(built, folder, dirs_exist_ok=True)
    return done


def in_empty_root(folder, *command, binds=()):
    """Runs it where there is nothing but the tree, /proc, /dev and what is bound; the network is this one's."""
    arguments = ["bwrap", "--bind", folder, "/", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--clearenv", "--setenv", "PATH", "/bin"]
    for source, target in binds:
        arguments += ["--ro-bind", source, target]
    done = subprocess.run([*arguments, "--", *command], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30)
    return done.returncode, done.stdout + done.stderr


def test_scratch():
    """The command, a static program by the relay, and a program with this system's libraries by the library."""
    if not shutil.which("bwrap"):
        tally.skip("containers", "needs bubblewrap")
        return
    with tempfile.TemporaryDirectory(prefix="holdline-image-") as folder, harness.Server() as server:
        done = make_tree(folder)
        if not tally.expect("the tree is made", done.returncode == 0, done.stderr[-2000:]):
            return
        if in_empty_root(folder, COMMAND, "--version")[0] and "ermission" in in_empty_root(folder, COMMAND, "--version")[1]:
            tally.skip("containers", in_empty_root(folder, COMMAND, "--version")[1].strip())
            return
        status, said = in_empty_root(folder, COMMAND, "version", "--verbose")
        tally.expect("scratch: version", status == 0 and "library: " + LIBRARY in said, (status, said))
        status, said = in_empty_root(folder, COMMAND, "env", "--mode=observe")
        tally.expect("scratch: env", (status, said) == (0, "LD_PRELOAD=%s\nHOLDLINE_MODE=observe\n" % LIBRARY), (status, said))
        status, said = in_empty_root(folder, COMMAND, "doctor", "--json", "--window=0")
        tally.expect("scratch: doctor", status in (0, 1, 2) and said.startswith("{"), (status, said[:300]))
        if os.path.exists(os.path.join(folder, "bin/cp")):
            os.symlink("cp", os.path.join(folder, "bin/wget"))
            server.reset()
            status, said = in_empty_root(folder, COMMAND, "run", "--quiet", "--", "/bin/wget", "-q", "-O", "-", server.url("/bytes/10"))
            tally.expect("scratch: a static program", status == 0 and len(said.strip()) == 10, (status, said))
            status, said = in_empty_root(folder, COMMAND, "check", "/bin/wget")
            tally.expect("scratch: check", status == 0 and "relay serves it" in said, (status, said))
            os.mkdir(os.path.join(folder, "target"))
            status, said = in_empty_root(folder, "/bin/cp", "-a", TREE + "/.", "/target/")
            tally.expect("scratch: the init container's copy", status == 0 and os.path.exists(folder + "/target/bin/holdline"), said)
        # As in an image of Debian, with the variable that `env` prints.
        for name in ("usr", "lib", "lib64", "bin2"):
            os.makedirs(os.path.join(folder, name), exist_ok=True)
        server.reset()
        binds = [("/usr", "/usr"), ("/lib64", "/lib64"), ("/lib", "/lib"), (harness.ROOT + "/tests/delivery", "/mnt/tests")]
        os.makedirs(os.path.join(folder, "mnt/tests"))
        status, said = in_empty_root(folder, "/usr/bin/env", "LD_PRELOAD=" + LIBRARY, "/usr/bin/python3", "/mnt/tests/client.py", str(server.port), "5",
                                     binds=binds)
        tally.expect("an image with libc", status == 0 and server.stats()["connections"] == 1, (status, said, server.stats()))


def test_manifests():
    """They are YAML with the paths of the tree. No kubectl of Debian knows components: they were not applied."""
    folder = os.path.join(harness.ROOT, "tools", "packaging", "kubernetes")
    try:
        import yaml
    except ImportError:
        tally.skip("manifests", "needs python3-yaml")
        return
    with open(os.path.join(folder, "holdline.yaml")) as file:
        pod = yaml.safe_load(file)["spec"]["template"]["spec"]
    with open(os.path.join(folder, "kustomization.yaml")) as file:
        component = yaml.safe_load(file)
    container = pod["containers"][0]
    volume = pod["volumes"][0]["name"]
    tally.expect("the volume is mounted in both", all(mount["name"] == volume for c in (container, pod["initContainers"][0]) for mount in c["volumeMounts"]), pod)
    tally.expect("the library is in it", container["env"][0] == {"name": "LD_PRELOAD", "value": LIBRARY} and
                 container["volumeMounts"][0]["mountPath"] == TREE, container)
    tally.expect("the component names the patch", component["kind"] == "Component" and component["patches"][0]["path"] == "holdline.yaml", component)


def test_image():
    """The Dockerfile, by buildah; only the long form."""
    if not harness.HEAVY:
        return
    if not shutil.which("buildah"):
        tally.skip("image", "needs buildah")
        return
    with tempfile.TemporaryDirectory(prefix="holdline-image-") as folder:
        done = make_tree(folder)
        storage = ["buildah", "--storage-driver", "vfs", "--root", folder + "-storage", "--runroot", folder + "-run"]
        try:
            built = subprocess.run([*storage, "bud", "--isolation", "chroot", "-f", os.path.join(harness.ROOT, "tools/packaging/container/Dockerfile"),
                                    "-t", "holdline", folder], capture_output=True, text=True, timeout=120)
            if not tally.expect("image: built", done.returncode == 0 and built.returncode == 0, built.stdout + built.stderr):
                return
            name = subprocess.run([*storage, "from", "holdline"], capture_output=True, text=True).stdout.strip()
            ran = subprocess.run([*storage, "run", "--isolation", "chroot", name, "--", COMMAND, "version", "--verbose"], capture_output=True,
                                 text=True, timeout=60)
            tally.expect("image: runs", ran.returncode == 0 and "library: " + LIBRARY in ran.stdout, (ran.stdout, ran.stderr))
        finally:
            subprocess.run([*storage, "rm", "--all"], capture_output=True)
            for path in (folder + "-storage", folder + "-run"):
                shutil.rmtree(path, ignore_errors=True)
