"""The interface of Run:ai's model streamer, over versions instead of paths."""

from __future__ import annotations

import os
from typing import Any, Iterator, Sequence

from .agent import Agent
from .model import as_agent
from .stream import Stream, stream


class SafetensorsStreamer:
    """Streams tensors of versions, in the order in which they come:

    with SafetensorsStreamer() as streamer:
        streamer.stream_file("acme/llama:prod")
        for name, tensor in streamer.get_tensors():
            ...
    """

    def __init__(self, *, agent: str | os.PathLike[str] | Agent | None = None, framework: str = "torch"):
        self._agent = as_agent(agent)
        self._framework = framework
        self._streams: list[Stream] = []

    def __enter__(self) -> SafetensorsStreamer:
        return self

    def __exit__(self, *_: object) -> None:
        for one in self._streams:
            one.close()
        self._streams = []

    def stream_file(self, ref: str) -> None:
        self.stream_files([ref])

    def stream_files(self, refs: Sequence[str]) -> None:
        """Begins to bring versions, all at a time."""
        self._streams = [stream(ref, agent=self._agent, framework=self._framework) for ref in refs]

    def get_tensors(self) -> Iterator[tuple[str, Any]]:
        """Yields (name, tensor), version after version."""
        for one in self._streams:
            yield from one
