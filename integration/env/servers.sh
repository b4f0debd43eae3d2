#!/usr/bin/env bash
# Builds the real S3 servers that servers.txt pins into .cache/bin/NAME-VERSION. What
# is there already is left alone: a second run finds everything done and says nothing.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
bin=$(cd "$here/../.." && pwd)/.cache/bin

# build builds one server. Nobody debugs it, so nothing is kept for that.
build() {
	local name=$1 package=$2 version=$3
	[ -x "$bin/$name-$version" ] && return
	echo "building $name $version, once" >&2
	local out
	out=$(mktemp -d "$bin/.$name.XXXX")
	GOBIN=$out GOFLAGS= CGO_ENABLED=0 go install -trimpath -ldflags '-s -w' "$package@$version"
	mv "$out/$name" "$bin/$name-$version"
	rmdir "$out"
}

mkdir -p "$bin"
# At the same time, because each links for a while on one processor.
pids=()
while read -r name package version; do
	[[ $name == \#* ]] && continue
	build "$name" "$package" "$version" &
	pids+=($!)
done <"$here/servers.txt"
for pid in "${pids[@]}"; do
	wait "$pid"
done
