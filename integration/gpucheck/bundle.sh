#!/usr/bin/env bash
# bundle.sh VERSION: builds dist/ingot-gpu-check.tar.gz, everything that a machine
# with a GPU needs to check the GPU tier. Wheels of Python are carried if they can be
# had; WHEELS=no leaves them out.
set -euo pipefail
cd "$(dirname "$0")/../.."
go=${GO:-go}
dist=${DIST:-dist}
bundle=$dist/ingot-gpu-check
rm -rf "$bundle"
mkdir -p "$bundle/python" "$bundle/scripts" "$bundle/wheels"

export CGO_ENABLED=0
$go build -trimpath -ldflags "-X main.version=$1" -o "$bundle/ingot" ./cmd/ingot
$go build -trimpath -o "$bundle/gpucheck" ./integration/gpucheck
cp integration/gpucheck/run.sh "$bundle"
cp integration/gpucheck/scripts/*.py "$bundle/scripts"
cp docs/gpu.md "$bundle/README.md"
cp -r python/src/ingot "$bundle/python"
find "$bundle" -name __pycache__ -prune -exec rm -r {} +

# wheel VERSION-OF-PYTHON NAME... fetches wheels for machines of any distribution.
wheel() {
	local python=$1
	shift
	"${pip[@]}" download --quiet --disable-pip-version-check --only-binary :all: --no-deps --implementation cp \
		--python-version "$python" "${platforms[@]}" --dest "$bundle/wheels" "$@"
}
if [ "${WHEELS:-yes}" != no ]; then
	pip=(python3 -m pip)
	[ ! -x .cache/venv/bin/pip ] || pip=(.cache/venv/bin/pip)
	platforms=()
	for glibc in 2_17 2_27 2_28 2_30 2_34; do
		platforms+=(--platform "manylinux_${glibc}_$(uname -m)")
	done
	pinned=$(sed -E 's/[[:space:]]*#.*//; /^$/d' integration/gpucheck/wheels.txt)
	for python in 3.10 3.11 3.12 3.13; do
		for package in $pinned; do
			wheel "$python" "$package" 2>/dev/null || echo "gpu-check: no wheel of $package for Python $python: the bundle does without" >&2
		done
	done
fi
tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -C "$dist" -c ingot-gpu-check | gzip -9n >"$bundle.tar.gz"
echo "$bundle.tar.gz"
