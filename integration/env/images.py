"""Carries out the steps of docker/Dockerfile in folders, as root, where no container
engine runs, and uses what comes out as an engine would: as the image's user, in the
image's environment, behind a network of its own.

It is no engine: base images are made of Debian's packages and the Go at hand, layers
are one folder, and nothing is known of cgroups. Run by "make image-check".

    images.py DOCKERFILE FOLDER
"""

import fnmatch
import hashlib
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys

from dockerfile_parse import DockerfileParser

SUITE = "bookworm"
GO_HOME = "/usr/local/go"


def say(*words):
    print("image-check:", *words, flush=True)


def run(*argv, **options):
    return subprocess.run(argv, check=True, **options)


def output(*argv):
    return subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


class Bases:
    """The images that others begin with, made here."""

    def __init__(self, folder):
        self.folder = folder

    def make(self, name):
        if name == "scratch":
            return None, {}
        if name == f"debian:{SUITE}-slim":
            return self.debian(), {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
        if re.fullmatch(rf"golang:1\.\d+(\.\d+)?-{SUITE}", name):
            return self.golang(), {
                "PATH": f"/go/bin:{GO_HOME}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                "GOPATH": "/go",
                "GOTOOLCHAIN": "local",
            }
        raise SystemExit(f"image-check: no base {name} can be made here: is it in docs/deploy.md?")

    def debian(self):
        return self.once("debian", lambda root: run("debootstrap", "--variant=minbase", SUITE, str(root)))

    def golang(self):
        debian = self.debian()

        def make(root):
            copy(debian, root)
            run("chroot", str(root), "apt-get", "update", "-qq")
            run("chroot", str(root), "apt-get", "install", "-y", "-qq", "--no-install-recommends",
                "ca-certificates", "gcc", "libc6-dev", env={"DEBIAN_FRONTEND": "noninteractive", "PATH": os.environ["PATH"]},
                stdout=subprocess.DEVNULL)
            shutil.copytree(output("go", "env", "GOROOT"), f"{root}{GO_HOME}", symlinks=True)

        return self.once("golang", make)

    def once(self, name, make):
        root = self.folder / name
        if not root.exists():
            say("making the base", name)
            part = self.folder / f".{name}"
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir(parents=True)
            make(part)
            shutil.copy("/etc/resolv.conf", part / "etc/resolv.conf")
            part.rename(root)
        return root


def copy(source, target):
    run("cp", "-a", "--reflink=auto", f"{source}/.", str(target))


class Stage:
    """One FROM and what follows it."""

    def __init__(self, build, name, base):
        self.build, self.name = build, name
        self.root = build.folder / "stages" / name
        shutil.rmtree(self.root, ignore_errors=True)
        self.root.mkdir(parents=True)
        if isinstance(base, Stage):
            copy(base.root, self.root)
            self.env, self.config = dict(base.env), dict(base.config)
        else:
            root, env = build.bases.make(base)
            self.env, self.config = dict(env), {}
            if root:
                copy(root, self.root)
        self.args, self.folder = {}, "/"

    def path(self, inside):
        return self.root / os.path.join(self.folder, inside).lstrip("/")

    def expand(self, text):
        known = {**self.args, **self.env}
        return re.sub(r"\$\{?(\w+)\}?", lambda m: known.get(m[1], ""), text)

    def step(self, word, value):
        handle = getattr(self, "do_" + word.lower(), None)
        if handle is None:
            raise SystemExit(f"image-check: {word} is not known here")
        handle(value)

    def do_arg(self, value):
        name, _, default = value.partition("=")
        self.args[name] = self.build.given.get(name, default)

    def do_env(self, value):
        for word in shlex.split(value):
            name, _, text = word.partition("=")
            self.env[name] = self.expand(text)

    def do_workdir(self, value):
        self.folder = os.path.join(self.folder, self.expand(value))
        self.path("").mkdir(parents=True, exist_ok=True)

    def do_copy(self, value):
        words = self.expand(value).split()
        source = self.build.context
        while words[0].startswith("--"):
            flag, _, given = words.pop(0).partition("=")
            if flag != "--from":
                raise SystemExit(f"image-check: COPY {flag} is not known here")
            source = self.build.stages[given].root
        *sources, target = words
        for s in sources:
            origin = source / s.lstrip("/")
            into = self.path(target)
            if origin.is_dir():
                into.mkdir(parents=True, exist_ok=True)
                copy(origin, into)
            else:
                into = into / origin.name if target.endswith("/") else into
                into.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(origin, into)

    def do_run(self, value):
        words = value.split()
        mounts = {}
        while words[0].startswith("--mount="):
            options = dict(o.split("=", 1) for o in words.pop(0)[len("--mount="):].split(","))
            mounts[options["target"]] = self.build.cache(options["target"])
        say(self.name, "RUN", " ".join(words)[:90])
        steps = ["mount --make-rprivate /"]
        for target, source in [*mounts.items(), ("/build-cache", self.build.cache("/build-cache"))]:
            self.path(target).mkdir(parents=True, exist_ok=True)
            steps.append(f"mount --bind {shlex.quote(str(source))} {shlex.quote(str(self.path(target)))}")
        self.path("/proc").mkdir(exist_ok=True)
        steps += [f"mount -t proc proc {shlex.quote(str(self.path('/proc')))}", f"mount --bind /dev {shlex.quote(str(self.path('/dev')))}",
                  "exec chroot " + shlex.quote(str(self.root)) + " /bin/sh -c " + shlex.quote(f"cd {self.folder} && " + " ".join(words))]
        run("unshare", "--mount", "--pid", "--fork", "sh", "-ec", "\n".join(steps),
            env={**self.build.outside, "GOCACHE": "/build-cache", **self.args, **self.env})
        shutil.rmtree(self.path("/build-cache"), ignore_errors=True)

    def remember(self, value):
        return json.loads(value)

    def do_user(self, value):
        self.config["user"] = value

    def do_entrypoint(self, value):
        self.config["entrypoint"] = self.remember(value)

    def do_cmd(self, value):
        self.config["cmd"] = self.remember(value)

    def do_healthcheck(self, value):
        self.config["health"] = self.remember(value.split("CMD", 1)[1].strip())

    def do_volume(self, value):
        self.config["volume"] = value

    def do_expose(self, value):
        self.config["port"] = value


class Build:
    def __init__(self, dockerfile, folder):
        self.dockerfile, self.folder = pathlib.Path(dockerfile), folder
        self.bases = Bases(folder)
        self.stages = {}
        self.given = {"VERSION": "0.0.0-image-check", "TARGETARCH": output("go", "env", "GOARCH"), "BUILDPLATFORM": "linux"}
        # How modules are reached from here is the machine's business.
        self.outside = {name: output("go", "env", name) for name in ("GOPROXY", "GOSUMDB", "GONOSUMDB", "GOFLAGS")}
        self.context = folder / "context"
        self.gather()

    def gather(self):
        """The context that an engine would be sent: what git has, less what is ignored."""
        shutil.rmtree(self.context, ignore_errors=True)
        rules = [r for r in pathlib.Path(f"{self.dockerfile}.dockerignore").read_text().split("\n") if r and not r.startswith("#")]
        for name in output("git", "ls-files", "--cached", "--others", "--exclude-standard").split("\n"):
            if os.path.isfile(name) and not ignored(name, rules):
                (self.context / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(name, self.context / name)

    def cache(self, target):
        # What this machine has fetched and compiled is not fetched and compiled again.
        if target == "/go/pkg/mod":
            return output("go", "env", "GOMODCACHE")
        if target == "/build-cache":
            return output("go", "env", "GOCACHE")
        folder = self.folder / "cache" / hashlib.sha256(target.encode()).hexdigest()[:12]
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def run(self):
        known, stage = {}, None
        for step in DockerfileParser(path=str(self.dockerfile)).structure:
            word, value = step["instruction"], step["value"]
            if word == "COMMENT":
                continue
            if word == "ARG" and stage is None:
                name, _, default = value.partition("=")
                known[name] = default
                continue
            if word == "FROM":
                words = [re.sub(r"\$\{?(\w+)\}?", lambda m: {**known, **self.given}[m[1]], w) for w in value.split()]
                words = [w for w in words if not w.startswith("--")]
                name = words[2] if len(words) == 3 else str(len(self.stages))
                stage = self.stages[name] = Stage(self, name, self.stages.get(words[0], words[0]))
                continue
            stage.step(word, value)


def ignored(name, rules):
    out = False
    for rule in rules:
        keep, pattern = rule.startswith("!"), rule.lstrip("!")
        parts = name.split("/")
        heads = ["/".join(parts[:n]) for n in range(1, len(parts) + 1)]
        if pattern.startswith("**/"):
            hit = any(fnmatch.fnmatchcase(p, pattern[3:]) for p in parts)
        else:
            hit = any(fnmatch.fnmatchcase(h, pattern) and h.count("/") == pattern.count("/") for h in heads)
        if hit:
            out = not keep
    return out


# What happens in the container: the image's command runs in the background,
# its health check until that is content, and then it is told to end.
INSIDE = """
ip link set lo up
mount --make-rprivate /
mkdir -p "$ROOT/proc" "$ROOT/dev"
mount -t proc proc "$ROOT/proc"
inside() { chroot --userspec="$OWNER" "$ROOT" "$@"; }
chroot --userspec="$OWNER" "$ROOT" $ENTRYPOINT $ARGS >"$OUT" 2>&1 &
pid=$!
tries=0
until inside $HEALTH >/dev/null 2>&1; do
    tries=$((tries + 1))
    if [ $tries -gt 100 ] || ! kill -0 $pid 2>/dev/null; then
        cat "$OUT"; echo "image-check: it does not become healthy" >&2; exit 1
    fi
    sleep 0.2
done
for also in $ALSO; do inside $ENTRYPOINT $also; done
kill -TERM $pid
wait $pid
"""


def start(stage, env, args=None, also=""):
    """Runs the image, and returns what it printed."""
    c = stage.config
    out = stage.build.folder / f"{stage.name}.log"
    run("unshare", "--mount", "--net", "--pid", "--fork", "sh", "-e", "-c", INSIDE, env={
        **stage.env, **env, "ROOT": str(stage.root), "OWNER": c["user"], "OUT": str(out), "ALSO": also,
        "ENTRYPOINT": shlex.join(c["entrypoint"]), "ARGS": shlex.join(args or c["cmd"]), "HEALTH": shlex.join(c["health"]),
        "PATH": os.environ["PATH"],
    })
    return out.read_text()


def want(what, good):
    if not good:
        raise SystemExit(f"image-check: {what}")
    say("ok:", what)


def size(root):
    return sum(p.lstat().st_size for p in root.rglob("*") if p.is_file() and not p.is_symlink()) >> 20


def check_registry(stage):
    c = stage.config
    argv = ["chroot", f"--userspec={c['user']}", str(stage.root), *c["entrypoint"]]
    refused = subprocess.run([*argv, *c["cmd"]], env={**stage.env, "PATH": os.environ["PATH"]}, stderr=subprocess.PIPE, text=True)
    want(f"started without TLS it says what is missing: {refused.stderr.strip()[:160]}", refused.returncode == 2 and "insecure" in refused.stderr)
    want(f"it is small: {size(stage.root)} MiB", size(stage.root) < 80)
    log = start(stage, {"INGOT_SERVE_INSECURE": "true"}, also="version")
    want("it serves as an unknown user, is healthy, prints its first token, and ends when it is told to", re.search(r"\bhf_[A-Za-z0-9]{33,}", log))
    programs = [p for p in stage.root.rglob("*") if p.is_file() and os.access(p, os.X_OK)]
    want(f"it holds one program: {[str(p.relative_to(stage.root)) for p in programs]}", [p.name for p in programs] == ["ingot"])
    linked = subprocess.run(["readelf", "-l", str(programs[0])], stdout=subprocess.PIPE, text=True).stdout
    want("which needs no library", "INTERP" not in linked)


def check_agent(stage):
    log = start(stage, {"INGOT_AGENT_REGISTRY": "none", "INGOT_AGENT_GPU": "1GiB", "INGOT_AGENT_RAM": "64MiB", "INGOT_AGENT_DISK": "64MiB", "INGOT_AGENT_NAME": "chroot"}, also="status")
    want("it starts as an unknown user, is healthy, and ends when it is told to", "serves /run/ingot/agent.sock" in log)
    program = str(stage.root / "usr/bin/ingot")
    dynamic = output("readelf", "-d", program)
    want("its libraries are glibc's", set(re.findall(r"\[(lib[^\]]+)\]", dynamic)) <= {"libc.so.6", "libdl.so.2", "libpthread.so.0", "libresolv.so.2"})
    want("NVML is bound when it is first called", "BIND_NOW" not in dynamic and "NOW" not in dynamic)
    say("the agent's image has", size(stage.root), "MiB, of which the base is", size(stage.build.bases.debian()), "MiB")


def main(dockerfile, folder):
    build = Build(dockerfile, pathlib.Path(folder).absolute())
    build.run()
    check_registry(build.stages["registry"])
    check_agent(build.stages["agent"])


if __name__ == "__main__":
    main(*sys.argv[1:])
