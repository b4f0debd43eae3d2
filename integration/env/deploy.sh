#!/usr/bin/env bash
# Builds the programs that deployments are checked with, of deploy.txt, into
# .cache/bin/NAME-VERSION; a second run finds everything done and says nothing. With
# names it builds those alone.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
bin=$(cd "$here/../.." && pwd)/.cache/bin
mkdir -p "$bin"
while read -r name package version; do
	[[ $name == \#* ]] && continue
	[ $# = 0 ] || [[ " $* " == *" $name "* ]] || continue
	[ -x "$bin/$name-$version" ] && continue
	echo "building $name $version, once" >&2
	out=$(mktemp -d "$bin/.$name.XXXX")
	GOBIN=$out GOFLAGS= CGO_ENABLED=0 go install -trimpath -ldflags '-s -w' "$package@$version"
	mv "$out"/* "$bin/$name-$version"
	rmdir "$out"
done <"$here/deploy.txt"
