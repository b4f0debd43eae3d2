"""The folder in which clients of the Hugging Face Hub keep models.

    models--NAMESPACE--NAME/blobs/SHA256        the bytes of a file
                            refs/NAME           the commit of a branch or tag
                            snapshots/COMMIT/…  a link to a blob for each file
                            trees/COMMIT.json   the listing, which says when all is there

Laws:
  - A blob is whole and was compared with its sha256 before it has its name.
  - A ref names a commit only when what was wanted of it is there.
  - What was interrupted goes on from where it was. Two processes that write one blob
    at a time write the same bytes to the same places.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import pathlib
import tempfile
from typing import Callable, Iterable, Iterator

from .errors import HubError
from .hub import Hub, RepoFile, Revision

_BLOCK = 1 << 20  # bytes

Seen = Callable[[int], object]


def default() -> str:
    """Returns the folder that huggingface_hub would use."""
    env = os.environ.get
    named = env("HF_HUB_CACHE") or env("HUGGINGFACE_HUB_CACHE")
    home = env("HF_HOME") or os.path.join(env("XDG_CACHE_HOME") or "~/.cache", "huggingface")
    return os.path.expandvars(os.path.expanduser(named or os.path.join(home, "hub")))


class Cache:
    """The folder of one repository in such a folder."""

    def __init__(self, folder: str | os.PathLike[str], repo: str):
        name = "models--" + repo.replace("/", "--")
        self._folder = pathlib.Path(folder).absolute() / name
        self._locks = self._folder.parent / ".locks" / name

    def snapshot(self, commit: str) -> pathlib.Path:
        """Returns where the files of a commit are, or would be."""
        return self._folder / "snapshots" / commit

    def commit(self, revision: str) -> str:
        """Returns the commit that a branch or tag named when it was last asked for, or ""."""
        try:
            return (self._folder / "refs" / revision).read_text()
        except (OSError, UnicodeDecodeError):
            return ""

    def listing(self, commit: str) -> list[RepoFile] | None:
        """Returns the files of a commit, if they are known."""
        try:
            files = json.loads((self._folder / "trees" / f"{commit}.json").read_bytes())["files"]
            return [RepoFile(p, f["size"], f.get("lfs_sha256") or "", f["blob_id"]) for p, f in files.items()]
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def has(self, commit: str, file: RepoFile) -> bool:
        try:
            return os.stat(self.snapshot(commit) / file.path).st_size == file.size
        except OSError:
            return False

    def fetch(self, hub: Hub, revision: Revision, file: RepoFile, seen: Seen) -> None:
        """Makes a file of a snapshot, unless it is there."""
        if self.has(revision.commit, file):
            seen(file.size)
            return
        with self._alone(file.name):
            blob = self._folder / "blobs" / file.name
            if file.sha256 and blob.is_file() and blob.stat().st_size == file.size:
                seen(file.size)
            else:
                blob = self._blob(hub, revision, file, seen)
            self._link(self.snapshot(revision.commit) / file.path, blob)

    def finish(self, revision: Revision) -> None:
        """Notes what a commit has, and that its branch or tag names it."""
        files = {
            path: {"size": f.size, "blob_id": name, "lfs_sha256": name, "lfs_size": f.size}
            if len(name) == 64
            else {"size": f.size, "blob_id": name}
            for path, f in sorted(revision.files.items())
            for name in [self._name(revision.commit, f)]
        }
        _replace(self._folder / "trees" / f"{revision.commit}.json", json.dumps({"format_version": 1, "files": files}, indent=1))
        if revision.revision != revision.commit:
            _replace(self._folder / "refs" / revision.revision, revision.commit)

    def _name(self, commit: str, file: RepoFile) -> str:
        """Returns the sha256 of a file, which may be known from its blob only."""
        if file.sha256 or not self.has(commit, file):
            return file.name
        return os.path.basename(os.readlink(self.snapshot(commit) / file.path))

    @contextlib.contextmanager
    def _alone(self, name: str) -> Iterator[None]:
        """Keeps others out who would fetch the same, of huggingface_hub too."""
        self._locks.mkdir(parents=True, exist_ok=True)
        with open(self._locks / f"{name}.lock", "a") as lock:
            with contextlib.suppress(OSError):  # of a file system without locks
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _blob(self, hub: Hub, revision: Revision, file: RepoFile, seen: Seen) -> pathlib.Path:
        part = self._folder / "blobs" / f"{file.name}.part"
        part.parent.mkdir(parents=True, exist_ok=True)
        with open(os.open(part, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644), "r+b") as f:
            sha256 = _fill(hub, revision, file, f, seen)
            if file.sha256 and sha256 != file.sha256:
                os.unlink(part)
                raise HubError(502, f"{revision.ref}/{file.path}: the bytes that came do not have the sha256 of the file")
            os.fsync(f.fileno())
            blob = part.with_name(sha256)
            with contextlib.suppress(FileNotFoundError):  # another process was faster
                os.replace(part, blob)
        return blob

    def _link(self, at: pathlib.Path, blob: pathlib.Path) -> None:
        at.parent.mkdir(parents=True, exist_ok=True)
        new = f"{at}.{os.urandom(4).hex()}.new"
        os.symlink(os.path.relpath(blob, at.parent), new)
        os.replace(new, at)


def _fill(hub: Hub, revision: Revision, file: RepoFile, f, seen: Seen) -> str:
    """Completes a file that may have its beginning already, and returns its sha256."""
    digest, at = hashlib.sha256(), 0
    for block in _blocks(f, file.size):
        digest.update(block)
        at += len(block)
    seen(at)
    f.seek(at)
    for block in hub.blocks(revision, file, at):
        digest.update(block)
        f.write(block)
        seen(len(block))
    f.truncate(file.size)
    f.flush()
    return digest.hexdigest()


def _blocks(f, most: int) -> Iterable[bytes]:
    while most and (block := f.read(min(_BLOCK, most))):
        most -= len(block)
        yield block


def _replace(path: pathlib.Path, content: str) -> None:
    """Writes a small file, which readers see whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fd, name = tempfile.mkstemp(dir=path.parent, suffix=".new")
    with open(fd, "w") as f:
        f.write(content)
        os.fchmod(fd, 0o644)
    os.replace(name, path)
