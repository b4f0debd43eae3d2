"""Reads models from a registry or an agent, in the protocol of the Hugging Face Hub.

Laws:
  - A Revision never changes, and bytes are always asked for by its commit.
  - What a server says is checked before it is used: a path stays below the folder
    that it will be put in, a range is the one that was asked for, and a whole file
    has the sha256 that the revision says.
"""

from __future__ import annotations

import errno
import hashlib
import json
import re
import time
import urllib.parse
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Callable, Iterator, Mapping, NoReturn

from .credentials import AGENT, REGISTRY
from .errors import HubError
from .reference import Reference, below
from .wire import BROKEN, PAUSE, TRIES, Reply, Wire

_BLOCK = 1 << 20  # bytes of a file at a time
_PAGES = 10_000

_HEX40, _HEX64 = re.compile(r"[0-9a-f]{40}"), re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class RepoFile:
    """A file of a revision. sha256 is "" where the server does not know it."""

    path: str
    size: int
    sha256: str = ""
    oid: str = ""

    @property
    def name(self) -> str:
        """What its bytes are called in a cache of the Hugging Face Hub."""
        return self.sha256 or self.oid


@dataclass(frozen=True)
class Revision:
    """What a reference names at a time. It never changes."""

    repo: str
    revision: str  # as it was asked for
    commit: str  # 40 hex digits
    modified: str = ""  # as ISO 8601 spells it
    files: Mapping[str, RepoFile] = field(default_factory=dict, repr=False)

    @property
    def ref(self) -> str:
        """The reference that always names this."""
        return f"{self.repo}@{self.commit}"


