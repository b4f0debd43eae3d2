package integration_test

import (
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
)

// The tests here plant violations in a small module and want each reported: a
// rule that cannot fail holds nothing.

var (
	plantedAllowed = map[string][]string{
		"low":     {},
		"high":    {"low", "lowtest"},
		"lowtest": {"low"},
	}
	plantedOwners = map[string]string{"heavy.example/db": "low"}
)

// soundFS is a module that breaks no rule.
func soundFS() fstest.MapFS {
	return fstest.MapFS{
		"go.mod":              file("module github.com/ingot-ml/ingot\n"),
		"low/low.go":          file("// Package low owns the ground everything stands on.\npackage low\n\nimport _ \"heavy.example/db/sub\"\n"),
		"low/low_test.go":     file("package low\n\nimport _ \"github.com/ingot-ml/ingot/high\"\n"),
		"high/high.go":        file("// Package high owns what is built on low.\npackage high\n\nimport _ \"github.com/ingot-ml/ingot/low\"\n"),
		"lowtest/lowtest.go":  file("// Package lowtest owns the conformance tests of low.\npackage lowtest\n\nimport _ \"testing\"\n"),
		"other/go.mod":        file("module other\n"),
		"other/other.go":      file("package other\n"),
		"low/testdata/x.go":   file("not Go at all\n"),
		".cache/thing/any.go": file("not Go at all\n"),
	}
}

func file(content string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(content)} }

func planted(root fs.FS) ([]string, error) {
	var all []string
	for _, check := range []func(fs.FS) ([]string, error){
		func(root fs.FS) ([]string, error) { return checkLayers(root, plantedAllowed, plantedOwners) },
		checkComments, checkHouse,
	} {
		problems, err := check(root)
		if err != nil {
			return nil, err
		}
		all = append(all, problems...)
	}
	return all, nil
}

func TestSoundModulePasses(t *testing.T) {
	problems, err := planted(soundFS())
	if err != nil || len(problems) > 0 {
		t.Errorf("got %q, %v, want no problem", problems, err)
	}
}

func TestPlantedViolationsAreReported(t *testing.T) {
	const importing = "package low\n\nimport _ "
	tests := []struct{ name, path, content, want string }{
		{"forbidden edge", "low/up.go", importing + `"github.com/ingot-ml/ingot/high"`, "low may not import high"},
		{"edge behind a build tag", "low/up.go", "//go:build never\n\n" + importing + `"github.com/ingot-ml/ingot/high"`, "low may not import high"},
		{"heavy module elsewhere", "high/db.go", "package high\n\nimport _ \"heavy.example/db\"\n", "only low may import heavy.example/db"},
		{"unlisted package", "new/new.go", "// Package new owns nothing that the table knows.\npackage new\n", "new is not in the layering table"},
		{"conformance tests in a program", "high/t.go", "package high\n\nimport _ \"github.com/ingot-ml/ingot/lowtest\"\n", "high is not a test"},
		{"testing in a program", "high/t.go", "package high\n\nimport _ \"testing/iotest\"\n", "high is not a test"},
		{"no package comment", "high/high.go", "package high\n", "package high has no package comment"},
		{"package comment of one word", "high/high.go", "// High.\npackage high\n", "package high has no package comment"},
		{"package comment only in a test", "sub/sub_test.go", "// Package sub owns this and that of something.\npackage sub\n", "package sub has no package comment"},
		{"promise", "high/p.go", "package high\n\n// TO" + "DO: later\n", "high/p.go:3"},
		{"machine path in Go", "high/p.go", "package high\n\nconst p = \"/ho" + "me/me/x\"\n", "high/p.go:3: path of one machine"},
		{"machine path in a script", ".ci/run", "cd /wo" + "rk/main\n", ".ci/run:1: path of one machine"},
		{"long file", "high/long.go", "package high\n" + strings.Repeat("\n", longestFile), "high/long.go: 501 lines"},
		{"replaced module", "go.mod", "module m\n\nreplace a => ../a\n", "replace directive"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			root := soundFS()
			root[tt.path] = file(tt.content)
			problems, err := planted(root)
			if err != nil {
				t.Fatal(err)
			}
			if len(problems) != 1 || !strings.Contains(problems[0], tt.want) {
				t.Errorf("got %q, want one problem with %q", problems, tt.want)
			}
		})
	}
}

func TestTableOfMissingPackageIsReported(t *testing.T) {
	root := soundFS()
	delete(root, "lowtest/lowtest.go")
	problems, err := planted(root)
	if err != nil {
		t.Fatal(err)
	}
	if len(problems) != 1 || !strings.Contains(problems[0], "lists lowtest, which does not exist") {
		t.Errorf("got %q, want the stale row reported", problems)
	}
}
