"""The tree for images, in roots that have nothing else: by bubblewrap, and as an image by buildah where that works."""
import os
import shutil
import subprocess
import tempfile

import yaml

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


APP = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {holdline: enabled}}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
        - {name: app, image: web, env: [{name: A, value: b}], volumeMounts: [{name: data, mountPath: /data}]}
        - {name: beside, image: other}
      volumes: [{name: data, emptyDir: {}}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: left-alone}
spec:
  selector: {matchLabels: {app: other}}
  template:
    metadata: {labels: {app: other}}
    spec: {containers: [{name: app, image: other}]}
"""

# What identifies an element of a list, where a patch is merged into it (the API's x-kubernetes-patch-merge-key).
MERGE_KEYS = {"volumeMounts": "mountPath"}


def merge(value, patch, key="name"):
    """A strategic merge patch, as far as ours goes: new elements of a list come first."""
    if isinstance(patch, dict):
        return {**value, **{name: merge(value[name], inner, MERGE_KEYS.get(name, "name")) if name in value else inner for name, inner in patch.items()}}
    if isinstance(patch, list):
        new = [inner for inner in patch if inner[key] not in [old[key] for old in value]]
        return new + [next((merge(old, inner) for inner in patch if inner[key] == old[key]), old) for old in value]
    return patch


def apply_by_hand(component, patch):
    """The documents with the component's patch, where its selector says."""
    label, value = component["patches"][0]["target"]["labelSelector"].split("=")
    wanted = component["patches"][0]["target"]["kind"]
    documents = list(yaml.safe_load_all(APP))
    return [merge(document, {"spec": patch["spec"]}) if document["kind"] == wanted and document["metadata"].get("labels", {}).get(label) == value
            else document for document in documents]


def apply_by_kubectl(folder):
    """By a kubectl that knows components (1.21 and later: Debian 12 has an older one); None if there is none."""
    with tempfile.TemporaryDirectory(prefix="holdline-kustomize-") as work:
        shutil.copytree(folder, os.path.join(work, "component"))
        with open(os.path.join(work, "app.yaml"), "w") as file:
            file.write(APP)
        with open(os.path.join(work, "kustomization.yaml"), "w") as file:
            file.write("resources: [app.yaml]\ncomponents: [component]\n")
        done = subprocess.run(["kubectl", "kustomize", work], capture_output=True, text=True, timeout=60) if shutil.which("kubectl") else None
        if not done or (done.returncode != 0 and "unknown field" in done.stderr):
            return None
        if done.returncode != 0:
            raise RuntimeError(done.stderr)
        return list(yaml.safe_load_all(done.stdout))


def by_name(documents):
    return sorted(documents, key=lambda document: document["metadata"]["name"])


def test_manifests():
    """The component changes the Deployments that ask for it, and no others."""
    folder = os.path.join(harness.ROOT, "tools", "packaging", "kubernetes")
    with open(os.path.join(folder, "holdline.yaml")) as file:
        patch = yaml.safe_load(file)
    with open(os.path.join(folder, "kustomization.yaml")) as file:
        component = yaml.safe_load(file)
    tally.expect("the component names the patch", component["kind"] == "Component" and component["patches"][0]["path"] == "holdline.yaml", component)
    left, web = by_name(apply_by_hand(component, patch))
    pod = web["spec"]["template"]["spec"]
    app, beside, init = *pod["containers"], pod["initContainers"][0]
    tally.expect("others are left alone", left == by_name(yaml.safe_load_all(APP))[0] and beside == {"name": "beside", "image": "other"}, (left, beside))
    tally.expect("the program has the library", app["env"] == [{"name": "LD_PRELOAD", "value": LIBRARY}, {"name": "A", "value": "b"}] and
                 {"name": "holdline", "mountPath": TREE, "readOnly": True} in app["volumeMounts"] and app["image"] == "web", app)
    tally.expect("the init container brings it", init["command"][0] == "/bin/cp" and init["command"][2] == TREE + "/." and
                 init["command"][3].rstrip("/") == init["volumeMounts"][0]["mountPath"] and init["volumeMounts"][0]["name"] == "holdline", init)
    tally.expect("its volume", [volume["name"] for volume in pod["volumes"]] == ["holdline", "data"], pod["volumes"])
    rendered = apply_by_kubectl(folder)
    if not rendered:
        tally.skip("kustomize", "needs a kubectl that knows components; the patch was applied by hand")
        return
    tally.expect("kustomize says the same", by_name(rendered) == [left, web], rendered)


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


