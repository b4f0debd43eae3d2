"""Models as a file system of fsspec: ingot://namespace/model:tag/path.

Laws:
  - An open file never changes: it is of the version that its name meant when it was
    opened, and its path says so.
  - What is written is visible when it is committed and not before: a file when it is
    closed, everything of a transaction at its end, one commit for each branch.
  - Folders are there by their files.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
from collections import OrderedDict
from datetime import datetime
from typing import Any, Iterator

from fsspec.callbacks import DEFAULT_CALLBACK
from fsspec.spec import AbstractFileSystem

from . import address
from .agent import Agent
from .commits import Change, Publisher, Stored
from .errors import AgentError
from .fs_files import Changes, ReadFile, Transaction, WriteFile
from .hub import Hub, RepoFile, Revision
from .reference import Reference, parse

_EXPIRY = 10.0  # seconds that what a branch or tag names is taken for known
_KEPT = 32  # revisions whose files are remembered
_TITLE = "Write {} with ingot.fs"


class _Own(threading.local):
    """What a thread has changed and not committed yet."""

    changes: Changes | None = None


class IngotFileSystem(AbstractFileSystem):
    """The models of a registry, read through the agent of this machine if there is one.

    Args:
        agent: The agent to read through: its socket or URL. Otherwise INGOT_AGENT,
            otherwise one that listens at the usual path.
        registry: The registry to write to, and to read from if no agent is given.
            Otherwise INGOT_REGISTRY, otherwise the one that the agent has.
        listings_expiry_time: Seconds until it is asked anew what a branch or tag names.
    """

    protocol = "ingot"
    transaction_type = Transaction

    def __init__(self, agent: Any = None, registry: str | None = None, **options: Any):
        if self._cached:
            return
        options.setdefault("listings_expiry_time", _EXPIRY)
        super().__init__(agent=agent, registry=registry, **options)
        self._registry = registry
        place = address.reading(agent, registry)
        self._agent = Agent(place.address) if place.agent else None
        self.hub = Hub(*place)
        self._publisher: Publisher | None = None
        self._own = _Own()
        self._revisions: OrderedDict[tuple[str, str], Revision] = OrderedDict()
        self._heads: dict[tuple[str, str], str] = {}  # commits of this instance that were not read yet

    @property
    def fsid(self) -> str:
        return f"ingot-{self.hub.address}"

    # What is there.

    def ls(self, path: str, detail: bool = True, refresh: bool = False, **_: Any) -> list[Any]:
        path = self._strip_protocol(path)
        if refresh:
            self.invalidate_cache(path)
        if path.count("/") == 0:
            found = self._models(path)
        else:
            ref = _there(path)
            revision = self._revision(ref)
            found = [self.describe(path, revision, revision.files[ref.path])] if ref.path in revision.files else None
            found = self._below(path, ref, revision) if found is None else found
        return found if detail else [one["name"] for one in found]

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        path = self._strip_protocol(path)
        if path.count("/") == 0:
            if path:
                self._models(path)
            return _folder(path)
        ref = _there(path)
        revision = self._revision(ref)
        if file := revision.files.get(ref.path):
            return self.describe(path, revision, file)
        self._below(path, ref, revision)
        return _folder(path)

    def exists(self, path: str, **kwargs: Any) -> bool:
        """Tells whether there is something; a registry that does not answer is an error."""
        return self._kind(path) is not None

    def isfile(self, path: str) -> bool:
        return self._kind(path) == "file"

    def isdir(self, path: str) -> bool:
        return self._kind(path) == "directory"

    def modified(self, path: str) -> datetime:
        """Returns when the version came into being."""
        text = self._revision(_there(self._strip_protocol(path))).modified
        return datetime.fromisoformat(text.replace("Z", "+00:00"))

    created = modified

    def ukey(self, path: str) -> str:
        info = self.info(path)
        return info.get("sha256") or f"{info.get('commit')}/{path}"

    def invalidate_cache(self, path: str | None = None) -> None:
        self.dircache.clear()
        self._heads.clear()
        super().invalidate_cache(path)

    # What files have.

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: Any) -> bytes:
        revision, file = self._file(path)
        start, end, _step = slice(start, end).indices(file.size)
        return self.hub.read(revision, file, start, end)

    def get_file(self, rpath: str, lpath: Any, callback: Any = DEFAULT_CALLBACK, outfile: Any = None, **_: Any) -> None:
        if not outfile and hasattr(lpath, "write"):
            outfile = lpath
        if not outfile and self.isdir(rpath):
            os.makedirs(lpath, exist_ok=True)
            return
        revision, file = self._file(rpath)
        callback.set_size(file.size)
        if outfile:
            self.hub.save(revision, file, outfile, callback.relative_update)
            return
        os.makedirs(os.path.dirname(os.path.abspath(lpath)), exist_ok=True)
        with _replaced(lpath) as out:
            self.hub.save(revision, file, out, callback.relative_update)

    def _open(self, path: str, mode: str = "rb", block_size: int | None = None, autocommit: bool = True, **more: Any) -> Any:
        if mode == "rb":
            revision, file = self._file(path)
            fixed = str(Reference(revision.repo, revision.commit, file.path))
            return ReadFile(self, fixed, revision, file, block_size or self.blocksize, **more)
        if mode not in ("wb", "xb"):
            raise NotImplementedError(f"{path}: mode {mode!r}: files of models are written whole")
        if mode == "xb" and self.exists(path):
            raise FileExistsError(path)
        return WriteFile(self, path, mode, self.writable(path), block_size or self.blocksize, autocommit)

    # What changes.

    def put(self, *args: Any, **kwargs: Any) -> None:
        with self._together():
            super().put(*args, **kwargs)

    def pipe(self, *args: Any, **kwargs: Any) -> None:
        with self._together():
            super().pipe(*args, **kwargs)

    def copy(self, path1: Any, path2: Any, *args: Any, **kwargs: Any) -> None:
        if isinstance(path1, str) and self._staged(path1) is not None:
            self.cp_file(path1, path2)
            return
        with self._together():
            super().copy(path1, path2, *args, **kwargs)

    def mv(self, *args: Any, **kwargs: Any) -> None:
        with self._together():
            super().mv(*args, **kwargs)

    def put_file(self, lpath: Any, rpath: str, callback: Any = DEFAULT_CALLBACK, mode: str = "overwrite", **_: Any) -> None:
        if os.path.isdir(lpath):
            return
        if mode == "create" and self.exists(rpath):
            raise FileExistsError(rpath)
        ref = self.writable(rpath)
        with open(lpath, "rb") as f:
            size = os.fstat(f.fileno()).st_size
            callback.set_size(size)
            self.change(ref, self.publisher.upload(ref.repo, f, size))
            callback.absolute_update(size)

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **_: Any) -> None:
        with self.open(path, "xb" if mode == "create" else "wb") as f:
            f.write(value)

    def cp_file(self, path1: str, path2: str, **_: Any) -> None:
        to = self.writable(path2)
        stored = self._staged(path1)
        if stored is None or (stored.inline is None and parse(self._strip_protocol(path1)).repo != to.repo):
            if stored is None and self.isdir(path1):
                return
            stored = self._copied(path1, to.repo)
        self.change(to, stored)

    def rm_file(self, path: str) -> None:
        ref = self.writable(path)
        if self.isfile(path):
            self.change(ref, None)
        elif self._staged(path) is not None:
            del self._waiting()[ref.repo, ref.revision][ref.path]
        else:
            raise FileNotFoundError(path)

    _rm = rm_file

    def rm(self, path: Any, recursive: bool = False, maxdepth: int | None = None) -> None:
        with self._together():
            for one in [path] if isinstance(path, str) else path:
                if self._staged(one) is not None:
                    self.rm_file(one)
                    continue
                for found in self.expand_path(one, recursive=recursive, maxdepth=maxdepth):
                    if not self.isdir(found):
                        self.rm_file(found)
                    elif not recursive:
                        raise IsADirectoryError(f"{found}: remove folders with recursive=True")

    # How that is done.

    def _kind(self, path: str) -> str | None:
        try:
            return self.info(path)["type"]
        except FileNotFoundError:
            return None

    def _models(self, namespace: str) -> list[dict[str, Any]]:
        names = self.hub.models(namespace)
        if namespace and not names:
            raise FileNotFoundError(f"{namespace} has no models that can be read ({self.hub.address})")
        return [_folder(name) for name in (names if namespace else sorted({n.split("/")[0] for n in names}))]

    def _below(self, path: str, ref: Reference, revision: Revision) -> list[dict[str, Any]]:
        """Lists a folder of a revision."""
        prefix = ref.path + "/" if ref.path else ""
        found: dict[str, dict[str, Any]] = {}
        for file in revision.files.values():
            if file.path.startswith(prefix):
                name, deeper, _ = file.path[len(prefix) :].partition("/")
                child = f"{path}/{name}"
                found[child] = _folder(child) if deeper else self.describe(child, revision, file)
        if prefix and not found:
            raise FileNotFoundError(f"{path} is not there ({self.hub.address})")
        return sorted(found.values(), key=lambda one: one["name"])

    def describe(self, path: str, revision: Revision, file: RepoFile) -> dict[str, Any]:
        """Returns what info says of a file."""
        return {"name": path, "size": file.size, "type": "file", "sha256": file.sha256, "commit": revision.commit}

    def _revision(self, ref: Reference) -> Revision:
        """Returns what a reference means, which is asked anew after a time."""
        key = (ref.repo, ref.revision)
        if ref.fixed and key in self._revisions:
            return self._revisions[key]
        with contextlib.suppress(KeyError):
            return self.dircache[key]
        # What was committed here is not lost of sight if an agent hears of it later.
        asked = ref._replace(revision=self._heads.pop(key, ref.revision))
        found = self.hub.revision(asked, lambda commit: self._revisions.get((ref.repo, commit)))
        self._revisions[ref.repo, found.commit] = found
        while len(self._revisions) > _KEPT:
            self._revisions.popitem(last=False)
        self.dircache[key] = found
        return found

    def _file(self, path: str) -> tuple[Revision, RepoFile]:
        ref = _there(self._strip_protocol(path))
        revision = self._revision(ref)
        if ref.path not in revision.files:
            self._below(path, ref, revision)
            raise IsADirectoryError(path)
        return revision, revision.files[ref.path]

    @contextlib.contextmanager
    def _together(self) -> Iterator[None]:
        """Makes one commit for each branch of what this thread changes within, unless there
        is a transaction. What other threads change meanwhile is theirs."""
        if self._waiting() is not None:
            yield
            return
        self._own.changes = changes = {}
        try:
            yield
        finally:
            self._own.changes = None
        self.commit(changes)

    def _waiting(self) -> Changes | None:
        """Returns where changes wait for others, if they do."""
        return self.transaction.changes if self._intrans else self._own.changes

    def writable(self, path: str) -> Reference:
        """Reads the path of a file that can be written."""
        ref = parse(self._strip_protocol(path))
        if ref.fixed or not ref.path:
            raise PermissionError(f"{path}: versions never change: write to a file of a branch, as namespace/model:main/path")
        return ref

    def _staged(self, path: str) -> Stored | None:
        """Returns what was written to a path and waits for others."""
        waiting = self._waiting()
        if not waiting:
            return None
        ref = parse(self._strip_protocol(path))
        return waiting.get((ref.repo, ref.revision), {}).get(ref.path)

    def _copied(self, path: str, repo: str) -> Stored:
        """Has a file in another place too; its bytes move only if they have to."""
        revision, file = self._file(path)
        if file.sha256 and file.size and self.publisher.has(repo, file.sha256, file.size):
            return Stored(file.size, file.sha256)
        with tempfile.TemporaryFile() as f:
            self.hub.save(revision, file, f)
            f.flush()
            return self.publisher.upload(repo, f, file.size)

    def change(self, ref: Reference, change: Change) -> None:
        """Commits a change, or has it wait for others."""
        waiting = self._waiting()
        if waiting is None:
            self.commit({(ref.repo, ref.revision): {ref.path: change}})
        else:
            waiting.setdefault((ref.repo, ref.revision), {})[ref.path] = change

    def commit(self, changes: Changes) -> None:
        """Makes changes visible, those of one branch together."""
        for (repo, branch), some in changes.items():
            if not some:
                continue
            title = _TITLE.format(next(iter(some)) if len(some) == 1 else f"{len(some)} files")
            try:
                commit = self.publisher.commit(repo, branch, some, title)
            except FileNotFoundError:
                gone = dict.fromkeys(self.publisher.begin(repo, branch))
                commit = self.publisher.commit(repo, branch, gone | some, title)
            self.invalidate_cache()
            self._heads[repo, branch] = commit

    @property
    def publisher(self) -> Publisher:
        if self._publisher is None:
            self._publisher = Publisher(Hub(self._writes_to()))
        return self._publisher

    def _writes_to(self) -> str:
        """Returns the registry: an agent only reads."""
        if self._registry or os.environ.get("INGOT_REGISTRY") or self._agent is None:
            return address.registry(self._registry)
        with contextlib.suppress(AgentError, KeyError, TypeError):
            if url := self._agent.status()["registry"]["url"]:
                return address.registry(url)
        raise OSError(f"{self.hub.address} has no registry to write to: say registry= or set INGOT_REGISTRY")


def _there(path: str) -> Reference:
    """Reads a path to look at; what cannot be one is not there."""
    try:
        return parse(path)
    except ValueError as e:
        raise FileNotFoundError(str(e)) from None


def _folder(path: str) -> dict[str, Any]:
    return {"name": path, "size": 0, "type": "directory"}


@contextlib.contextmanager
def _replaced(path: Any) -> Iterator[Any]:
    """Opens a file that comes to its name when it is whole."""
    path = os.fspath(path)
    new = f"{path}.{os.urandom(4).hex()}.part"
    try:
        with open(new, "xb") as f:
            yield f
        os.replace(new, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(new)
        raise
