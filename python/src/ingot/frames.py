"""Frames of the lease protocol.

A frame is four bytes of length, most significant first, and so many bytes of
JSON. Descriptors travel with the first of these bytes.
"""

from __future__ import annotations

import array
import json
import os
import socket
import threading
from typing import Any, Sequence

from .errors import ProtocolError

MAX_FRAME = 64 << 20  # bytes of JSON
MAX_FILES = 128  # descriptors that come with a frame

_FD = array.array("i").itemsize
_ROOM = socket.CMSG_SPACE(MAX_FILES * _FD)

Frame = dict[str, Any]


class Frames:
    """Frames over a connected unix socket. One thread reads; any may write."""

    def __init__(self, sock: socket.socket):
        self._sock = sock
        self._writing = threading.Lock()

    def fileno(self) -> int:
        return self._sock.fileno()

    def close(self) -> None:
        self._sock.close()

    def process(self) -> int:
        """Returns the id of the process at the other end, 0 if this one cannot see it."""
        return array.array("i", self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 3 * _FD))[0]

    def write(self, frame: Frame, fds: Sequence[int] = ()) -> None:
        body = json.dumps(frame, separators=(",", ":")).encode()
        data = len(body).to_bytes(4, "big") + body
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        with self._writing:
            sent = self._sock.sendmsg([data], rights)
            if sent < len(data):
                self._sock.sendall(data[sent:])

    def read(self) -> tuple[Frame, list[int]]:
        """Returns the next frame and its descriptors, which are the caller's.

        Raises EOFError when the other side has closed the connection.
        """
        fds: list[int] = []
        try:
            length = self._header(fds)
            body = self._exactly(length)
            frame = json.loads(body)
            if not isinstance(frame, dict) or not isinstance(frame.get("type"), str):
                raise ProtocolError("a frame without a type")
        except ValueError as e:
            close_all(fds)
            raise ProtocolError(f"a frame that is no JSON: {e}") from e
        except BaseException:
            close_all(fds)
            raise
        return frame, fds

    def _header(self, fds: list[int]) -> int:
        header = b""
        while len(header) < 4:
            data, rights, flags, _ = self._sock.recvmsg(4 - len(header), _ROOM, socket.MSG_CMSG_CLOEXEC)
            for level, kind, content in rights:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                    fds.extend(array.array("i", content[: len(content) // _FD * _FD]))
            if flags & socket.MSG_CTRUNC:
                raise ProtocolError("descriptors were lost: is the limit of open files (ulimit -n) too low?")
            if not data:
                raise EOFError("the agent has closed the connection")
            header += data
        length = int.from_bytes(header, "big")
        if not 2 <= length <= MAX_FRAME:
            raise ProtocolError(f"a frame of {length} bytes, want 2 to {MAX_FRAME}")
        return length

    def _exactly(self, length: int) -> bytes:
        parts = []
        while length > 0:
            part = self._sock.recv(min(length, 1 << 20))
            if not part:
                raise EOFError("the agent has closed the connection")
            parts.append(part)
            length -= len(part)
        return b"".join(parts)


def close_all(fds: Sequence[int]) -> None:
    for fd in fds:
        os.close(fd)
