"""Copies a folder of files for an upload that goes on while the folder changes."""

from __future__ import annotations

import errno
import fcntl
import fnmatch
import os
import pathlib
import shutil
import stat
from typing import Iterable, Iterator, Tuple

_FICLONE = 0x40049409  # of Linux: a copy that shares its blocks until one is written
_ELSEWHERE = {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EACCES, errno.ENOTSUP}


def copy(source: pathlib.Path, target: pathlib.Path, *, links: bool = False, ignore: Iterable[str] = ()) -> None:
    """Copies the files below source into target.

    With links they are the same files, which is right if they are replaced or removed
    but never written into. Otherwise their blocks are shared where the file system
    can do that, and copied where it cannot.
    """
    files = [f for f in _files(source) if not any(fnmatch.fnmatch(f[0], p) for p in ignore)]
    if not files:
        raise FileNotFoundError(errno.ENOENT, "there is no file to publish", str(source))
    for name, path in files:
        to = target / name
        to.parent.mkdir(parents=True, exist_ok=True)
        if not (links and _link(path, to)):
            _copy(path, to)


def _files(source: pathlib.Path) -> Iterator[Tuple[str, str]]:
    """Lists the files below a folder: path in it, and where it really is."""
    if source.is_file():
        yield source.name, os.path.realpath(source)
        return
    for folder, below, names in os.walk(source, onerror=_fail):
        for name in sorted(below):
            if os.path.islink(os.path.join(folder, name)):
                raise OSError(f"{os.path.join(folder, name)} is a link to a folder: publish what it leads to")
        below.sort()
        for name in sorted(names):
            path = os.path.join(folder, name)
            if not stat.S_ISREG(os.stat(path).st_mode):
                raise OSError(f"{path} is no file")
            yield os.path.relpath(path, source), os.path.realpath(path)


def _fail(error: OSError) -> None:
    raise error


def _link(path: str, to: pathlib.Path) -> bool:
    try:
        os.link(path, to)
        return True
    except OSError as e:
        if e.errno in _ELSEWHERE:
            return False
        raise


def _copy(path: str, to: pathlib.Path) -> None:
    with open(path, "rb") as read, open(to, "wb") as write:
        try:
            fcntl.ioctl(write.fileno(), _FICLONE, read.fileno())
        except OSError:
            shutil.copyfileobj(read, write, 8 << 20)
