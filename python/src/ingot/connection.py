"""A connection to an address: the path of a socket, or a URL."""

from __future__ import annotations

import http.client
import io
import socket
import urllib.parse
from typing import TYPE_CHECKING

from . import credentials
from .address import is_url

if TYPE_CHECKING:
    import ssl

CONNECTING = 30.0  # seconds
_BLOCK = 1 << 20  # bytes of a body at a time


class Connection(http.client.HTTPConnection):
    """HTTP over a unix socket, TCP or TLS; timeout is how long an answer may take."""

    def __init__(self, address: str, timeout: float | None):
        url = urllib.parse.urlsplit(address) if is_url(address) else None
        self._tls = url is not None and url.scheme == "https"
        self._path = None if url else address
        host, port = (url.hostname or "", url.port) if url else ("ingot", None)
        super().__init__(host, port or (443 if self._tls else 80), timeout=CONNECTING, blocksize=_BLOCK)
        self._answer = timeout
        self._address = address
        if self._tls:
            self.default_port = 443  # which the header Host then leaves out

    def connect(self) -> None:
        if self._path is None:
            super().connect()
            if self._tls:
                self.sock = self._context().wrap_socket(self.sock, server_hostname=self.host)
        else:
            self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.sock.settimeout(self.timeout)
            self.sock.connect(self._path)
        self.sock.settimeout(self._answer)

    def _context(self) -> ssl.SSLContext:
        import ssl

        context = ssl.create_default_context()
        if file := credentials.authority(self._address):
            context.load_verify_locations(file)
        return context

    def wait(self, timeout: float) -> None:
        """Says how long the next answers may take."""
        self._answer = timeout
        if self.sock is not None:
            self.sock.settimeout(timeout)

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def document(response: http.client.HTTPResponse, most: int) -> bytes:
    """Returns the body of an answer, which is whole and not longer than most."""
    body = io.BytesIO()
    while body.tell() <= most and (block := response.read(_BLOCK)):
        body.write(block)
    if body.tell() > most:
        raise OSError(f"an answer of more than {most >> 20} MiB")
    if response.length:
        raise http.client.IncompleteRead(b"", response.length)
    return body.getvalue()
