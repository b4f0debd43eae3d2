#!/usr/bin/env bash
# Installs what the tests need beside Go: a C compiler for the race detector, what
# makes disks and has them fail if we may mount any, and a Python environment in .cache/venv with the packages that
# requirements.txt pins. With the word "api" it makes .cache/venv-api from
# requirements-api.txt instead, with "torch" .cache/venv-torch from
# requirements-torch.txt, 5 GB of it, and with "hub0", "hub1" or "hub2" the clients of
# the Hugging Face Hub of that major version. Those lists are complete, and nothing is
# added to them. A second run finds everything done and says nothing.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
venv=$(cd "$here/../.." && pwd)/.cache/venv${1:+-$1}
requirements=$here/requirements${1:+-$1}.txt
stamp=$venv/requirements.sha256

. "$here/apt.sh"

missing=()
command -v gcc >/dev/null || missing+=(gcc libc6-dev)
if [ "$(id -u)" = 0 ]; then # nobody else mounts a file system
	command -v mkfs.ext4 >/dev/null || missing+=(e2fsprogs)
	command -v mkfs.xfs >/dev/null || missing+=(xfsprogs)
	command -v strace >/dev/null || missing+=(strace)
fi
[ ${#missing[@]} = 0 ] || apt "${missing[@]}"

wanted=$(sha256sum <"$requirements")
if [ -x "$venv/bin/python" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then
	exit 0
fi
# Debian ships the venv module without the pip that it needs.
python3 -c 'import ensurepip, venv' 2>/dev/null || apt python3 python3-venv
rm -rf "$venv"
mkdir -p "$(dirname "$venv")"
python3 -m venv "$venv"
alone=()
if [[ ${1:-} == hub* ]]; then alone=(--no-deps); fi
"$venv/bin/pip" install --quiet --disable-pip-version-check "${alone[@]}" -r "$requirements"
echo "$wanted" >"$stamp"
