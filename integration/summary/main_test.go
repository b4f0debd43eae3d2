package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestSummarize(t *testing.T) {
	const ran = `{"Action":"run","Package":"p","Test":"TestA"}` + "\n"
	tests := []struct {
		name, in, want string
		ok             bool
	}{
		{
			name: "passes are counted and quiet",
			in: ran + `{"Action":"output","Package":"p","Test":"TestA","Output":"noise\n"}
				{"Action":"pass","Package":"p","Test":"TestA/sub"}
				{"Action":"pass","Package":"p","Test":"TestA"}
				{"Action":"output","Package":"p","Output":"PASS\n"}
				{"Action":"output","Package":"p","Output":"ok  \tp\t0.1s\n"}
				{"Action":"pass","Package":"p"}`,
			want: "ok  \tp\t0.1s\n2 passed, 0 failed, 0 skipped\n",
			ok:   true,
		},
		{
			name: "a failed test speaks and counts once",
			in: ran + `{"Action":"output","Package":"p","Test":"TestA","Output":"=== RUN   TestA\n"}
				{"Action":"output","Package":"p","Test":"TestA","Output":"a_test.go:1: broken\n"}
				{"Action":"fail","Package":"p","Test":"TestA"}
				{"Action":"fail","Package":"p"}`,
			want: "a_test.go:1: broken\n0 passed, 1 failed, 0 skipped\n",
		},
		{
			name: "a package that does not compile is a failure",
			in: `{"Action":"build-output","ImportPath":"p","Output":"p.go:1: undefined\n"}
				{"Action":"build-fail","ImportPath":"p"}
				{"Action":"pass","Package":"q","Test":"TestB"}
				{"Action":"fail","Package":"p","FailedBuild":"p"}`,
			want: "p.go:1: undefined\n1 passed, 1 failed, 0 skipped\n",
		},
		{
			name: "a test without an outcome still speaks",
			in: `{"Action":"output","Package":"p","Test":"TestA","Output":"fatal error: out of memory\n"}
				{"Action":"fail","Package":"p"}`,
			want: "fatal error: out of memory\n0 passed, 1 failed, 0 skipped\n",
		},
		{
			name: "a skip gives its reason",
			in: `{"Action":"output","Package":"p","Test":"TestA","Output":"no python\n"}
				{"Action":"skip","Package":"p","Test":"TestA"}
				{"Action":"pass","Package":"p","Test":"TestB"}
				{"Action":"pass","Package":"p"}`,
			want: "no python\n1 passed, 0 failed, 1 skipped\n",
			ok:   true,
		},
		{
			name: "the slowest tests are told, without their parts",
			in: `{"Action":"pass","Package":"p","Test":"TestQuick","Elapsed":9.9}
				{"Action":"pass","Package":"p","Test":"TestSlow/part","Elapsed":12}
				{"Action":"pass","Package":"p","Test":"TestSlow","Elapsed":12.2}
				{"Action":"pass","Package":"q","Test":"TestSlower","Elapsed":120}
				{"Action":"pass","Package":"q"}`,
			want: "  120 s  q.TestSlower\n   12 s  p.TestSlow\n4 passed, 0 failed, 0 skipped\n",
			ok:   true,
		},
		{name: "no test is no success", want: "0 passed, 1 failed, 0 skipped\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out strings.Builder
			ok, err := summarize(&out, nil, strings.NewReader(tt.in))
			if err != nil {
				t.Fatal(err)
			}
			if ok != tt.ok || out.String() != tt.want {
				t.Errorf("got ok=%v and\n%s\nwant ok=%v and\n%s", ok, out.String(), tt.ok, tt.want)
			}
		})
	}
}

func TestSummarizeRefusesOtherText(t *testing.T) {
	if _, err := summarize(&strings.Builder{}, nil, strings.NewReader("ok  p 0.1s\n")); err == nil {
		t.Error("plain text was taken for test events")
	}
}

// TestStreams reads two streams, of which one ends before its package does.
func TestStreams(t *testing.T) {
	whole := `{"Action":"pass","Package":"p","Test":"TestA"}{"Action":"pass","Package":"p"}`
	cut := `{"Action":"pass","Package":"q","Test":"TestB"}`
	var out strings.Builder
	ok, err := summarize(&out, nil, strings.NewReader(whole), strings.NewReader(cut))
	if want := "2 passed, 1 failed, 0 skipped\n"; ok || err != nil || out.String() != want {
		t.Errorf("%v, %v, %q, want %q", ok, err, out.String(), want)
	}
}

// TestAgain runs failed tests again, few of them, and none that had a data race.
func TestAgain(t *testing.T) {
	const (
		part   = `{"Action":"fail","Package":"p","Test":"TestA/part"}`
		fail   = `{"Action":"fail","Package":"p","Test":"TestA"}{"Action":"fail","Package":"p"}`
		pass   = `{"Action":"pass","Package":"p","Test":"TestA"}{"Action":"pass","Package":"p"}`
		race   = `{"Action":"output","Package":"p","Test":"TestA","Output":"WARNING: DATA RACE\n"}`
		noTest = `{"Action":"pass","Package":"p"}`
	)
	var many strings.Builder
	for i := range mostAgain + 1 {
		fmt.Fprintf(&many, `{"Action":"fail","Package":"p","Test":"TestM%d"}`, i)
	}
	for name, tt := range map[string]struct {
		in, again, want string
		ok              bool
		runs            int
	}{
		"passes alone":     {part + fail, pass, "failed beside others, passed alone: p.TestA\n2 passed, 0 failed, 0 skipped\n", true, 1},
		"fails again":      {part + fail, fail, "failed twice: p.TestA\n0 passed, 2 failed, 0 skipped\n", false, 1},
		"does not run":     {fail, noTest, "failed twice: p.TestA\n0 passed, 1 failed, 0 skipped\n", false, 1},
		"cannot be run":    {fail, "", "could not run again: p.TestA: none\n0 passed, 1 failed, 0 skipped\n", false, 1},
		"has a data race":  {race + fail, pass, "WARNING: DATA RACE\n0 passed, 1 failed, 0 skipped\n", false, 0},
		"does not compile": {`{"Action":"fail","Package":"p"}`, pass, "0 passed, 1 failed, 0 skipped\n", false, 0},
		"are many":         {many.String() + noTest, pass, "0 passed, 4 failed, 0 skipped\n", false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			runs := 0
			ok, err := summarize(&out, func(test) ([]byte, error) {
				runs++
				if tt.again == "" {
					return nil, errors.New("none")
				}
				return []byte(tt.again), nil
			}, strings.NewReader(tt.in))
			if ok != tt.ok || err != nil || out.String() != tt.want || runs != tt.runs {
				t.Errorf("%v, %v, %d runs:\n%swant %v, %d:\n%s", ok, err, runs, out.String(), tt.ok, tt.runs, tt.want)
			}
		})
	}
}

// TestShell has a command told what to run, and takes a failure for an answer.
func TestShell(t *testing.T) {
	events, err := shell(`f() { echo "$*"; false; }; f test`)(test{"p/q", "TestA"})
	if want := "test -count=1 -run ^TestA$ p/q\n"; string(events) != want || err != nil {
		t.Errorf("%q, %v, want %q", events, err, want)
	}
	if shell("") != nil {
		t.Error("no command runs tests again")
	}
}
