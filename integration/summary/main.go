package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
)

// event is a line of "go test -json"; see "go doc test2json" and, for build
// output, "go help buildjson".
type event struct {
	Action  string
	Package string
	Test    string
	Output  string
	Elapsed float64 // seconds
}

// summary keeps what has been seen so far. Output of a test is held back until
// its outcome is known.
type summary struct {
	out io.Writer

	mu                      sync.Mutex // protects what follows, and the order of what is printed
	passed, failed, skipped int
	said                    map[[2]string]*strings.Builder // by package and test
	blamed                  map[string]bool                // packages with a failed test
	broken                  map[test]int                   // how much of them failed
	final                   bool                           // something failed that is not tried again
	took                    []took
}

// took is how long a test ran.
type took struct {
	what    string
	seconds float64
}

// slow is how many of the slowest tests are told, and from how many seconds on.
const (
	slow     = 12
	slowFrom = 10
)

func main() {
	again := flag.String("again", "", "`COMMAND` of the shell that runs tests, with -json, if -run and a package are added")
	flag.Parse()
	streams, err := open(flag.Args())
	var ok bool
	if err == nil {
		ok, err = summarize(os.Stdout, shell(*again), streams...)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "summary:", err)
		os.Exit(1)
	}
	if !ok {
		os.Exit(1)
	}
}

// open returns the files with those names, or else standard input.
func open(names []string) ([]io.Reader, error) {
	if len(names) == 0 {
		return []io.Reader{os.Stdin}, nil
	}
	var files []io.Reader
	for _, name := range names {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	return files, nil
}

// summarize reads streams side by side. It reports whether tests ran and none failed,
// or only such as did not when they ran again; a nil rerun runs none again.
func summarize(out io.Writer, again rerun, streams ...io.Reader) (bool, error) {
	s := newSummary(out)
	var group errgroup.Group
	for _, in := range streams {
		group.Go(func() error { return s.read(in) })
	}
	if err := group.Wait(); err != nil {
		return false, err
	}
	s.tryAgain(again)
	s.tellSlow()
	fmt.Fprintf(out, "%d passed, %d failed, %d skipped\n", s.passed, s.failed, s.skipped)
	return s.failed == 0 && s.passed > 0, nil
}

func newSummary(out io.Writer) *summary {
	return &summary{out: out, said: map[[2]string]*strings.Builder{}, blamed: map[string]bool{}, broken: map[test]int{}}
}

// read reads a stream to its end. One that no package came to an end in was cut off.
func (s *summary) read(in io.Reader) error {
	dec, ended := json.NewDecoder(in), false
	for {
		var e event
		if err := dec.Decode(&e); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return fmt.Errorf("read test events: %w", err)
		}
		ended = ended || e.Test == "" && (e.Action == "pass" || e.Action == "fail" || e.Action == "skip")
		s.mu.Lock()
		s.add(e)
		s.mu.Unlock()
	}
	if !ended {
		s.mu.Lock()
		s.failed++
		s.final = true
		s.mu.Unlock()
	}
	return nil
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
			s.final = true
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
	if e.Elapsed >= slowFrom && !strings.Contains(e.Test, "/") {
		s.took = append(s.took, took{e.Package + "." + e.Test, e.Elapsed})
	}
	switch e.Action {
	case "pass":
		s.passed++
	case "fail":
		s.failed++
		s.blamed[e.Package] = true
		s.blame(e)
		s.tell(key)
	case "skip":
		s.skipped++
		s.tell(key)
	default:
		return
	}
	delete(s.said, key)
}

// tellSlow prints what took longest, so that what makes the whole slow is seen.
func (s *summary) tellSlow() {
	slices.SortFunc(s.took, func(a, b took) int { return cmp.Compare(b.seconds, a.seconds) })
	for _, t := range s.took[:min(slow, len(s.took))] {
		fmt.Fprintf(s.out, "%5.0f s  %s\n", t.seconds, t.what)
	}
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
