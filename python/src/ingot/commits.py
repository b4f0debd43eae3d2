"""Publishes files to a registry, in the protocol of the Hugging Face Hub.

Laws:
  - A file goes up as it is written and is part of nothing until a commit names it;
    what no commit names the registry frees in time.
  - A commit is all of its changes or nothing. Sent again it is the same commit.
  - What the registry has is not sent: files are asked for by their sha256 first.
"""

from __future__ import annotations

import base64
import errno
import hashlib
import json
import os
import urllib.parse
from typing import Any, BinaryIO, Mapping, NamedTuple, Union

from .errors import HubError
from .hub import Hub, refuse
from .reference import MAIN, Reference, is_commit
from .wire import BROKEN, Part, Reply

INLINE = 64 << 10  # bytes; no larger file is sent within its commit
_BLOCK = 1 << 20  # bytes that are hashed at a time
_MOST_PARTS = 10_000

_LFS = "application/vnd.git-lfs+json"


class Stored(NamedTuple):
    """A file that the registry has, or that comes with its commit."""

    size: int
    sha256: str
    inline: bytes | None = None


Change = Union[Stored, None]  # None deletes


class Publisher:
    """Writes to the models of a registry. It is safe for threads."""

    def __init__(self, hub: Hub):
        self._hub = hub
        self._made: set[str] = set()

    def upload(self, repo: str, file: BinaryIO, size: int) -> Stored:
        """Sends an open file as far as the registry lacks it."""
        if size <= INLINE:
            content = os.pread(file.fileno(), size, 0) if size else b""
            return self.inline(content)
        part = Part(file.fileno(), 0, size)
        digest = hashlib.sha256()
        for _ in range(0, size, _BLOCK):
            digest.update(part.read(_BLOCK))
        return self.send(repo, part, digest.hexdigest())

    def inline(self, content: bytes) -> Stored:
        return Stored(len(content), hashlib.sha256(content).hexdigest(), content)

    def send(self, repo: str, part: Part, sha256: str) -> Stored:
        """Sends what has that sha256, unless the registry has it."""
        self._make(repo)
        try:
            actions = self._wanted(repo, sha256, len(part)).get("actions") or {}
            if "upload" in actions:
                self._put(actions["upload"], part, sha256)
            if "verify" in actions:
                self._call("POST", actions["verify"]["href"], {"oid": sha256, "size": len(part)}, _LFS)
        except (KeyError, TypeError, ValueError, AttributeError) as e:
            raise HubError(502, f"{repo}: {self._hub.address} does not say how to send {sha256[:12]}: {e!r}") from e
        return Stored(len(part), sha256)

    def has(self, repo: str, sha256: str, size: int) -> bool:
        """Tells whether a file of a model needs not be sent."""
        self._make(repo)
        return "upload" not in (self._wanted(repo, sha256, size).get("actions") or {})

    def commit(self, repo: str, branch: str, changes: Mapping[str, Change], title: str) -> str:
        """Makes changes to a branch visible, all at once, and returns the commit."""
        self._make(repo)
        lines: list[dict[str, Any]] = [{"key": "header", "value": {"summary": title, "description": ""}}]
        lines += [_line(path, change) for path, change in sorted(changes.items())]
        body = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
        target = f"/api/models/{repo}/commit/{_quoted(branch)}"
        answer = self._call("POST", target, body, "application/x-ndjson", what=f"{repo}:{branch}")
        commit = answer.get("commitOid")
        if not isinstance(commit, str) or not is_commit(commit):
            raise HubError(502, f"{repo}:{branch}: {self._hub.address} does not say what it has committed")
        return commit

    def begin(self, repo: str, branch: str) -> list[str]:
        """Makes a branch that is not there, and returns the files that it begins with: a
        branch begins somewhere, and whoever writes to a new one wants none of them."""
        self._make(repo)
        refs = self._hub.refs(repo)
        if not refs:
            raise FileNotFoundError(errno.ENOENT, f"{repo}: no version that the branch {branch} could begin at")
        at = refs.get(MAIN) or next(iter(refs.values()))
        target = f"/api/models/{repo}/branch/{_quoted(branch)}"
        made = self._call("POST", target, {"startingPoint": at}, "application/json", also=(409,), what=f"{repo}:{branch}")
        return [] if "error" in made else list(self._hub.revision(Reference(repo, at)).files)

    def _make(self, repo: str) -> None:
        """Makes a model that is not there."""
        if repo in self._made:
            return
        namespace, name = repo.split("/")
        body = {"name": name, "organization": namespace, "type": "model"}
        self._call("POST", "/api/repos/create", body, "application/json", also=(409,), what=repo)
        self._made.add(repo)

    def _wanted(self, repo: str, sha256: str, size: int) -> dict[str, Any]:
        """Asks how to send a file."""
        body = {
            "operation": "upload",
            "transfers": ["basic", "multipart"],
            "hash_algo": "sha256",
            "objects": [{"oid": sha256, "size": size}],
        }
        answer = self._call("POST", f"/{repo}.git/info/lfs/objects/batch", body, _LFS, what=repo)
        objects = answer.get("objects")
        if not isinstance(objects, list) or len(objects) != 1 or not isinstance(objects[0], dict):
            raise HubError(502, f"{repo}: {self._hub.address} does not say how to send {sha256[:12]}")
        if error := objects[0].get("error"):
            raise HubError(int(error.get("code", 500)), f"{repo}: {error.get('message', 'the file is refused')}")
        return objects[0]

    def _put(self, upload: dict[str, Any], part: Part, sha256: str) -> None:
        """Sends a file, in parts if the registry wants that."""
        header = dict(upload.get("header") or {})
        step = int(header.pop("chunk_size", 0))
        if not step:
            with self._put_part(upload["href"], part, header):
                return
        count = -(-len(part) // step)
        if not 0 < count <= _MOST_PARTS:
            raise HubError(502, f"{self._hub.address} wants {len(part)} bytes in {count} parts")
        etags = []
        for n in range(count):
            one = part.part(n * step, min(step, len(part) - n * step))
            with self._put_part(header[f"{n + 1:05d}"], one, {}) as reply:
                etags.append({"partNumber": n + 1, "etag": reply.headers.get("ETag", "")})
        self._call("POST", upload["href"], {"oid": sha256, "parts": etags}, _LFS)

    def _put_part(self, href: str, part: Part, header: dict[str, str]) -> Reply:
        reply = self._hub.wire.elsewhere("PUT", href, part, header)
        if not 200 <= reply.status < 300:
            with reply:
                refuse(reply, "upload", self._hub.address)
        return reply

    def _call(
        self, method: str, target: str, body: dict | bytes, kind: str, *, also: tuple[int, ...] = (), what: str = "upload"
    ) -> dict[str, Any]:
        headers = {"Content-Type": kind, "Accept": _LFS if kind == _LFS else "application/json"}
        sent = body if isinstance(body, bytes) else json.dumps(body).encode()
        ask = self._hub.wire.ask if target.startswith("/") else self._hub.wire.elsewhere
        with ask(method, target, sent, headers) as reply:
            if not 200 <= reply.status < 300 and reply.status not in also:
                refuse(reply, what, self._hub.address)
            try:
                answer = reply.json()
            except (ValueError, *BROKEN) as e:
                raise ConnectionError(f"the answer of {self._hub.address} does not read: {e}") from e
        return answer if isinstance(answer, dict) else {}


def _line(path: str, change: Change) -> dict[str, Any]:
    """Spells one change of a commit."""
    if change is None:
        return {"key": "deletedFile", "value": {"path": path}}
    if change.inline is not None:
        content = base64.b64encode(change.inline).decode()
        return {"key": "file", "value": {"path": path, "content": content, "encoding": "base64"}}
    return {"key": "lfsFile", "value": {"path": path, "algo": "sha256", "oid": change.sha256, "size": change.size}}


def _quoted(text: str) -> str:
    return urllib.parse.quote(text, safe="")
