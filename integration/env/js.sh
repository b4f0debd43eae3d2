#!/usr/bin/env bash
# Installs the JavaScript clients that js/package-lock.json pins, with the hashes of
# their packages, in .cache/js. A second run finds everything done and says nothing.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
into=$(cd "$here/../.." && pwd)/.cache/js
stamp=$into/package-lock.sha256

wanted=$(sha256sum <"$here/js/package-lock.json")
if [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then
	exit 0
fi
. "$here/apt.sh"
command -v npm >/dev/null || apt nodejs npm
rm -rf "$into"
mkdir -p "$into"
cp "$here"/js/package*.json "$into"
npm ci --prefix "$into" --silent --no-audit --no-fund --ignore-scripts
echo "$wanted" >"$stamp"
