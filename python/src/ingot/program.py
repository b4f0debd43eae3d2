"""Runs the program ingot, which cuts, encodes, sends and fetches for this package.

Laws:
  - A failure is a ProgramError with the program's own words.
  - A child is in a session of its own: a Ctrl-C that is meant for Python does not
    cut an upload off. It ends by itself, also when Python is killed.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import Any, Sequence

from . import address
from .errors import ProgramError, TagMoved

_SAID = 1 << 16  # bytes of what a program says in vain


def find() -> str:
    """Returns the path of the program: INGOT_PROGRAM, else ingot of the PATH."""
    named = os.environ.get("INGOT_PROGRAM", "")
    found = shutil.which(named or "ingot")
    if found is None:
        raise ProgramError("not_found", f"the program {named or 'ingot'} is not there: install it, or set INGOT_PROGRAM", 127)
    return found


class Program:
    """The program with a registry that it talks to."""

    def __init__(self, registry: str | None = None):
        self.path = find()
        self.registry = address.registry(registry)

    def __call__(self, *arguments: str, held: Sequence[int] = ()) -> dict[str, Any]:
        """Runs a command and returns the JSON that it prints.

        held are descriptors that stay open as long as it runs.
        """
        command = [self.path, *arguments, "--json", "--quiet", "--registry", self.registry]
        nothing, pipe = subprocess.DEVNULL, subprocess.PIPE
        done = subprocess.run(
            command, stdin=nothing, stdout=pipe, stderr=pipe, pass_fds=held, start_new_session=True, check=False
        )
        if done.returncode:
            raise _failure(arguments[0], done.returncode, done.stderr[-_SAID:])
        try:
            said = json.loads(done.stdout)
        except ValueError as e:
            raise ProgramError("internal", f"ingot {arguments[0]} has printed what does not read: {e}") from e
        if not isinstance(said, dict):
            raise ProgramError("internal", f"ingot {arguments[0]} has printed no document")
        return said


def _failure(command: str, status: int, said: bytes) -> ProgramError:
    """Reads the error that the program prints last."""
    lines = said.decode(errors="replace").strip().splitlines() or [""]
    try:
        error = json.loads(lines[-1])["error"]
        code, message = str(error["code"]), str(error["message"])
    except (ValueError, KeyError, TypeError):
        return ProgramError("internal", f"ingot {command} has ended with {status}: {lines[-1]}", status)
    return (TagMoved if code == "tag_moved" else ProgramError)(code, message, status)
