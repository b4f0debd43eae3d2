"""The token that a registry or an agent is shown, found as the program finds it.

Laws:
  - A token that is kept for one origin, a scheme with a host and a port, is shown to
    no other, and none goes over plain HTTP to another machine.
  - A file of tokens that others than its owner can read is not used.
  - What comes from a file is read anew for each request: it may have been renewed.
  - What cannot be used is a PermissionError, and no error holds a token.
"""

from __future__ import annotations

import errno
import ipaddress
import json
import os
import pathlib
import stat
import urllib.parse
from typing import Any

from .address import is_url

REGISTRY, AGENT, ELSEWHERE = "registry", "agent", "elsewhere"  # who is asked

_MOST = 16 << 10  # bytes of a token
_MOST_FILE = 4 << 20
_PORTS = {"http": 80, "https": 443}


def shown(address: str, to: str) -> str:
    """Returns the token for who answers at an address; "" for none."""
    if to == ELSEWHERE or not is_url(address):
        return ""
    token = _for_agent() if to == AGENT else _for_registry(address)
    if token and not _private(address) and not _insecure(address):
        raise _unfit(
            f"{address}: the token would go over the network in plain text: use https, or allow it with INGOT_INSECURE=true"
        )
    return token


def authority(address: str) -> str:
    """Returns the file of authorities to believe beside those of the system; "" for none."""
    return os.environ.get("INGOT_CA_FILE", "") or str(_kept(address).get("ca_file", ""))


def origin(address: str) -> str:
    """Spells scheme, host and port in one way."""
    url = urllib.parse.urlsplit(address)
    host = url.hostname or ""
    host = f"[{host}]" if ":" in host else host
    return f"{url.scheme}://{host}" + (f":{url.port}" if url.port and url.port != _PORTS.get(url.scheme) else "")


def _for_registry(address: str) -> str:
    if token := os.environ.get("INGOT_TOKEN", ""):
        return _checked(token, "INGOT_TOKEN")
    if path := os.environ.get("INGOT_TOKEN_FILE", ""):
        return _first(path)
    token = _kept(address).get("token", "")
    return _checked(token, str(_file())) if token else ""


def _for_agent() -> str:
    path = os.environ.get("INGOT_AGENT_TOKEN_FILE", "")
    return _first(path) if path else ""


def _first(path: str) -> str:
    """Returns the first token of a file that has one on each line."""
    for line in _read(pathlib.Path(path), 16 * _MOST).splitlines():
        if token := line.strip():
            return _checked(token, path)
    raise _unfit(f"there is no token in {path}")


def _kept(address: str) -> dict[str, Any]:
    """Returns what "ingot login" keeps for a registry."""
    path = _file()
    if path is None or not os.path.exists(path):  # nor where nothing may even be looked for
        return {}
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise _unfit(f'{path}: others can read it: it is used after "chmod 600"')
    try:
        entry = json.loads(_read(path, _MOST_FILE))["registries"].get(origin(address), {})
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as e:
        raise _unfit(f"{path} is not a file of credentials") from e
    return entry if isinstance(entry, dict) else {}


def _file() -> pathlib.Path | None:
    config, home = os.environ.get("XDG_CONFIG_HOME", ""), os.environ.get("HOME", "")
    if os.path.isabs(config):
        return pathlib.Path(config, "ingot", "credentials.json")
    return pathlib.Path(home, ".config", "ingot", "credentials.json") if home else None


def _read(path: pathlib.Path, most: int) -> str:
    try:
        with path.open("rb") as f:
            content = f.read(most + 1)
    except OSError as e:  # that a file is not there is nothing that callers may take for an answer
        raise _unfit(f"{path}: {e.strerror}") from e
    if len(content) > most:
        raise _unfit(f"{path} has more than {most} bytes")
    return content.decode("ascii", "replace")


def _checked(token: object, source: str) -> str:
    if not isinstance(token, str) or not 0 < len(token) <= _MOST or not all("!" <= c <= "~" for c in token):
        raise _unfit(f"{source}: the token is not one word of ASCII")
    return token


def _unfit(why: str) -> PermissionError:
    return PermissionError(errno.EACCES, why)


def _private(address: str) -> bool:
    """Tells an address on the way to which nobody listens."""
    url = urllib.parse.urlsplit(address)
    host = url.hostname or ""
    try:
        return url.scheme == "https" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _insecure(address: str) -> bool:
    said = os.environ.get("INGOT_INSECURE", "").lower()
    return said in ("1", "t", "true") if said else _kept(address).get("insecure") is True
