"""Talks to an agent over HTTP: on its socket, or at a URL."""

from __future__ import annotations

import http.client
import json
import os
from typing import Any

from . import address as addresses
from . import credentials
from .connection import CONNECTING, Connection, document
from .errors import AgentError, NoAgent
from .frames import Frames

LEASE_PROTOCOL = "ingot-lease/1"
_MOST = 64 << 20  # bytes of an answer


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
        return self._call("GET", "/v1/status", None, CONNECTING)

    def load(
        self, ref: str, tier: str = "ram", *, device: str = "", hint: bool = False, timeout: float | None = None
    ) -> dict[str, Any]:
        """Brings a version into a tier and returns the receipt: what was moved, from where.

        timeout in seconds bounds the wait for room. device is the UUID of a GPU; with
        hint the version comes only if nobody has to make room for it, and later.
        """
        more = {key: value for key, value in (("device", device), ("hint", hint)) if value}
        return self._call("POST", "/v1/load", {"ref": ref, "tier": tier, "deadline": timeout or 0, **more}, None)

    def swap(
        self, old: str, new: str, *, device: str = "", priority: int = 0, timeout: float | None = None
    ) -> dict[str, Any]:
        """Has those who use a version on a GPU use another, and returns what that took.

        timeout in seconds bounds the wait for room and for those who have to pause.
        """
        body: dict[str, Any] = {"from": old, "to": new, "deadline": timeout or 0}
        body |= {key: value for key, value in (("device", device), ("priority", priority)) if value}
        return self._call("POST", "/v1/swap", body, None)

    def unload(self, ref: str, tier: str = "none") -> dict[str, Any]:
        """Lets a version fall to a slower tier, and returns what that has freed."""
        return self._call("POST", "/v1/unload", {"ref": ref, "tier": tier}, None)

    def materialize(self, ref: str) -> dict[str, Any]:
        """Makes the files of a version in the agent's folder, and returns where they are and what that took."""
        return self._call("POST", "/v1/materialize", {"ref": ref}, None)

    def pin(self, ref: str, pinned: bool = True) -> dict[str, Any]:
        """Keeps a version in its tier whatever else wants the room, or ends that."""
        return self._call("POST", "/v1/pin", {"ref": ref, "pinned": pinned}, CONNECTING)

    def upgrade(self) -> Frames:
        """Returns a connection that speaks the lease protocol, and waits for its first frame."""
        if addresses.is_url(self.address):
            raise AgentError("not_allowed", f"{self.address}: weights come over the agent's socket only: give its path")
        headers = {"Connection": "Upgrade", "Upgrade": LEASE_PROTOCOL}
        connection, response = self._request("POST", "/v1/lease", None, headers, CONNECTING)
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
                return json.loads(document(response, _MOST))
            except (ValueError, OSError, http.client.HTTPException) as e:
                raise AgentError("internal", f"{method} {path}: the agent's answer does not read: {e}") from e

    def _request(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str], timeout: float | None
    ) -> tuple[Connection, http.client.HTTPResponse]:
        connection = Connection(self.address, timeout)
        if token := credentials.shown(self.address, credentials.AGENT):
            headers = {**headers, "Authorization": f"Bearer {token}"}
        try:
            connection.request(method, path, body, headers)
            return connection, connection.getresponse()
        except (OSError, http.client.HTTPException) as e:
            connection.close()
            raise NoAgent(
                f"no agent answers at {self.address} ({e or type(e).__name__}): "
                "start one with ingot agent, or set INGOT_AGENT to its socket"
            ) from e


def _refusal(response: http.client.HTTPResponse) -> AgentError:
    """Reads the error that an agent answers with."""
    try:
        body = json.loads(response.read(1 << 20))
        return AgentError.of_wire(body["error"])
    except (ValueError, KeyError, TypeError, OSError, http.client.HTTPException):
        return AgentError("internal", f"the agent answers {response.status} {response.reason}")
