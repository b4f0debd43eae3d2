"""The files of a version on the local disk, and what a reference names."""

from __future__ import annotations

import concurrent.futures
import fnmatch
import os
import threading
from typing import Callable, Iterable

from . import address, cache
from .agent import Agent
from .errors import AgentError
from .hub import Hub, RepoFile, Revision
from .reference import Reference, is_commit, parse

Progress = Callable[[int, int], object]


def resolve(ref: str, *, agent: str | os.PathLike[str] | None = None, registry: str | None = None) -> Revision:
    """Returns what a reference names now: its commit and its files.

    Args:
        ref: Such as "acme/llama:prod".
        agent: The agent to ask; otherwise INGOT_AGENT, otherwise one at the usual path.
        registry: The registry to ask instead; without it and an agent INGOT_REGISTRY.

    Raises:
        FileNotFoundError: There is no such model or revision, or one may not know of it.
        ConnectionError: Nobody answers.
    """
    return Hub(*address.reading(agent, registry)).revision(parse(ref))


def snapshot_download(
    ref: str,
    *,
    revision: str | None = None,
    agent: str | os.PathLike[str] | None = None,
    registry: str | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    allow_patterns: str | Iterable[str] | None = None,
    ignore_patterns: str | Iterable[str] | None = None,
    max_workers: int = 8,
    progress: Progress | None = None,
) -> str:
    """Returns a folder with the files of a version, which it fetches if they are not there.

    An agent makes the files itself, in a folder for everybody on the machine, and drops
    them when it needs the room. If there is none, or only some of the files are wanted, or
    in a certain place, the folder is a snapshot in a cache as huggingface_hub has them, so
    that what is there already is used, and what came is there for others. When nobody
    answers, a snapshot that is there and whole is good enough.

    Args:
        ref: Such as "acme/llama:prod".
        revision: Another way to say which.
        agent: Where to read from; see resolve.
        registry: Where to read from instead; see resolve.
        cache_dir: The cache; otherwise that of huggingface_hub, if the agent makes no files.
        allow_patterns: Only these files, such as "*.json".
        ignore_patterns: Not these files.
        max_workers: Files to fetch at a time.
        progress: Called with bytes done and in all.
    """
    what = parse(ref)
    if revision:
        what = what._replace(revision=revision)
    store = cache.Cache(cache_dir or cache.default(), what.repo)
    wanted = _Wanted(allow_patterns, ignore_patterns)
    place = address.reading(agent, registry)
    if place.agent and cache_dir is None and wanted.everything and (made := _made(place.address, what)):
        return made
    hub = Hub(*place)
    try:
        found = hub.revision(what)
    except ConnectionError:
        kept = _kept(store, what, wanted)
        if kept is None:
            raise
        return kept
    _fetch(hub, store, found, list(filter(wanted, found.files.values())), max_workers, progress)
    store.finish(found)
    return str(store.snapshot(found.commit))


class _Wanted:
    """Says which files are wanted."""

    def __init__(self, allow: str | Iterable[str] | None, ignore: str | Iterable[str] | None):
        self._allow = None if allow is None else _patterns(allow)
        self._ignore = _patterns(ignore or [])
        self.everything = self._allow is None and not self._ignore

    def __call__(self, file: RepoFile) -> bool:
        allowed = self._allow is None or any(fnmatch.fnmatch(file.path, p) for p in self._allow)
        return allowed and not any(fnmatch.fnmatch(file.path, p) for p in self._ignore)


def _patterns(given: str | Iterable[str]) -> list[str]:
    """Reads patterns; one that ends in a slash is a folder."""
    return [p + "*" if p.endswith("/") else p for p in ([given] if isinstance(given, str) else given)]


def _made(agent: str, what: Reference) -> str | None:
    """Has an agent make the files, and returns their folder if they can be read here."""
    try:
        path = str(Agent(agent).materialize(str(what))["path"])
    except (AgentError, KeyError):  # it can still be read from, or says better why not
        return None
    return path if os.access(path, os.R_OK | os.X_OK) else None


def _kept(store: cache.Cache, what: Reference, wanted: _Wanted) -> str | None:
    """Returns the snapshot that the cache has for a reference, if it is whole."""
    commit = what.revision[:40] if is_commit(what.revision) else store.commit(what.revision)
    files = store.listing(commit) if commit else None
    if files is None or not all(store.has(commit, f) for f in files if wanted(f)):
        return None
    return str(store.snapshot(commit))


def _fetch(
    hub: Hub, store: cache.Cache, revision: Revision, files: list[RepoFile], workers: int, progress: Progress | None
) -> None:
    meter = _Meter(sum(f.size for f in files), progress)
    with concurrent.futures.ThreadPoolExecutor(max(1, workers), "ingot snapshot") as pool:
        store.snapshot(revision.commit).mkdir(parents=True, exist_ok=True)
        # The largest first, so that no long one is left for the end.
        files = sorted(files, key=lambda f: -f.size)
        work = [pool.submit(store.fetch, hub, revision, f, meter) for f in files]
        try:
            for one in concurrent.futures.as_completed(work):
                one.result()
        except BaseException:
            meter.stop()
            pool.shutdown(cancel_futures=True)
            raise


class _Meter:
    """Adds up what threads have done, and ends them when one has failed."""

    def __init__(self, total: int, progress: Progress | None):
        self._lock = threading.Lock()
        self._total, self._done = total, 0
        self._progress = progress
        self._stopped = False

    def stop(self) -> None:
        self._stopped = True

    def __call__(self, n: int) -> None:
        if self._stopped:
            raise concurrent.futures.CancelledError
        with self._lock:
            self._done += n
            if self._progress:
                self._progress(self._done, self._total)
