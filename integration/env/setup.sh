#!/usr/bin/env bash
# Installs what the tests need beside Go: a C compiler for the race detector
# and a Python environment in .cache/venv with the packages that
# requirements.txt pins. A second run finds everything done and says nothing.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
cache=$(cd "$here/../.." && pwd)/.cache
stamp=$cache/venv/requirements.sha256

. "$here/apt.sh"

command -v gcc >/dev/null || apt gcc libc6-dev

wanted=$(sha256sum <"$here/requirements.txt")
if [ -x "$cache/venv/bin/python" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then
	exit 0
fi
# Debian ships the venv module without the pip that it needs.
python3 -c 'import ensurepip, venv' 2>/dev/null || apt python3 python3-venv
rm -rf "$cache/venv"
mkdir -p "$cache"
python3 -m venv "$cache/venv"
"$cache/venv/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt"
echo "$wanted" >"$stamp"
