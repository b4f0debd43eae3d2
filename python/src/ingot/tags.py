"""Where a tag of a registry is, and when that changes.

Laws:
  - What a registry tells of a change is a reason to look, and nothing more: events may
    be lost, come twice or late.
  - The thread that listens ends when its owner is gone.
"""

from __future__ import annotations

import json
import logging
import threading
import urllib.parse
import weakref
from typing import Callable, Iterator

from .hub import refuse
from .wire import BROKEN, Reply, Wire

_LONGEST_PAUSE = 30.0  # seconds between two attempts to listen
_LINE = 1 << 16  # bytes

_log = logging.getLogger("ingot")


def now(registry: str, repo: str, tag: str) -> str:
    """Returns the digest of the version that a tag is at; "" if there is no such tag."""
    with Wire(registry).ask("GET", f"/v1/repos/{repo}/tags/{urllib.parse.quote(tag, safe='')}") as reply:
        if reply.status == 404:
            return ""
        if reply.status != 200:
            refuse(reply, f"{repo}:{tag}", registry)
        try:
            return str(reply.json()["digest"])
        except (ValueError, KeyError, TypeError, *BROKEN) as e:
            raise ConnectionError(f"the answer of {registry} does not read: {e}") from e


class Listener:
    """Calls changed, in a thread, whenever a tag may have moved."""

    def __init__(self, registry: str, repo: str, tag: str, changed: Callable[[], None]):
        self._end = threading.Event()
        weakref.finalize(self, self._end.set).atexit = False
        listen = (self._end, Wire(registry), repo, tag, changed)
        threading.Thread(target=_listen, args=listen, name=f"ingot events {repo}", daemon=True).start()

    def close(self) -> None:
        self._end.set()


def _listen(end: threading.Event, wire: Wire, repo: str, tag: str, changed: Callable[[], None]) -> None:
    pause = 1.0
    while not end.is_set():
        try:
            with wire.ask("GET", f"/v1/events?match={urllib.parse.quote(repo, safe='')}") as reply:
                if reply.status != 200:
                    refuse(reply, f"events of {repo}", wire.address)
                changed()  # what happened before nobody tells
                for kind, data in _events(end, reply):
                    pause = 1.0
                    if kind == "reset" or (kind == "tag" and data.get("tag") == tag):
                        changed()
        except BROKEN as e:
            _log.info("%s: %s tells of no changes: %s", repo, wire.address, e)
        except Exception as e:
            _log.warning("%s: what %s tells of changes does not read: %s", repo, wire.address, e)
        changed()
        end.wait(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)


def _events(end: threading.Event, reply: Reply) -> Iterator[tuple[str, dict[str, object]]]:
    """Reads server-sent events, of which each here has one line of data."""
    kind = ""
    while not end.is_set() and (line := reply.line(_LINE)):
        word, _, rest = line.decode().rstrip("\r\n").partition(":")
        if word == "event":
            kind = rest.strip()
        elif word == "data":
            data = json.loads(rest)
            yield kind, data if isinstance(data, dict) else {}
        elif not word and not rest:
            kind = ""
