"""Shows a training that is followed while it goes on.

A small model learns to write like the documentation of ingot. One process trains it and
publishes the weights after every step. Two others follow: one in the memory of an agent,
one in a folder without an agent. It prints what each step has moved and how long each
process had to pause for it, and ends with 1 if the weights are not the same everywhere.

usage: demo.py [--ingot PROGRAM] [--steps N] [--hidden N] [--warm N]
"""

import argparse
import json
import os
import pathlib
import queue
import socket
import subprocess
import sys
import tempfile
import threading

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parents[1]
REF = "demo/writer"
PATIENCE = 300  # seconds for whatever is waited for


class Process:
    """A program whose lines are documents, read by a thread."""

    def __init__(self, name, command, env):
        self.name = name
        self.lines = queue.Queue()
        self.ahead = None  # a document that was read too early
        self._process = subprocess.Popen([str(c) for c in command], stdout=subprocess.PIPE, text=True, env=env)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self._process.stdout:
            self.lines.put(line)
        self.lines.put(None)

    def line(self):
        try:
            line = self.lines.get(timeout=PATIENCE)
        except queue.Empty:
            raise SystemExit(f"the {self.name} says nothing for {PATIENCE} seconds") from None
        if line is None:
            raise SystemExit(f"the {self.name} has ended early")
        return line

    def next(self):
        """Returns the next document."""
        return json.loads(self.line())

    def stop(self):
        self._process.terminate()
        self._process.wait()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--ingot", default=TOP / "bin" / "ingot", type=pathlib.Path)
    parser.add_argument("--steps", default=10, type=int, help="versions to publish")
    parser.add_argument("--hidden", default=2048, type=int, help="width of the model")
    parser.add_argument("--warm", default=100, type=int, help="steps of the training before the first version")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ingot") as folder:
        started = []
        try:
            ok = show(options, pathlib.Path(folder), started)
        finally:
            for process in reversed(started):
                process.stop()
    sys.exit(0 if ok else 1)


def show(options, folder, started):
    def start(name, *command, **more):
        started.append(Process(name, command, {**env, **more}))
        return started[-1]

    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{s.getsockname()[1]}"
    env = {
        **os.environ, "PYTHONPATH": f"{TOP / 'python' / 'src'}", "PYTHONDONTWRITEBYTECODE": "1", "HOME": str(folder),
        "XDG_CACHE_HOME": str(folder / "cache"), "XDG_RUNTIME_DIR": str(folder), "OMP_NUM_THREADS": "1",
        "INGOT_REGISTRY": f"http://{address}", "INGOT_PROGRAM": str(options.ingot.resolve()),
    }  # fmt: skip
    env.pop("INGOT_AGENT", None)
    text = folder / "text"
    text.write_text("\n".join(p.read_text() for p in sorted((TOP / "docs").glob("*.md"))))
    quiet = ["--log-level", "error"]
    start("registry", options.ingot, "serve", "--data", folder / "registry", "--listen", address, *quiet).line()
    agent = folder / "agent.sock"
    start("agent", options.ingot, "agent", "--data", folder / "node", "--socket", agent, "--ram", "256MiB", "--disk", "1GiB", *quiet).line()
    followers = [
        start("agent's follower", sys.executable, HERE / "follow.py", REF, INGOT_AGENT=str(agent)),
        start("folder's follower", sys.executable, HERE / "follow.py", REF, XDG_RUNTIME_DIR=str(folder / "none")),
    ]
    trainer = start("training", sys.executable, HERE / "train.py", REF, text, options.steps, options.hidden, options.warm)
    steps = table(trainer, followers, options.steps)
    weights = {last["weights"] for last in steps[-1]}
    print(f"\nThe weights of all three processes are {'the same' if len(weights) == 1 else 'NOT the same'} after the last step.")
    return len(weights) == 1


def table(trainer, followers, steps):
    """Prints a line for each step, and returns what all processes have said of each."""
    print("                                    publisher          in an agent          in a folder")
    print("step   loss  changed       raw       sent   pause    received   pause    received   pause")
    rows = []
    for step in range(steps):
        made = trainer.next()
        seen = [until(f, made["receipt"]["digest"]) for f in followers]
        rows.append([made, *seen])
        row = f"{step:4} {made['loss']:6.3f} {100 * made['changed']:7.2f}% {size(made['receipt']['bytes_total'])}"
        row += f" {size(made['receipt']['bytes_sent'])} {1000 * made['pause']:4.0f} ms"
        for one in seen:
            row += f"   {size(one['receipt'].get('bytes_received', 0))} {1000 * one['pause']:4.0f} ms" if one else f"   {'skipped':>16}"
        print(row, flush=True)
    total = lambda n, key: sum(r[n]["receipt"].get(key, 0) for r in rows)  # noqa: E731
    raw, sent = total(0, "bytes_total"), total(0, "bytes_sent")
    print(f"\n{steps} versions of {size(rows[0][0]['receipt']['bytes_total']).strip()} took {size(sent).strip()} to publish: {100 * sent / raw:.1f} % of whole copies.")
    return rows


def until(follower, digest):
    """Returns what a follower says of a version; None if it was slow, and has the next."""
    said = follower.ahead or follower.next()
    follower.ahead = None if said["version"] == digest else said
    return None if follower.ahead else said


def size(n):
    return f"{n / (1 << 20):5.2f} MiB" if n >= 1 << 20 else f"{n / 1024:5.0f} KiB"


if __name__ == "__main__":
    main()
