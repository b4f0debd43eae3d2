"""Model weights from the memory of the ingot agent, as arrays without a copy.

    import ingot

    model = ingot.load("acme/llama:prod")   # a mapping from names to arrays
    model["lm_head.weight"]

An array lies in pages of the agent, which every process on the machine shares. It
keeps the version in memory as long as it lives, also while the agent restarts.
"""

from __future__ import annotations

import os
from typing import Any

from .agent import Agent
from .attach import Attached, attach
from .driver import DriverError
from .errors import AgentError, HubError, NoAgent, NotMapped, ProgramError, ProtocolError, Stale, TagMoved
from .follow import Version, Watch, watch
from .hot import HotModule
from .hub import RepoFile, Revision
from .layout import FileInfo, TensorInfo
from .lease import Stats
from .model import Model, load
from .publisher import Publication, publish
from .safe import SafeOpen, Slice, open  # noqa: A004
from .snapshot import resolve, snapshot_download
from .stream import DeviceStream, Stream, stream
from .tensors import DeviceArray

__version__ = "0.1.0"

__all__ = [
    "Agent",
    "AgentError",
    "Attached",
    "DeviceArray",
    "DeviceStream",
    "DriverError",
    "FileInfo",
    "HotModule",
    "HubError",
    "Model",
    "NoAgent",
    "NotMapped",
    "ProgramError",
    "ProtocolError",
    "Publication",
    "RepoFile",
    "Revision",
    "SafeOpen",
    "Slice",
    "Stale",
    "Stats",
    "Stream",
    "TagMoved",
    "TensorInfo",
    "Version",
    "Watch",
    "attach",
    "load",
    "open",
    "publish",
    "resolve",
    "snapshot_download",
    "status",
    "stream",
    "watch",
]


def status(*, agent: str | os.PathLike[str] | None = None) -> dict[str, Any]:
    """Returns what the agent holds: the JSON of GET /v1/status."""
    return Agent(agent).status()
