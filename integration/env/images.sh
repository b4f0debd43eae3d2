#!/usr/bin/env bash
# Carries out the steps of docker/Dockerfile without a container engine: see images.py.
# It needs root, and installs debootstrap.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
. "$here/apt.sh"
missing=()
command -v debootstrap >/dev/null || missing+=(debootstrap)
command -v readelf >/dev/null || missing+=(binutils)
command -v ip >/dev/null || missing+=(iproute2)
[ ${#missing[@]} = 0 ] || apt "${missing[@]}"
"$here/setup.sh" deploy
mkdir -p .cache/images
# The machine fetches modules as it is used to; the steps find them in its cache.
go mod download
exec .cache/venv-deploy/bin/python "$here/images.py" docker/Dockerfile .cache/images
