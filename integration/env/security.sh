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
"$bin/gosec-$(at gosec)" -quiet -no-fail -fmt json -exclude-dir=.cache -exclude-dir=integration ./... >.cache/gosec.json

db=.cache/vulndb-$(at gendb)
if [ ! -d "$db" ]; then
	module=$(go mod download -json "golang.org/x/vulndb@$(at gendb)" | awk -F'"' '$2 == "Dir" { print $4 }')
	rm -rf "$db.part" "$db.git"
	mkdir -p "$db.part" "$db.git/data"
	cp -r --no-preserve=mode "$module/data/osv" "$db.git/data/osv"
	# It asks git for the dates of entries, which a module has lost; nothing goes by them.
	git -C "$db.git" init -q
	git -C "$db.git" add .
	git -C "$db.git" -c user.name=vulndb -c user.email=vulndb@localhost commit -q -m "entries as of $(at gendb)"
	"$bin/gendb-$(at gendb)" -repo "$db.git" -out "$db.part"
	rm -rf "$db.git"
	mv "$db.part" "$db"
fi
"$bin/govulncheck-$(at govulncheck)" -db "file://$PWD/$db" -format json ./cmd/... >.cache/govulncheck.json
go run ./integration/findings . docs/secure-findings.md docker/Dockerfile .cache/gosec.json .cache/govulncheck.json
