#!/usr/bin/env bash
# make.sh CLANG OUT: compiles kernels.c to PTX. The target is the oldest GPU that
# the tier is for, so that one text serves all: a driver compiles it for its own.
set -euo pipefail
cd "$(dirname "$0")"
"$1" --target=nvptx64-nvidia-cuda -nogpulib -x c -O3 -S -Wall -Wextra -Werror \
	-Xclang -target-cpu -Xclang sm_75 -Xclang -target-feature -Xclang +ptx64 kernels.c -o "$2"
