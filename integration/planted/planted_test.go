package main

import (
	"go/parser"
	"go/token"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestMistakesApply wants every mistake to fit the code as it is.
func TestMistakesApply(t *testing.T) {
	for _, m := range mistakes {
		files, err := m.planted("../..")
		if err != nil {
			t.Errorf("%s: %v", m.name, err)
			continue
		}
		for path, content := range files {
			if _, err := parser.ParseFile(token.NewFileSet(), path, content, parser.SkipObjectResolution); err != nil {
				t.Errorf("%s: %v", m.name, err)
			}
		}
	}
}

// quick are mistakes that the simulation catches within its first seeds, so that each
// costs little more than a build.
var quick = []string{"reuse-a-name", "no-check-at-commit", "no-fsync-of-a-blob"}

// TestQuickMistakesAreCaught plants some; "make planted" plants all.
func TestQuickMistakesAreCaught(t *testing.T) {
	for _, m := range mistakes {
		if !slices.Contains(quick, m.name) {
			continue
		}
		t.Run(m.name, func(t *testing.T) {
			said, err := m.plant("../..")
			if err != nil {
				t.Fatal(err)
			}
			t.Log(said)
		})
	}
}

// TestJudge tells a test that caught a mistake from one that failed otherwise.
func TestJudge(t *testing.T) {
	failed := &exec.ExitError{}
	tests := []struct {
		name, output string
		err          error
		caught       string
	}{
		{"passes", "ok  	pkg	0.1s\n", nil, ""},
		{"catches", "--- FAIL: TestX (0.00s)\n    x_test.go:7: lost it\nFAIL\n", failed, "lost it"},
		{"names the seed", "--- FAIL: TestX (0.00s)\n    x_test.go:7: a line\n    x_test.go:9: seed 3: I2: gone\nFAIL\n", failed, "seed 3: I2: gone"},
		{"does not compile", "# pkg\nx.go:1: no\nFAIL	pkg [build failed]\n", failed, ""},
		{"fails elsewhere", "--- FAIL: TestY (0.00s)\nFAIL\n", failed, ""},
		{"skips", "--- SKIP: TestX (0.00s)\nPASS\n", nil, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			said, err := judge("TestX", tt.output, tt.err)
			if said != tt.caught || (err == nil) != (tt.caught != "") {
				t.Errorf("got %q, %v, want %q", said, err, tt.caught)
			}
		})
	}
}

// TestUnfitMistakeIsReported gives a mistake that the code does not have any more.
func TestUnfitMistakeIsReported(t *testing.T) {
	m := mistake{name: "gone", edits: []edit{{"go.mod", "no such line", ""}}}
	if _, err := m.planted("../.."); err == nil || !strings.Contains(err.Error(), "written anew") {
		t.Errorf("got %v", err)
	}
}
