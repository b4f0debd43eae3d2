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
from .errors import AgentError, NoAgent, ProtocolError
from .layout import FileInfo, TensorInfo
from .lease import Stats
from .model import Model, load
from .safe import SafeOpen, Slice, open  # noqa: A004
from .stream import Stream, stream

__version__ = "0.1.0"

__all__ = [
    "Agent",
    "AgentError",
    "FileInfo",
    "Model",
    "NoAgent",
    "ProtocolError",
    "SafeOpen",
    "Slice",
    "Stats",
    "Stream",
    "TensorInfo",
    "load",
    "open",
    "status",
    "stream",
]


def status(*, agent: str | os.PathLike[str] | None = None) -> dict[str, Any]:
    """Returns what the agent holds: the JSON of GET /v1/status."""
    return Agent(agent).status()
