package integration_test

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

const module = "github.com/ingot-ml/ingot/"

// The checks below open every file themselves, whatever its build tags. Asking
// "go list" instead would miss files behind a tag, and the go command would
// serve a cached pass over a new violation, not knowing what was read.

// walk calls f with the path and content of every file of the module. Folders
// that the go command ignores, and modules inside this one, are left out; .ci
// is ours.
func walk(root fs.FS, f func(name string, content []byte) error) error {
	return fs.WalkDir(root, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if !d.IsDir() {
			content, err := fs.ReadFile(root, p)
			if err != nil {
				return err
			}
			return f(p, content)
		}
		name := d.Name()
		if p == "." || name == ".ci" {
			return nil
		}
		hidden := strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_")
		_, noModule := fs.Stat(root, path.Join(p, "go.mod"))
		if hidden || name == "testdata" || p == "bin" || p == "dist" || noModule == nil {
			return fs.SkipDir
		}
		return nil
	})
}

// walkGo calls f with every Go file, parsed in the given mode.
func walkGo(root fs.FS, mode parser.Mode, f func(name string, file *ast.File)) error {
	return walk(root, func(name string, content []byte) error {
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, content, mode)
		if err != nil {
			return fmt.Errorf("parse: %w", err)
		}
		f(name, file)
		return nil
	})
}

// checkLayers compares every import outside tests with the two tables.
func checkLayers(root fs.FS, allowed map[string][]string, owners map[string]string) ([]string, error) {
	var problems []string
	seen := map[string]bool{}
	err := walkGo(root, parser.ImportsOnly, func(name string, file *ast.File) {
		if strings.HasSuffix(name, "_test.go") {
			return
		}
		pkg := path.Dir(name)
		seen[pkg] = true
		may, listed := allowed[pkg]
		if !listed {
			problems = append(problems, fmt.Sprintf("%s: package %s is not in the layering table", name, pkg))
			return
		}
		for _, spec := range file.Imports {
			imported, _ := strconv.Unquote(spec.Path.Value) // the parser has checked it
			if why := judge(pkg, imported, may, owners); why != "" {
				problems = append(problems, name+": "+why)
			}
		}
	})
	for _, pkg := range slices.Sorted(maps.Keys(allowed)) {
		if !seen[pkg] {
			problems = append(problems, fmt.Sprintf("the layering table lists %s, which does not exist", pkg))
		}
	}
	return problems, err
}

// judge tells why a package may not import another, or returns "".
func judge(pkg, imported string, may []string, owners map[string]string) string {
	if dep, ours := strings.CutPrefix(imported, module); ours && !slices.Contains(may, dep) {
		return fmt.Sprintf("%s may not import %s", pkg, dep)
	}
	for mod, owner := range owners {
		if (imported == mod || strings.HasPrefix(imported, mod+"/")) && pkg != owner {
			return fmt.Sprintf("only %s may import %s", owner, mod)
		}
	}
	if forTests(imported) && !forTests(pkg) {
		return fmt.Sprintf("%s is for tests, and %s is not a test", imported, pkg)
	}
	return ""
}

// forTests tells a package that only tests may import: testing and what lies
// below it, and every package named like registerstest or httptest.
func forTests(pkg string) bool {
	return pkg == "testing" || strings.HasPrefix(pkg, "testing/") || strings.HasSuffix(path.Base(pkg), "test")
}

// checkComments wants every package to say what it owns, in a file that is not
// a test: at least one sentence.
func checkComments(root fs.FS) ([]string, error) {
	longest := map[string]int{} // words of the package comment, by package
	err := walkGo(root, parser.PackageClauseOnly|parser.ParseComments, func(name string, file *ast.File) {
		words := 0
		if text := file.Doc.Text(); !strings.HasSuffix(name, "_test.go") && strings.Contains(text, ".") {
			words = len(strings.Fields(text))
		}
		pkg := path.Dir(name)
		longest[pkg] = max(longest[pkg], words)
	})
	var problems []string
	for _, pkg := range slices.Sorted(maps.Keys(longest)) {
		if longest[pkg] < 6 {
			problems = append(problems, fmt.Sprintf("package %s has no package comment of a sentence", pkg))
		}
	}
	return problems, err
}

// The words are put together here so that this file does not break its rule.
var (
	promise  = regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|XX` + `X)\b`)
	absolute = regexp.MustCompile(`(^|[\s"'=(:` + "`" + `])/(home|root|work|Users)/\w`)
	replaces = regexp.MustCompile(`(?m)^\s*replace\b`)
)

const longestFile = 500 // lines of Go; longer files are two files

// checkHouse finds promises left in the code, paths of somebody's machine,
// replaced modules and files that have grown too long.
func checkHouse(root fs.FS) ([]string, error) {
	var problems []string
	add := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	err := walk(root, func(name string, content []byte) error {
		if bytes.IndexByte(content, 0) >= 0 {
			return nil // not text
		}
		isGo := strings.HasSuffix(name, ".go")
		lines := 0
		for line := range bytes.Lines(content) {
			lines++
			if m := promise.Find(line); isGo && m != nil {
				add("%s:%d: %s: do it or file it", name, lines, m)
			}
			if m := absolute.Find(line); m != nil {
				add("%s:%d: path of one machine: %s", name, lines, bytes.TrimSpace(line))
			}
		}
		if isGo && lines > longestFile {
			add("%s: %d lines, more than %d", name, lines, longestFile)
		}
		if path.Base(name) == "go.mod" && replaces.Match(content) {
			add("%s: a replace directive breaks go install", name)
		}
		return nil
	})
	return problems, err
}