# A mount namespace with control groups of version 2 alone, where this system has both: crun wants one of them. The
# limits are those that it would raise, which needs a right that root may not have here.
PODMAN = """mount -t cgroup2 none /sys/fs/cgroup && mkdir -p "$0" && chown nobody "$0" && HOME=$0 XDG_RUNTIME_DIR=$0 exec $AS podman \\
    --storage-driver vfs --root "$0/storage" --runroot "$0/run" "$@" """
NOBODY = "setpriv --reuid=65534 --regid=65534 --clear-groups"
UNLIMITED = ["--rm", "--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024", "--cgroups=disabled", "--network=host"]


def podman(storage, *arguments, user=""):
    done = subprocess.run(["unshare", "--mount", "--propagation", "private", "sh", "-c", PODMAN, storage, *arguments], stdin=subprocess.DEVNULL,
                          cwd="/", capture_output=True, text=True, timeout=120, env={**os.environ, "AS": user})
    return done.returncode, done.stdout + done.stderr


def test_podman():
    """The image as podman runs it, with its own filter of system calls: the command, and the relay; only the long form."""
    if not harness.HEAVY:
        return
    if not shutil.which("podman") or os.geteuid() != 0:
        tally.skip("podman", "needs podman and root")
        return
    with tempfile.TemporaryDirectory(prefix="holdline-podman-") as folder, harness.Server() as server:
        make_tree(folder + "/context")
        os.symlink("cp", os.path.join(folder, "context/bin/wget"))
        storage = os.path.join(folder, "storage")
        build = ["build", "-f", os.path.join(harness.ROOT, "tools/packaging/container/Dockerfile"), "-t", "holdline", folder + "/context"]
        status, said = podman(storage, *build)
        if not tally.expect("podman: built", status == 0, said[-2000:]):
            return
        status, said = podman(storage, "run", *UNLIMITED, "holdline", "version", "--verbose")
        tally.expect("podman: version", status == 0 and "library: " + LIBRARY in said, said)
        status, said = podman(storage, "run", *UNLIMITED, "holdline", "check", "/bin/wget")
        tally.expect("podman: its filter allows a relay", status == 0 and "relay serves it" in said, said)
        urls = [server.url("/bytes/10")] * 3
        for title, command, n in (("bare", ["--entrypoint=/bin/wget", "holdline"], 3), ("by a relay", ["holdline", "run", "--quiet", "--", "/bin/wget"], 1)):
            server.reset()
            status, said = podman(storage, "run", *UNLIMITED, *command, "-q", "-O", "-", *urls)
            tally.expect("podman: " + title, status == 0 and server.stats()["requests"] == 3 and server.stats()["connections"] == n, (said, server.stats()))
        podman(storage, "rmi", "--all", "--force")
        # Without root; its only user there is the one that it is here.
        os.chmod(folder, 0o755)
        storage = os.path.join(folder, "rootless")
        podman(storage, *build, user=NOBODY)
        status, said = podman(storage, "run", *UNLIMITED, "holdline", "check", "/bin/wget", user=NOBODY)
        tally.expect("podman: without root", status == 0 and "relay serves it" in said, said)
        # Ends the process that keeps its user namespace.
        podman(storage, "system", "migrate", user=NOBODY)
