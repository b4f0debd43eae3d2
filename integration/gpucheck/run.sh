#!/usr/bin/env bash
# Checks ingot's GPU tier on this machine, and leaves gpu-check.json in this folder.
# It needs an NVIDIA driver and, for some of the checks, Python 3.9 or newer with
# NumPy and PyTorch: no network, no Go, no CUDA toolkit, no root.
#
#   ./run.sh                   a model of 16 GiB, or of what there is room for
#   ./run.sh -size 4           a model of 4 GiB
#   ./run.sh -dir /mnt/fast    files there; ./run.sh -help lists the rest
#   PYTHON=/opt/venv/bin/python ./run.sh
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
exec "$here/gpucheck" -bundle "$here" -json "$here/gpu-check.json" "$@"
