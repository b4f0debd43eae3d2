// Command findings compares what gosec and govulncheck have found, their JSON, with what
// docs/secure-findings.md answers. It fails on a finding without an answer, and on an
// answer to what is not found any more: the page says what is so, and nothing else.
//
// The page answers in tables of which every line is a rule of gosec, or the name of a
// known mistake, the file, folder or module in which it is answered, and why it is none
// there. What is known of Go itself is answered by the Go that images are built with.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// report is what gosec prints.
type report struct {
	Issues []issue
	Stats  struct{ Files int }
}

type issue struct {
	Rule    string `json:"rule_id"`
	File    string `json:"file"` // absolute
	Line    string `json:"line"`
	Details string `json:"details"`
}

// answer is a line of the page.
type answer struct {
	rule, where string
	met         int // findings
}

func main() {
	if err := run(os.Stdout, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "findings:", err)
		os.Exit(1)
	}
}

func run(out io.Writer, args []string) error {
	if len(args) != 5 {
		return errors.New("usage: findings ROOT PAGE DOCKERFILE GOSEC.json GOVULNCHECK.json")
	}
	root, err := filepath.Abs(args[0])
	if err != nil {
		return err
	}
	page, err := os.ReadFile(args[1])
	if err != nil {
		return err
	}
	goes, err := buildsWith(args[2])
	if err != nil {
		return err
	}
	r, err := readReport(args[3])
	if err != nil {
		return err
	}
	known, err := readKnown(args[4], root, goes)
	if err != nil {
		return err
	}
	answers := parse(string(page))
	open := compare(root, slices.Concat(r.Issues, known), answers)
	for _, line := range open {
		fmt.Fprintln(out, line)
	}
	if len(open) > 0 {
		return fmt.Errorf("%d things to do: mend what was found, or answer it in %s", len(open), args[1])
	}
	fmt.Fprintf(out, "%d files, %d findings, all of them answered in %d lines of %s, and what is known of Go by %s\n", r.Stats.Files, len(r.Issues)+len(known), len(answers), args[1], goes)
	return nil
}

// readReport reads what gosec has printed.
func readReport(path string) (r report, err error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(b, &r); err != nil {
		return r, fmt.Errorf("read what gosec printed: %w", err)
	}
	if r.Stats.Files == 0 {
		return r, errors.New("gosec has read no file")
	}
	return r, nil
}

var row = regexp.MustCompile("(?m)^\\| (G[0-9]+|GO-[0-9]+-[0-9]+) \\| `([^`]+)` \\| \\S.*\\|$")

// parse reads the lines of the page.
func parse(page string) []*answer {
	var all []*answer
	for _, m := range row.FindAllStringSubmatch(page, -1) {
		all = append(all, &answer{rule: m[1], where: m[2]})
	}
	return all
}

// covers tells whether an answer is one to a finding in that file.
func (a *answer) covers(rule, file string) bool {
	folder, all := strings.CutSuffix(a.where, "/...")
	return a.rule == rule && (file == a.where || all && (folder == "." || strings.HasPrefix(file, folder+"/")))
}

// compare returns what is not answered, and answers without a finding. The longest
// answer is the one that a finding has.
func compare(root string, issues []issue, answers []*answer) []string {
	sorted := slices.Clone(answers)
	slices.SortStableFunc(sorted, func(a, b *answer) int { return len(b.where) - len(a.where) })
	var open []string
	for _, i := range issues {
		file, err := filepath.Rel(root, i.File)
		if err != nil {
			file = i.File
		}
		file = filepath.ToSlash(file)
		at := slices.IndexFunc(sorted, func(a *answer) bool { return a.covers(i.Rule, file) })
		if at < 0 {
			open = append(open, fmt.Sprintf("%s:%s: %s: %s", file, i.Line, i.Rule, i.Details))
			continue
		}
		sorted[at].met++
	}
	for _, a := range answers {
		if a.met == 0 {
			open = append(open, fmt.Sprintf("%s in %s is answered and not found: take the line out", a.rule, a.where))
		}
	}
	return open
}
