"""How models, revisions and files of them are spelled.

    acme/llama                   what the branch main has
    acme/llama:prod              what the tag or branch prod has
    acme/llama@3eab2c9e…         a version, by its digest or commit; a branch or tag too
    acme/llama:prod/config.json  a file of it, where paths are spoken of
"""

from __future__ import annotations

import re
import urllib.parse
from typing import NamedTuple

MAIN = "main"

_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


class Reference(NamedTuple):
    """A revision of a model, and perhaps a path in it."""

    repo: str
    revision: str = MAIN
    path: str = ""

    def __str__(self) -> str:
        mark = "@" if self.fixed else ":"
        whole = f"{self.repo}{mark}{urllib.parse.quote(self.revision, safe='')}"
        return f"{whole}/{self.path}" if self.path else whole

    @property
    def fixed(self) -> bool:
        """Whether it names a version, not what moves."""
        return is_commit(self.revision)


def parse(text: str) -> Reference:
    """Reads a reference, with or without a path behind it."""
    namespace, _, rest = text.partition("/")
    model, _, path = rest.partition("/")
    name, mark, revision = _cut(model)
    revision = urllib.parse.unquote(revision) if mark else MAIN
    if not (_PART.fullmatch(namespace) and _PART.fullmatch(name) and below(revision)):
        raise ValueError(f"{text!r}: want namespace/model, namespace/model:tag or namespace/model@revision")
    return Reference(f"{namespace}/{name}", revision, path.strip("/"))


def is_commit(revision: str) -> bool:
    """Tells a digest or commit from a branch or tag."""
    return _COMMIT.fullmatch(revision) is not None


def below(path: str) -> bool:
    """Tells whether a path stays below the folder that it is put in."""
    return "\0" not in path and "\\" not in path and not any(part in ("", ".", "..") for part in path.split("/"))


def _cut(model: str) -> tuple[str, str, str]:
    found = re.search("[:@]", model)
    if found is None:
        return model, "", ""
    return model[: found.start()], found.group(), model[found.end() :]
