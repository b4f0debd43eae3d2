#!/usr/bin/env bash
# Installs the stores to compare with: borg, casync and zstd from Debian, MinIO
# and its client built once into .cache/bin.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
bin=$(cd "$here/../.." && pwd)/.cache/bin
. "$here/../env/apt.sh"

command -v borg >/dev/null || apt borgbackup
command -v casync >/dev/null || apt casync
command -v zstd >/dev/null || apt zstd
[ -x "$bin/minio" ] || GOBIN=$bin go install github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c
[ -x "$bin/mc" ] || GOBIN=$bin go install github.com/minio/mc@v0.0.0-20250313080218-cf909e1063a9
