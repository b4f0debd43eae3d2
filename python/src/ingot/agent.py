"""Talks to an agent over HTTP: on its socket, or at a URL."""

from __future__ import annotations

import http.client
import json
import os
import socket
import urllib.parse
from typing import Any

from . import address as addresses
from .errors import AgentError, NoAgent
from .frames import Frames

LEASE_PROTOCOL = "ingot-lease/1"
_MOST = 64 << 20  # bytes of an answer
_CONNECTING = 30.0  # seconds


class Agent:
    """The agent at a socket path or URL; it is found as ingot.load finds it.

    Nothing is connected until a method is called, and each call connects anew, so
    an Agent is safe to share between threads and across forks.
    """

    def __init__(self, address: str | os.PathLike[str] | None = None):
        self.address = addresses.find(address)

    def __repr__(self) -> str:
        return f"ingot.Agent({self.address!r})"

    def status(self) -> dict[str, Any]:
        """Returns what the agent holds: the JSON of GET /v1/status."""
        return self._call("GET", "/v1/status", None, _CONNECTING)

    def load(self, ref: str, tier: str = "ram", *, timeout: float | None = None) -> dict[str, Any]:
        """Brings a version into a tier and returns the receipt: what was moved, from where.

        timeout in seconds bounds the wait for room.
        """
        return self._call("POST", "/v1/load", {"ref": ref, "tier": tier, "deadline": timeout or 0}, None)

    def unload(self, ref: str, tier: str = "none") -> dict[str, Any]:
        """Lets a version fall to a slower tier, and returns what that has freed."""
        return self._call("POST", "/v1/unload", {"ref": ref, "tier": tier}, None)

    def pin(self, ref: str, pinned: bool = True) -> dict[str, Any]:
        """Keeps a version in its tier whatever else wants the room, or ends that."""
        return self._call("POST", "/v1/pin", {"ref": ref, "pinned": pinned}, _CONNECTING)

    def upgrade(self) -> Frames:
        """Returns a connection that speaks the lease protocol, and waits for its first frame."""
        if addresses.is_url(self.address):
            raise AgentError("not_allowed", f"{self.address}: weights come over the agent's socket only: give its path")
        headers = {"Connection": "Upgrade", "Upgrade": LEASE_PROTOCOL}
        connection, response = self._request("POST", "/v1/lease", None, headers, _CONNECTING)
        sock = connection.sock
        if response.status != http.client.SWITCHING_PROTOCOLS or sock is None:
            with connection:
                raise _refusal(response)
        connection.sock = None  # it is ours now
        response.close()
        return Frames(sock)

    def _call(self, method: str, path: str, body: Any, timeout: float | None) -> dict[str, Any]:
        headers = {"Accept": "application/json"}
        content = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            content = json.dumps(body).encode()
        connection, response = self._request(method, path, content, headers, timeout)
        with connection:
            if response.status != http.client.OK:
                raise _refusal(response)
            try:
                return json.loads(response.read(_MOST))
            except (ValueError, OSError, http.client.HTTPException) as e:
                raise AgentError("internal", f"{method} {path}: the agent's answer does not read: {e}") from e

    def _request(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str], timeout: float | None
    ) -> tuple[_Connection, http.client.HTTPResponse]:
        connection = _Connection(self.address, timeout)
        try:
            connection.request(method, path, body, headers)
            return connection, connection.getresponse()
        except (OSError, http.client.HTTPException) as e:
            connection.close()
            raise NoAgent(
                f"no agent answers at {self.address} ({e or type(e).__name__}): "
                "start one with ingot agent, or set INGOT_AGENT to its socket"
            ) from e


class _Connection(http.client.HTTPConnection):
    """One request to a socket path or an http URL."""

    def __init__(self, address: str, timeout: float | None):
        url = urllib.parse.urlsplit(address) if addresses.is_url(address) else None
        self._tls = url is not None and url.scheme == "https"
        self._path = None if url else address
        host, port = (url.hostname or "", url.port) if url else ("ingot", None)
        super().__init__(host, port or (443 if self._tls else 80), timeout=_CONNECTING)
        self._answer = timeout

    def connect(self) -> None:
        if self._path is None:
            super().connect()
            if self._tls:
                import ssl

                self.sock = ssl.create_default_context().wrap_socket(self.sock, server_hostname=self.host)
        else:
            self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.sock.settimeout(self.timeout)
            self.sock.connect(self._path)
        self.sock.settimeout(self._answer)

    def __enter__(self) -> _Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _refusal(response: http.client.HTTPResponse) -> AgentError:
    """Reads the error that an agent answers with."""
    try:
        body = json.loads(response.read(1 << 20))
        return AgentError.of_wire(body["error"])
    except (ValueError, KeyError, TypeError, OSError, http.client.HTTPException):
        return AgentError("internal", f"the agent answers {response.status} {response.reason}")
