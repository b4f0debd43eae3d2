package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

func main() {
	if err := plantAll(".", os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "planted:", err)
		os.Exit(1)
	}
}

// plantAll plants every mistake whose name contains one of the words, or all.
func plantAll(root string, words []string) error {
	missed := 0
	for _, m := range mistakes {
		if len(words) > 0 && !slices.ContainsFunc(words, func(w string) bool { return strings.Contains(m.name, w) }) {
			continue
		}
		began := time.Now()
		said, err := m.plant(root)
		if err != nil {
			missed++
			said = "NOT CAUGHT: " + err.Error()
		}
		fmt.Printf("%-28s %-26s %5.1fs  %s\n", m.name, m.test, time.Since(began).Seconds(), said)
	}
	if missed > 0 {
		return fmt.Errorf("%d mistakes were not caught", missed)
	}
	return nil
}

// mistake is a way to get the code wrong, and the test that catches it.
type mistake struct {
	name  string
	edits []edit
	pkg   string
	test  string
	env   []string
}

// edit replaces a text that stands once in a file.
type edit struct{ file, old, new string }

// apply returns the file with the mistake in it.
func (e edit) apply(content string) (string, error) {
	if n := strings.Count(content, e.old); n != 1 {
		return "", fmt.Errorf("%s: %q stands there %d times, want once: the mistake has to be written anew", e.file, e.old, n)
	}
	return strings.Replace(content, e.old, e.new, 1), nil
}

// planted returns the files of the mistake with it in them, by their paths.
func (m mistake) planted(root string) (map[string]string, error) {
	files := map[string]string{}
	for _, e := range m.edits {
		content, ok := files[e.file]
		if !ok {
			b, err := os.ReadFile(filepath.Join(root, e.file))
			if err != nil {
				return nil, err
			}
			content = string(b)
		}
		var err error
		if files[e.file], err = e.apply(content); err != nil {
			return nil, err
		}
	}
	return files, nil
}

// plant runs the test over the mistake and returns what the test said of it, or an
// error when it passed, or failed for some other reason.
func (m mistake) plant(root string) (string, error) {
	dir, err := os.MkdirTemp("", "planted")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(dir) }() // what stays lies among the system's temporary files
	overlay, err := m.overlay(root, dir)
	if err != nil {
		return "", err
	}
	cmd := exec.Command("go", "test", "-count=1", "-timeout=10m", "-overlay="+overlay, "-run=^"+m.test+"$", "./"+m.pkg)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), m.env...)
	out, err := cmd.CombinedOutput()
	return judge(m.test, string(out), err)
}

// overlay writes the planted files and what tells the go command of them.
func (m mistake) overlay(root, dir string) (string, error) {
	files, err := m.planted(root)
	if err != nil {
		return "", err
	}
	replace := map[string]string{}
	for path, content := range files {
		from, err := filepath.Abs(filepath.Join(root, path))
		if err != nil {
			return "", err
		}
		to := filepath.Join(dir, strings.ReplaceAll(path, "/", "_"))
		if err := os.WriteFile(to, []byte(content), 0o666); err != nil {
			return "", err
		}
		replace[from] = to
	}
	b, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	overlay := filepath.Join(dir, "overlay.json")
	return overlay, os.WriteFile(overlay, b, 0o666)
}

// said finds in the output of a test what it says first.
var said = regexp.MustCompile(`(?m)^\s+\w+\.go:\d+: ([^ ].*)$`)

// judge tells from the output of a test run what the test has said.
func judge(test, output string, failed error) (string, error) {
	var exit *exec.ExitError
	switch {
	case failed == nil:
		return "", errors.New("the test passed")
	case !errors.As(failed, &exit):
		return "", failed
	case strings.Contains(output, "[build failed]") || strings.Contains(output, "[setup failed]"):
		return "", fmt.Errorf("it does not compile:\n%s", output)
	case strings.Contains(output, "panic: test timed out"):
		return "the test hung", nil
	case !strings.Contains(output, "--- FAIL: "+test) && !strings.Contains(output, "panic:"):
		return "", fmt.Errorf("the run failed, and not by the test:\n%s", output)
	}
	lines := said.FindAllStringSubmatch(output, -1)
	for _, line := range lines {
		if strings.HasPrefix(line[1], "seed ") && !strings.Contains(line[1], ": {") {
			return shorten(line[1]), nil
		}
	}
	if len(lines) > 0 {
		return shorten(lines[0][1]), nil
	}
	return "it failed", nil
}

func shorten(s string) string { return s[:min(len(s), 160)] }
