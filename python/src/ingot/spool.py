"""Where snapshots wait until they are uploaded.

Laws:
  - A spool belongs to one process at a time, and to the upload that it has begun: the
    lock is open in that too, and outlives a process that is killed.
  - The snapshot that was published last stays, also when the process ends: the next
    one is sent as what differs from it. So there are two at most.
"""

from __future__ import annotations

import fcntl
import json
import os
import pathlib
import re
import shutil

_SLOTS = ("0", "1")
_LAST = "last.json"
_PROCESSES = 64  # of one machine that have folders for one reference


def default(kind: str = "publish") -> pathlib.Path:
    """Returns the folder of all spools, or of all folders of another kind."""
    cache = os.environ.get("XDG_CACHE_HOME", "")
    return (pathlib.Path(cache) if os.path.isabs(cache) else pathlib.Path.home() / ".cache") / "ingot" / kind


class Spool:
    """The snapshots of one reference."""

    def __init__(self, root: pathlib.Path, ref: str):
        self.folder, self.lock = own(root, ref)
        self._last = self._recall()  # the slot that was published
        for slot in _SLOTS:
            if slot != self._last:
                shutil.rmtree(self.folder / slot, ignore_errors=True)

    def new(self) -> pathlib.Path:
        """Returns an empty folder for the next snapshot."""
        path = self.folder / _SLOTS[self._last == _SLOTS[0]]
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir()
        return path

    def drop(self, path: pathlib.Path) -> None:
        """Removes a snapshot that was not published."""
        shutil.rmtree(path, ignore_errors=True)

    def published(self, path: pathlib.Path, digest: str) -> None:
        """Keeps a snapshot in place of the one before."""
        fresh = self.folder / (_LAST + ".new")
        fresh.write_text(json.dumps({"slot": path.name, "digest": digest}))
        fresh.replace(self.folder / _LAST)
        before, self._last = self._last, path.name
        if before:
            shutil.rmtree(self.folder / before, ignore_errors=True)

    def close(self) -> None:
        os.close(self.lock)

    def _recall(self) -> str:
        """Returns the slot that an earlier process has published last."""
        try:
            slot = json.loads((self.folder / _LAST).read_text())["slot"]
        except (OSError, ValueError, KeyError, TypeError):
            return ""  # there is none, or it was cut off
        return slot if slot in _SLOTS and (self.folder / slot).is_dir() else ""


def own(root: pathlib.Path, ref: str) -> tuple[pathlib.Path, int]:
    """Returns the first folder for a reference that no process has, and the lock by which this has it."""
    name = re.sub("[^A-Za-z0-9._-]", "--", ref)
    for n in range(_PROCESSES):
        folder = root / (f"{name}.{n}" if n else name)
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return folder, lock
        except BlockingIOError:
            os.close(lock)
    raise OSError(f"{root / name}: {_PROCESSES} processes are there already")
