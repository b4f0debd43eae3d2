#!/usr/bin/env bash
# Installs Debian's Chromium, which the tests of the page drive. With the word "letters"
# it installs those that the pictures in the documentation are drawn with, too. A second
# run finds everything done and says nothing.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
. "$here/apt.sh"

missing=()
command -v chromium >/dev/null || missing+=(chromium)
if [ "${1:-}" = letters ]; then
	[ -e /usr/share/fonts/opentype/inter ] || [ -e /usr/share/fonts/truetype/inter ] || missing+=(fonts-inter)
	[ -e /usr/share/fonts/truetype/jetbrains-mono ] || missing+=(fonts-jetbrains-mono)
fi
[ ${#missing[@]} = 0 ] || apt "${missing[@]}"
