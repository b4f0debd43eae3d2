#!/usr/bin/env bash
# Installs what is compared with: borg from Debian, hf_xet into a Python environment.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
. "$here/../env/apt.sh"

command -v borg >/dev/null || apt borgbackup
"$here/../env/setup.sh" hub1
