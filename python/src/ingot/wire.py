"""Requests to a registry or an agent, over connections that are used again.

Laws:
  - A request may be sent again: everything that is asked for this way is idempotent,
    and a body begins anew with each try.
  - A connection goes back only when its answer was read to the end.
  - To another host goes what a signed address asks for, and nothing else of ours: no
    token either.
"""

from __future__ import annotations

import http.client
import json
import os
import threading
import time
import urllib.parse
from typing import Any, Iterable, Mapping

from . import credentials
from .address import is_url
from .connection import Connection, document

TRIES = 5
_READING = 60.0  # seconds between two bytes of an answer
_WRITING = 1800.0  # the same, when a file of any size is taken apart before it comes
PAUSE, _LONGEST_PAUSE = 0.1, 15.0  # seconds before another try
_IDLE = 16  # connections that are kept
_REDIRECTS = 5
_MOST = 64 << 20  # bytes of an answer that is a document
_AGAIN = {408, 429, 502, 503, 504}
_MOVED = {301, 302, 303, 307, 308}

BROKEN = (OSError, http.client.HTTPException)


class Part:
    """A part of an open file, as the body of a request."""

    def __init__(self, fd: int, offset: int, size: int):
        self._fd, self._offset, self.size = fd, offset, size
        self._at = 0

    def __len__(self) -> int:
        return self.size

    def part(self, offset: int, size: int) -> Part:
        return Part(self._fd, self._offset + offset, size)

    def rewind(self) -> None:
        self._at = 0

    def read(self, n: int = -1) -> bytes:
        left = self.size - self._at
        data = os.pread(self._fd, left if n < 0 else min(n, left), self._offset + self._at)
        if left and not data:
            raise EOFError("the file became shorter while it was sent")
        self._at += len(data)
        return data


class Reply:
    """An answer, whose body is read by whoever asked, and closed in any case."""

    def __init__(self, wire: Wire, connection: Connection, response: http.client.HTTPResponse):
        self._wire, self._connection, self._response = wire, connection, response
        self.status: int = response.status
        self.reason: str = response.reason
        self.headers: Mapping[str, str] = response.headers

    def __enter__(self) -> Reply:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def read(self, n: int) -> bytes:
        """Returns some of the next n bytes; none at the end, or where the answer was cut off."""
        return self._response.read(n)

    def line(self, most: int) -> bytes:
        """Returns the next line, as soon as it is there; nothing at the end."""
        return self._response.readline(most)

    def whole(self) -> bytes:
        """Returns the body of a document."""
        return document(self._response, _MOST)

    def json(self) -> Any:
        """Returns the value of a JSON document; what is none is a ValueError."""
        try:
            return json.loads(self.whole())
        except RecursionError:
            raise ValueError("it is nested too deep") from None

    def close(self) -> None:
        if self._response.isclosed() and not self._response.will_close:
            self._wire._give(self._connection)
        else:
            self._connection.close()
        self._response.close()


class Wire:
    """Asks one address. It is safe for threads, and a child by fork has connections of its own."""

    def __init__(self, address: str, to: str = credentials.REGISTRY):
        self.address, self._to = address, to
        url = urllib.parse.urlsplit(address) if is_url(address) else None
        self.origin = f"{url.scheme}://{url.netloc}" if url else ""
        self._prefix = url.path.rstrip("/") if url else ""
        self._lock = threading.Lock()
        self._idle: list[Connection] = []
        self._owner = os.getpid()

    def __reduce__(self):
        return Wire, (self.address, self._to)

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | Part | Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Sends a request as often as it takes, and follows where a GET is sent."""
        reply = self._tried(method, self._prefix + path, body, headers or {})
        for _ in range(_REDIRECTS):
            if reply.status not in _MOVED or method != "GET" or not reply.headers.get("Location"):
                break
            with reply:
                where = urllib.parse.urljoin(self.origin + self._prefix + path, reply.headers["Location"])
            reply = self.elsewhere(method, where, None, {"Range": (headers or {}).get("Range", "")})
        return reply

    def elsewhere(
        self, method: str, where: str, body: bytes | Part | None = None, headers: Mapping[str, str] | None = None
    ) -> Reply:
        """Sends a request to an address that an answer has named: a URL, or a path of ours."""
        url = urllib.parse.urlsplit(where)
        target = url.path + (f"?{url.query}" if url.query else "")
        headers = {key: value for key, value in (headers or {}).items() if value}
        if not url.netloc or f"{url.scheme}://{url.netloc}" == self.origin:
            return self._tried(method, target, body, headers)
        if not is_url(where):
            raise OSError(f"{self.address} sends us to {where[:80]!r}, which is no URL")
        return Wire(f"{url.scheme}://{url.netloc}", credentials.ELSEWHERE)._tried(method, target, body, headers)

    def _tried(self, method: str, target: str, body: Any, headers: Mapping[str, str]) -> Reply:
        pause = PAUSE
        if (token := credentials.shown(self.address, self._to)) and "authorization" not in (key.lower() for key in headers):
            headers = {**headers, "Authorization": f"Bearer {token}"}
        for _ in range(TRIES - 1):
            try:
                reply = self._send(method, target, body, headers)
                if reply.status not in _AGAIN:
                    return reply
                reply.close()
                pause = _wanted(reply.headers.get("Retry-After"), pause)
            except (ConnectionRefusedError, FileNotFoundError):
                break  # nobody is there, which the last try says
            except BROKEN as e:
                if "CERTIFICATE_VERIFY_FAILED" in str(e):
                    break  # and whoever it is shows nothing else
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
        try:
            return self._send(method, target, body, headers)
        except BROKEN as e:
            who = "registry" if is_url(self.address) else "agent"
            raise ConnectionError(f"no {who} answers at {self.address} ({e or type(e).__name__})") from e

    def _send(self, method: str, target: str, body: Any, headers: Mapping[str, str]) -> Reply:
        while True:
            connection = self._take()
            used = connection.sock is not None
            try:
                return Reply(self, connection, _exchange(connection, method, target, body, headers))
            except BaseException as e:
                connection.close()
                if not (used and isinstance(e, (ConnectionError, http.client.RemoteDisconnected))):
                    raise  # else it was idle for too long, which is no fault

    def _take(self) -> Connection:
        with self._lock:
            if self._owner != os.getpid():  # the parent goes on with these
                self._owner, self._idle = os.getpid(), []
            return self._idle.pop() if self._idle else Connection(self.address, _READING)

    def _give(self, connection: Connection) -> None:
        with self._lock:
            if self._owner == os.getpid() and len(self._idle) < _IDLE:
                self._idle.append(connection)
                return
        connection.close()


def _exchange(
    connection: Connection, method: str, target: str, body: Any, headers: Mapping[str, str]
) -> http.client.HTTPResponse:
    connection.wait(_READING if method == "GET" else _WRITING)
    length = {}
    if isinstance(body, Part):
        body.rewind()
        length = {"Content-Length": str(len(body))}
    try:
        connection.request(method, target, body, {**headers, **length, "Accept-Encoding": "identity"})
    except (BrokenPipeError, ConnectionResetError):
        if connection.sock is None:
            raise
        response = connection.getresponse()  # why it has not read everything
        response.will_close = True
        return response
    return connection.getresponse()


def _wanted(after: str | None, pause: float) -> float:
    """Returns how long to wait, which a server may say, within reason."""
    try:
        return min(max(float(after or ""), 0), _LONGEST_PAUSE)
    except ValueError:
        return pause
