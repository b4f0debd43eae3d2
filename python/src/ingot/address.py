"""Where the agent of this machine is, and where the registry."""

from __future__ import annotations

import os
import pathlib
from typing import NamedTuple

from .errors import NoAgent


_REGISTRY = "http://127.0.0.1:7070"


def find(address: str | os.PathLike[str] | None = None) -> str:
    """Returns the socket path or URL of the agent.

    An argument comes before the variable INGOT_AGENT, and that before the path
    where an agent of this user, or of the system, listens if nobody says otherwise.
    """
    given = os.fspath(address) if address is not None else os.environ.get("INGOT_AGENT", "")
    return given or str(_default())


def registry(address: str | None = None) -> str:
    """Returns the URL of the registry, found as the program finds it: what is given
    comes before the variable INGOT_REGISTRY, and that before a registry on this machine."""
    given = address or os.environ.get("INGOT_REGISTRY", "") or _REGISTRY
    url = given if "://" in given else "http://" + given
    if not is_url(url):
        raise ValueError(f"registry {given!r}: want the URL of one, such as {_REGISTRY}")
    return url.rstrip("/")


class Place(NamedTuple):
    """Where models are read from."""

    address: str
    agent: bool


def reading(agent: str | os.PathLike[str] | None = None, at: str | None = None) -> Place:
    """Returns where to read: the registry at if it is given, else an agent if one is
    given, named by INGOT_AGENT or at its usual path, else the registry."""
    if agent is None and at is not None:
        return Place(registry(at), False)
    if agent is not None or os.environ.get("INGOT_AGENT"):
        return Place(find(agent), True)
    usual = _default()
    return Place(str(usual), True) if usual.is_socket() else Place(registry(), False)


def is_url(address: str) -> bool:
    """Tells a URL from the path of a socket."""
    return address.startswith(("http://", "https://"))


def _default() -> pathlib.Path:
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if os.path.isabs(runtime):
        return pathlib.Path(runtime) / "ingot" / "agent.sock"
    if os.getuid() == 0:
        return pathlib.Path("/run/ingot/agent.sock")
    folder = pathlib.Path(f"/tmp/ingot-{os.getuid()}")
    # Anybody can make a folder of that name before we do.
    if folder.exists() and folder.lstat().st_uid not in (0, os.getuid()):
        raise NoAgent(f"{folder} belongs to another user: set INGOT_AGENT to the agent's socket")
    return folder / "agent.sock"
