package integration_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	namedTest    = regexp.MustCompile("`((?:Test|Fuzz)[A-Za-z0-9_]+)(?:/([a-z]+))?`")
	declaredTest = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
)

// TestBadInputIsTested holds docs/bad-input.md to its word: every test that it
// names is there, and every row names one.
func TestBadInputIsTested(t *testing.T) {
	page, err := os.ReadFile("../docs/bad-input.md")
	if err != nil {
		t.Fatal(err)
	}
	declared := declaredTests(t)
	named := namedTest.FindAllStringSubmatch(string(page), -1)
	if len(named) < 40 {
		t.Errorf("the page names %d tests, which cannot be all", len(named))
	}
	for _, n := range named {
		if !declared[n[1]] {
			t.Errorf("there is no test %s", n[1])
		}
		if n[2] == "" {
			continue
		}
		if _, err := os.Stat(filepath.Join("../cmd/ingot/testdata/script", n[2]+".txt")); err != nil {
			t.Errorf("%s/%s: %v", n[1], n[2], err)
		}
	}
	for line := range strings.Lines(string(page)) {
		head := strings.HasPrefix(line, "| input ") || strings.HasPrefix(line, "|---")
		if strings.HasPrefix(line, "|") && !head && !namedTest.MatchString(line) {
			t.Errorf("no test is named for this: %s", line)
		}
	}
}

// declaredTests lists the tests of all packages.
func declaredTests(t *testing.T) map[string]bool {
	t.Helper()
	declared := map[string]bool{}
	for _, root := range []string{"chunker", "client", "cmd", "cuda", "integration", "nodecache", "openapi", "registry"} {
		err := filepath.WalkDir(filepath.Join("..", root), func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
				return err
			}
			source, err := os.ReadFile(path)
			for _, m := range declaredTest.FindAllStringSubmatch(string(source), -1) {
				declared[m[1]] = true
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return declared
}
