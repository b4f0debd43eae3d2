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
	const known = `{"config":{}}{"osv":{}}
{"finding":{"osv":"GO-1-1","fixed_version":"v1.26.9","trace":[{"module":"stdlib","version":"v1.26.8","function":"Serve"}]}}
{"finding":{"osv":"GO-1-3","trace":[{"module":"example.com/m","version":"v1.0.0"}]}}
{"finding":{"osv":"GO-1-2","trace":[{"module":"example.com/m","version":"v1.0.0","function":"New"}]}}
{"finding":{"osv":"GO-1-2","trace":[{"module":"example.com/m","version":"v1.0.0","function":"Use"}]}}`
	const three = both + "\n| GO-1-2 | `example.com/m` | that part is not used |\n"
	for _, tc := range []struct{ name, found, known, page, says, prints string }{
		{"all answered", found, known, three, "", "2 files, 3 findings, all of them answered in 3 lines"},
		{"one not", found, known, strings.Replace(three, "| G404", "G404", 1), "1 things to do", "chunker/rand.go:9-10: G404: weak"},
		{"elsewhere", found, known, strings.Replace(three, "cmd/...", "registry/...", 1), "2 things to do", "cmd/x/open.go:7: G304: a path\nG304 in registry/... is answered and not found"},
		{"of another rule", found, known, strings.Replace(three, "G404", "G405", 1), "2 things to do", "G404: weak"},
		{"without a reason", found, known, strings.Replace(three, "not for secrets ", "", 1), "1 things to do", "G404: weak"},
		{"everywhere", found, known, strings.Replace(three, "cmd/...", "./...", 1), "", "all of them answered"},
		{"known and not answered", found, known, both, "1 things to do", "example.com/m:v1.0.0: GO-1-2"},
		{"of another module", found, known, strings.Replace(three, "example.com/m", "example.com/n", 1), "2 things to do", "GO-1-2"},
		{"of a later Go", found, strings.Replace(known, "v1.26.9", "v1.26.11", 1), three, "1 things to do", "stdlib:v1.26.8: GO-1-1: a known mistake, mended in v1.26.11"},
		{"of no Go yet", found, strings.Replace(known, `"fixed_version":"v1.26.9",`, "", 1), three, "1 things to do", "GO-1-1"},
		{"nothing read", `{"Issues":[],"Stats":{"Files":0}}`, known, three, "read no file", ""},
		{"nothing printed", "", known, three, "unexpected end", ""},
		{"nothing printed of what is known", found, "", three, "govulncheck has printed nothing", ""},
		{"something else printed", found, "panic", three, "read what govulncheck printed", ""},
	} {
		dir := t.TempDir()
		file := func(name, text string) string {
			path := filepath.Join(dir, name)
			if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
				t.Fatal(err)
			}
			return path
		}
		var out bytes.Buffer
		err := run(&out, []string{"/r", file("page.md", tc.page), file("Dockerfile", "ARG GO=1.26.10\n"), file("gosec", tc.found), file("known", tc.known)})
		if (err == nil) != (tc.says == "") || err != nil && !strings.Contains(err.Error(), tc.says) || !strings.Contains(out.String(), tc.prints) {
			t.Errorf("%s: %v, %s", tc.name, err, &out)
		}
	}
}
