"""Where the agent of this machine is."""

from __future__ import annotations

import os
import pathlib

from .errors import NoAgent


def find(address: str | os.PathLike[str] | None = None) -> str:
    """Returns the socket path or URL of the agent.

    An argument comes before the variable INGOT_AGENT, and that before the path
    where an agent of this user, or of the system, listens if nobody says otherwise.
    """
    given = os.fspath(address) if address is not None else os.environ.get("INGOT_AGENT", "")
    return given or str(_default())


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