class Hub:
    """One registry or agent. It is safe for threads and across forks."""

    def __init__(self, address: str, agent: bool = False):
        self.address = address
        self.wire = Wire(address, AGENT if agent else REGISTRY)

    def __repr__(self) -> str:
        return f"ingot.hub.Hub({self.address!r})"

    def models(self, namespace: str = "") -> list[str]:
        """Lists the repositories that one can read, of a namespace or all."""
        query = f"?author={_quoted(namespace)}&limit=10000" if namespace else "?limit=10000"
        names = [_text(one.get("id")) for one in self._pages("/api/models" + query, "models")]
        return sorted(name for name in names if name.startswith(f"{namespace}/" if namespace else ""))

    def revision(self, ref: Reference, known: Callable[[str], Revision | None] | None = None) -> Revision:
        """Returns what ref names now; known may save the listing of a commit."""
        said = self._document(f"/api/models/{ref.repo}/revision/{_quoted(ref.revision)}", str(ref._replace(path="")))
        commit = said.get("sha") if isinstance(said, dict) else None
        if not isinstance(commit, str) or not _HEX40.fullmatch(commit):
            raise _nonsense(self.address, "a commit that is none")
        found = known(commit) if known else None
        files = found.files if found else self._files(ref.repo, commit)
        modified = said.get("lastModified")
        return Revision(ref.repo, ref.revision, commit, modified if isinstance(modified, str) else "", files)

    def refs(self, repo: str) -> dict[str, str]:
        """Returns the commits of the branches and tags of a model."""
        said = self._document(f"/api/models/{repo}/refs", repo)
        lists = [said.get(kind) for kind in ("branches", "tags")] if isinstance(said, dict) else []
        refs = [one for some in lists if isinstance(some, list) for one in some if isinstance(one, dict)]
        return {_text(one.get("name")): _hex(one.get("targetCommit")) for one in refs}

    def blocks(self, revision: Revision, file: RepoFile, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Yields the bytes of a part of a file, going on where a connection has ended."""
        end = file.size if end is None else min(end, file.size)
        failures = 0
        while start < end:
            why: BaseException | None = None
            try:
                with self._range(revision, file, start, end) as reply:
                    while start < end and (block := reply.read(min(_BLOCK, end - start))):
                        start, failures = start + len(block), 0
                        yield block
            except BROKEN as e:
                if isinstance(e, OSError) and not isinstance(e, (ConnectionError, TimeoutError)):
                    raise
                why = e
            if start < end:
                failures += 1
                if failures == TRIES:
                    raise ConnectionError(f"{revision.ref}/{file.path}: no more than {start} bytes came from {self.address}") from why
                time.sleep(PAUSE * 2**failures)

    def read(self, revision: Revision, file: RepoFile, start: int = 0, end: int | None = None) -> bytes:
        """Returns the bytes of a part of a file."""
        return b"".join(self.blocks(revision, file, start, end))

    def save(self, revision: Revision, file: RepoFile, to: BinaryIO, seen: Callable[[int], object] | None = None) -> None:
        """Writes a whole file to an open one, and compares its hash. seen hears of each block."""
        digest = hashlib.sha256()
        for block in self.blocks(revision, file):
            digest.update(block)
            to.write(block)
            if seen:
                seen(len(block))
        if file.sha256 and digest.hexdigest() != file.sha256:
            raise HubError(502, f"{revision.ref}/{file.path}: the bytes from {self.address} do not have the sha256 of the file")

    def _range(self, revision: Revision, file: RepoFile, start: int, end: int) -> Reply:
        target = f"/{revision.repo}/resolve/{revision.commit}/{urllib.parse.quote(file.path)}"
        reply = self.wire.ask("GET", target, headers={"Range": f"bytes={start}-{end - 1}"})
        if reply.status == 206 and reply.headers.get("Content-Range") == f"bytes {start}-{end - 1}/{file.size}":
            return reply
        if reply.status == 200 and start == 0 and reply.headers.get("Content-Length") == str(file.size):
            return reply
        with reply:
            if reply.status >= 300:
                refuse(reply, f"{revision.ref}/{file.path}", self.address)
            raise _nonsense(self.address, f"another part of {file.path} than was asked for")

    def _files(self, repo: str, commit: str) -> dict[str, RepoFile]:
        target = f"/api/models/{repo}/tree/{commit}?recursive=true&expand=false"
        entries = self._pages(target, f"{repo}@{commit}")
        return {file.path: file for one in entries if one.get("type") == "file" for file in [self._file(one)]}

    def _file(self, entry: dict[str, Any]) -> RepoFile:
        path, size, lfs = entry.get("path"), entry.get("size"), entry.get("lfs")
        if not isinstance(path, str) or not below(path) or not isinstance(size, int) or size < 0:
            raise _nonsense(self.address, f"a file {str(path)[:80]!r} that cannot be one")
        return RepoFile(path, size, _sha256(lfs), _hex(entry.get("oid")))

    def _pages(self, target: str, what: str) -> Iterator[dict[str, Any]]:
        for _ in range(_PAGES):
            with self._asked(target, what) as reply:
                page, following = self._read(reply), _next(reply.headers.get("Link", ""))
            if not isinstance(page, list) or not all(isinstance(one, dict) for one in page):
                raise _nonsense(self.address, "a list that is none")
            yield from page
            if not following or not page:
                return
            target = following
        raise _nonsense(self.address, "a list without an end")

    def _document(self, target: str, what: str) -> Any:
        with self._asked(target, what) as reply:
            return self._read(reply)

    def _asked(self, target: str, what: str) -> Reply:
        reply = self.wire.ask("GET", target, headers={"Accept": "application/json"})
        if reply.status != 200:
            with reply:
                refuse(reply, what, self.address)
        return reply

    def _read(self, reply: Reply) -> Any:
        try:
            return reply.json()
        except (ValueError, *BROKEN) as e:
            raise ConnectionError(f"the answer of {self.address} does not read: {e}") from e


def refuse(reply: Reply, what: str, address: str) -> NoReturn:
    """Raises what an answer that is none means."""
    message = f"{what}: {_why(reply)} ({address})"
    missing = reply.headers.get("X-Error-Code", "") in ("RepoNotFound", "RevisionNotFound", "EntryNotFound")
    if missing and reply.status == 401:
        message += '; if it is there, it is not for everybody: "ingot login" keeps a token'
    if missing or reply.status == 404:
        raise FileNotFoundError(errno.ENOENT, message)
    if reply.status == 401:
        message += '; "ingot login" keeps a token for it, and INGOT_TOKEN can hold one'
    if reply.status in (401, 403):
        raise PermissionError(errno.EACCES, message)
    if reply.status == 507:
        raise OSError(errno.ENOSPC, message)
    raise HubError(reply.status, message)


def _why(reply: Reply) -> str:
    """Returns what a server says of a failure, in one of the ways that there are."""
    if said := reply.headers.get("X-Error-Message"):
        return said
    try:
        error = json.loads(reply.read(1 << 16))["error"]
        return str(error.get("message") or error.get("code") if isinstance(error, dict) else error)
    except (ValueError, KeyError, TypeError, RecursionError, *BROKEN):
        return f"it answers {reply.status} {reply.reason}"


def _nonsense(address: str, what: str) -> HubError:
    return HubError(502, f"{address} has sent {what}")


def _next(link: str) -> str:
    """Returns where the next page is, on the same server."""
    found = re.search(r'<([^<>]*)>\s*;\s*rel="?next"?', link)
    if not found:
        return ""
    url = urllib.parse.urlsplit(found.group(1))
    return url.path + (f"?{url.query}" if url.query else "")


def _quoted(text: str) -> str:
    return urllib.parse.quote(text, safe="")


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _hex(value: object) -> str:
    return value if isinstance(value, str) and (_HEX40.fullmatch(value) or _HEX64.fullmatch(value)) else ""


def _sha256(lfs: object) -> str:
    value = _hex(lfs.get("oid")) if isinstance(lfs, dict) else ""
    return value if len(value) == 64 else ""
