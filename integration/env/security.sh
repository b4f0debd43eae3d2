#!/usr/bin/env bash
# Looks for mistakes in our code with gosec, and for known ones in what we use with
# govulncheck. The list of known ones comes as a Go module, so that none is fetched from
# elsewhere; deploy.txt pins it as it does the programs, and says how new it is.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
"$here/deploy.sh" gosec govulncheck gendb
at() { awk -v name="$1" '$1 == name { print $3 }' "$here/deploy.txt"; }
bin=.cache/bin

# What it finds is mended, or answered in docs/secure-findings.md. Programs of our own
# that only test are left out.
"$bin/gosec-$(at gosec)" -quiet -no-fail -fmt json -exclude-dir=.cache -exclude-dir=integration ./... |
	go run ./integration/findings . docs/secure-findings.md

db=.cache/vulndb-$(at gendb)
if [ ! -d "$db" ]; then
	module=$(go mod download -json "golang.org/x/vulndb@$(at gendb)" | awk -F'"' '$2 == "Dir" { print $4 }')
	mkdir -p "$db.part"
	"$bin/gendb-$(at gendb)" -osv "$module/data/osv" -out "$db.part"
	mv "$db.part" "$db"
fi
"$bin/govulncheck-$(at govulncheck)" -db "file://$PWD/$db" ./...
