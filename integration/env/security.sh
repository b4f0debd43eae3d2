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

# Answered in the code are single findings, by "#nosec RULE -- why". Answered for all of
# the code are rules, in docs/secure-findings.md: what leaves them out is this list, which
# a test compares with that page.
"$bin/gosec-$(at gosec)" -quiet -track-suppressions -fmt text -exclude="$("$here/findings.sh")" \
	-exclude-dir=.cache -exclude-dir=integration -exclude-dir=python ./...

db=.cache/vulndb-$(at gendb)
if [ ! -d "$db" ]; then
	module=$(go mod download -json "golang.org/x/vulndb@$(at gendb)" | awk -F'"' '$2 == "Dir" { print $4 }')
	mkdir -p "$db.part"
	"$bin/gendb-$(at gendb)" -osv "$module/data/osv" -out "$db.part"
	mv "$db.part" "$db"
fi
"$bin/govulncheck-$(at govulncheck)" -db "file://$PWD/$db" ./...
