"""Files that ingot.fs has open, and transactions of several."""

from __future__ import annotations

import tempfile
from collections import deque
from typing import TYPE_CHECKING, Any, Dict, Tuple

from fsspec.spec import AbstractBufferedFile
from fsspec.transaction import Transaction as _Transaction

from .commits import Change, Stored
from .hub import RepoFile, Revision
from .reference import Reference

if TYPE_CHECKING:
    from .fs import IngotFileSystem


Changes = Dict[Tuple[str, str], Dict[str, Change]]  # by model and branch, and by path


class Transaction(_Transaction):
    """Changes that become visible together."""

    def __init__(self, fs: IngotFileSystem, **more: Any):
        super().__init__(fs, **more)
        self.changes: Changes = {}

    def complete(self, commit: bool = True) -> None:
        """Commits everything, or nothing."""
        fs, self.fs = self.fs, None
        files, self.files = self.files, deque()
        fs._intrans, fs._transaction = False, None
        still = [file for file in files if not file.closed]
        for file in still:
            file.discard()
        if commit and still:
            raise ValueError(f"{still[0].path} is still open at the end of its transaction, of which nothing is kept")
        if commit:
            fs.commit(self.changes)


class ReadFile(AbstractBufferedFile):
    """A file of a version."""

    def __init__(self, fs: IngotFileSystem, path: str, revision: Revision, file: RepoFile, block_size: int, **more: Any):
        self._revision, self._file = revision, file
        self._details = fs.describe(path, revision, file)
        super().__init__(fs, path, "rb", block_size, **{**more, "size": file.size})

    def _fetch_range(self, start: int, end: int) -> bytes:
        return self.fs.hub.read(self._revision, self._file, start, end)


class WriteFile(AbstractBufferedFile):
    """A file that goes to the registry when it is closed. If that does not come to
    pass, because the body of its with raises or because it is forgotten, nothing does."""

    def __init__(self, fs: IngotFileSystem, path: str, mode: str, ref: Reference, block_size: int, autocommit: bool):
        super().__init__(fs, path, mode, block_size, autocommit)
        self._ref = ref
        self._content = tempfile.TemporaryFile()
        self._stored: Stored | None = None

    def __exit__(self, kind: Any, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()

    def __del__(self) -> None:
        if not self.closed:
            self.discard()

    def discard(self) -> None:
        """Forgets what was written."""
        self.closed = True
        self._stored = None
        self._content.close()

    def commit(self) -> None:
        """Makes a file visible that was opened with autocommit=False."""
        if self._stored is None:
            raise ValueError(f"{self.path} is not closed, or was discarded")
        self.fs.commit({(self._ref.repo, self._ref.revision): {self._ref.path: self._stored}})

    def _upload_chunk(self, final: bool = False) -> bool:
        self._content.write(self.buffer.getbuffer())
        if final:
            self._content.flush()
            with self._content:
                self._stored = self.fs.publisher.upload(self._ref.repo, self._content, self.loc)
            if self.autocommit or self.fs._intrans:
                self.fs.change(self._ref, self._stored)
        return True
