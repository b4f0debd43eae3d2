package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// event is a line of "go test -json"; see "go doc test2json" and, for build
// output, "go help buildjson".
type event struct {
	Action  string
	Package string
	Test    string
	Output  string
}

// summary keeps what has been seen so far. Output of a test is held back until
// its outcome is known.
type summary struct {
	out                     io.Writer
	passed, failed, skipped int
	said                    map[[2]string]*strings.Builder // by package and test
	blamed                  map[string]bool                // packages with a failed test
}

func main() {
	ok, err := summarize(os.Stdin, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "summary:", err)
		os.Exit(1)
	}
	if !ok {
		os.Exit(1)
	}
}

// summarize reports whether tests ran and none failed.
func summarize(in io.Reader, out io.Writer) (bool, error) {
	s := &summary{out: out, said: map[[2]string]*strings.Builder{}, blamed: map[string]bool{}}
	dec := json.NewDecoder(in)
	for {
		var e event
		if err := dec.Decode(&e); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return false, fmt.Errorf("read test events: %w", err)
		}
		s.add(e)
	}
	fmt.Fprintf(out, "%d passed, %d failed, %d skipped\n", s.passed, s.failed, s.skipped)
	return s.failed == 0 && s.passed > 0, nil
}

func (s *summary) add(e event) {
	switch {
	case e.Action == "build-output":
		fmt.Fprint(s.out, e.Output)
	case e.Test == "":
		s.addPackage(e)
	default:
		s.addTest(e)
	}
}

func (s *summary) addPackage(e event) {
	switch e.Action {
	case "output":
		if e.Output != "PASS\n" && e.Output != "FAIL\n" {
			fmt.Fprint(s.out, e.Output)
		}
	case "fail":
		if !s.blamed[e.Package] {
			s.failed++
		}
		s.tellUnfinished(e.Package)
	}
}

// tellUnfinished prints what tests said that never came to an outcome, because
// the test binary was stopped under them.
func (s *summary) tellUnfinished(pkg string) {
	for key := range s.said {
		if key[0] == pkg {
			s.tell(key)
			delete(s.said, key)
		}
	}
}

func (s *summary) addTest(e event) {
	key := [2]string{e.Package, e.Test}
	if e.Action == "output" {
		if s.said[key] == nil {
			s.said[key] = &strings.Builder{}
		}
		s.said[key].WriteString(e.Output)
		return
	}
	switch e.Action {
	case "pass":
		s.passed++
	case "fail":
		s.failed++
		s.blamed[e.Package] = true
		s.tell(key)
	case "skip":
		s.skipped++
		s.tell(key)
	default:
		return
	}
	delete(s.said, key)
}

// tell prints what a test said, without the marks of its start.
func (s *summary) tell(key [2]string) {
	if s.said[key] == nil {
		return
	}
	for line := range strings.Lines(s.said[key].String()) {
		if !strings.HasPrefix(line, "=== ") {
			fmt.Fprint(s.out, line)
		}
	}
}
