package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRun(t *testing.T) {
	const found = `{"Issues":[
{"rule_id":"G304","file":"/r/cmd/x/open.go","line":"7","details":"a path"},
{"rule_id":"G404","file":"/r/chunker/rand.go","line":"9-10","details":"weak"}],"Stats":{"Files":2}}`
	const both = "| rule | where | answer |\n|---|---|---|\n| G304 | `cmd/...` | it opens what it is told to |\n| G404 | `chunker/rand.go` | not for secrets |\n"
	for _, tc := range []struct{ name, found, page, says, prints string }{
		{"all answered", found, both, "", "2 files, 2 findings, all of them answered in 2 lines"},
		{"one not", found, both[:strings.Index(both, "| G404")], "1 things to do", "chunker/rand.go:9-10: G404: weak"},
		{"elsewhere", found, strings.Replace(both, "cmd/...", "registry/...", 1), "2 things to do", "cmd/x/open.go:7: G304: a path\nG304 in registry/... is answered and not found"},
		{"of another rule", found, strings.Replace(both, "G404", "G405", 1), "2 things to do", "G404: weak"},
		{"without a reason", found, strings.Replace(both, "not for secrets ", "", 1), "1 things to do", "G404: weak"},
		{"everywhere", found, strings.Replace(both, "cmd/...", "./...", 1), "", "all of them answered"},
		{"nothing read", `{"Issues":[],"Stats":{"Files":0}}`, both, "read no file", ""},
		{"nothing printed", "", both, "EOF", ""},
	} {
		page := filepath.Join(t.TempDir(), "page.md")
		if err := os.WriteFile(page, []byte(tc.page), 0o666); err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		err := run(strings.NewReader(tc.found), &out, []string{"/r", page})
		if (err == nil) != (tc.says == "") || err != nil && !strings.Contains(err.Error(), tc.says) || !strings.Contains(out.String(), tc.prints) {
			t.Errorf("%s: %v, %s", tc.name, err, &out)
		}
	}
}
