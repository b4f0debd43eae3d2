package main

import (
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// mostAgain is how many failed tests are tried again. More of them are no accident of
// a busy machine.
const mostAgain = 3

// test is a top-level test.
type test struct{ pkg, name string }

// rerun runs a test again, by itself, and returns what "go test -json" says of it.
type rerun func(t test) ([]byte, error)

// shell returns a rerun by a command of the shell, or nil for none.
func shell(command string) rerun {
	if command == "" {
		return nil
	}
	return func(t test) ([]byte, error) {
		run := exec.Command("bash", "-c", command+` -count=1 -run "$1" "$2"`, "again", "^"+t.name+"$", t.pkg)
		run.Stderr = os.Stderr
		events, err := run.Output()
		if _, failed := err.(*exec.ExitError); failed && len(events) > 0 {
			return events, nil // the events say so too
		}
		return events, err
	}
}

// blame remembers what failed. A data race stays one, however rarely it is seen.
func (s *summary) blame(e event) {
	name, _, _ := strings.Cut(e.Test, "/")
	s.broken[test{e.Package, name}]++
	if said := s.said[[2]string{e.Package, e.Test}]; said != nil &&
		(strings.Contains(said.String(), "DATA RACE") || strings.Contains(said.String(), "race detected")) {
		s.final = true
	}
}

// tryAgain runs the tests that failed once more, when all others are done: what waits
// for others within a time may fail on a machine that has too much to do. It says of
// each that it did, so that none is forgotten.
func (s *summary) tryAgain(again rerun) {
	if again == nil || s.final || len(s.broken) > mostAgain {
		return
	}
	byName := func(a, b test) int { return strings.Compare(a.pkg+a.name, b.pkg+b.name) }
	for _, t := range slices.SortedFunc(maps.Keys(s.broken), byName) {
		alone := newSummary(io.Discard)
		events, err := again(t)
		if err == nil {
			err = alone.read(strings.NewReader(string(events)))
		}
		if err != nil {
			fmt.Fprintf(s.out, "could not run again: %s.%s: %v\n", t.pkg, t.name, err)
			continue
		}
		if alone.failed > 0 || alone.passed == 0 {
			fmt.Fprintf(s.out, "failed twice: %s.%s\n", t.pkg, t.name)
			continue
		}
		fmt.Fprintf(s.out, "failed beside others, passed alone: %s.%s\n", t.pkg, t.name)
		s.failed -= s.broken[t]
		s.passed += s.broken[t]
	}
}
