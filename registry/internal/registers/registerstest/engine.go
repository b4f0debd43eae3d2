// Package registerstest owns the tests that every engine of registers passes, and
// an engine that loses answers for the tests of its users.
package registerstest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/registry/internal/registers"
)

// RunEngine holds an engine to the contract of package registers. open returns an
// engine without registers; what it opened it closes by t.Cleanup.
func RunEngine(t *testing.T, open func(t *testing.T) registers.Engine) {
	tests := []struct {
		name string
		run  func(t *testing.T, e registers.Engine)
	}{
		{"ReadWrite", testReadWrite},
		{"Copies", testCopies},
		{"ABA", testABA},
		{"Limits", testLimits},
		{"Context", testContext},
		{"List", testList},
		{"ListPages", testListPages},
		{"ListDuringWrites", testListDuringWrites},
		{"Counter", testCounter},
		{"CreateRace", testCreateRace},
		{"SettledCounter", testSettledCounter},
		{"Linearizable", testLinearizable},
		{"LinearizableWithLostAnswers", testLinearizableFlaky},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { tt.run(t, open(t)) })
	}
}

// write makes or changes a register and returns its new version.
func write(t testing.TB, e registers.Engine, key string, want registers.Version, val string) registers.Version {
	t.Helper()
	version, err := e.CAS(t.Context(), key, want, []byte(val))
	if err != nil {
		t.Fatal(err)
	}
	if version == registers.Absent || version == want {
		t.Fatalf("write of %q over version %q gave version %q", key, want, version)
	}
	return version
}

// holds checks that a register has that value and version.
func holds(t testing.TB, e registers.Engine, key, val string, version registers.Version) {
	t.Helper()
	got, v, err := e.Get(t.Context(), key)
	if err != nil || string(got) != val || v != version {
		t.Errorf("%q is %.40q in version %q, %v; want %.40q in version %q", key, got, v, err, val, version)
	}
}

func testReadWrite(t *testing.T, e registers.Engine) {
	if val, v, err := e.Get(t.Context(), "t/a"); !errors.Is(err, registers.ErrNotFound) || v != registers.Absent {
		t.Errorf("absent register: %q, %q, %v; want ErrNotFound", val, v, err)
	}
	if _, err := e.CAS(t.Context(), "t/a", "17", []byte("x")); !errors.Is(err, registers.ErrConflict) {
		t.Errorf("write of version 17 of an absent register: %v, want ErrConflict", err)
	}
	first := write(t, e, "t/a", registers.Absent, "one")
	holds(t, e, "t/a", "one", first)
	if _, err := e.CAS(t.Context(), "t/a", registers.Absent, []byte("x")); !errors.Is(err, registers.ErrConflict) {
		t.Errorf("second creation: %v, want ErrConflict", err)
	}
	second := write(t, e, "t/a", first, "two")
	if _, err := e.CAS(t.Context(), "t/a", first, []byte("x")); !errors.Is(err, registers.ErrConflict) {
		t.Errorf("write over an old version: %v, want ErrConflict", err)
	}
	holds(t, e, "t/a", "two", second)
	empty := write(t, e, "t/empty", registers.Absent, "")
	holds(t, e, "t/empty", "", empty)
	holds(t, e, "t/a", "two", second)
}

func testCopies(t *testing.T, e registers.Engine) {
	val := []byte("value")
	version, err := e.CAS(t.Context(), "k", registers.Absent, val)
	if err != nil {
		t.Fatal(err)
	}
	copy(val, "WRITE")
	holds(t, e, "k", "value", version)
	got, _, err := e.Get(t.Context(), "k")
	if err != nil {
		t.Fatal(err)
	}
	copy(got, "READ!")
	holds(t, e, "k", "value", version)
}

// testABA writes equal values, which must be told apart.
func testABA(t *testing.T, e registers.Engine) {
	seen := map[registers.Version]bool{}
	version := registers.Absent
	for i := range 20 {
		version = write(t, e, "k", version, []string{"a", "b"}[i%2])
		if seen[version] {
			t.Fatalf("version %q came twice", version)
		}
		seen[version] = true
	}
	same := write(t, e, "k", version, "b")
	if same == version {
		t.Error("writing the value that is there gave the same version")
	}
}

func testLimits(t *testing.T, e registers.Engine) {
	segment := strings.Repeat("k", registers.MaxSegment)
	long := segment + "/"
	long += segment[:registers.MaxSegment-1] + "/"
	long += strings.Repeat("k", registers.MaxKey-len(long))
	large := strings.Repeat("\xff\x00", registers.MaxValue/2)
	holds(t, e, long, large, write(t, e, long, registers.Absent, large))
	odd := "K/-/_/a..b-"
	holds(t, e, odd, "odd", write(t, e, odd, registers.Absent, "odd"))

	refused := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, registers.ErrLimit) {
			t.Errorf("%s: %v, want ErrLimit", what, err)
		}
	}
	for _, key := range []string{"", long + "k", segment + "k", "/", "a/", "/a", "a//b", ".", "..", "a/../b", ".a", "a b", "é", "a\x00", "a\n", "a\\b", "a%2fb"} {
		_, _, err := e.Get(t.Context(), key)
		refused(fmt.Sprintf("get of key %.40q", key), err)
		_, err = e.CAS(t.Context(), key, registers.Absent, nil)
		refused(fmt.Sprintf("write of key %.40q", key), err)
	}
	_, err := e.CAS(t.Context(), "k", registers.Absent, make([]byte, registers.MaxValue+1))
	refused("write of a value too long", err)
	for _, n := range []int{-1, 0, registers.MaxList + 1} {
		_, err := e.List(t.Context(), "", "", n)
		refused(fmt.Sprintf("list of %d", n), err)
	}
}

func testContext(t *testing.T, e registers.Engine) {
	version := write(t, e, "k", registers.Absent, "before")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := e.Get(ctx, "k"); !errors.Is(err, context.Canceled) {
		t.Errorf("get: %v, want context.Canceled", err)
	}
	if _, err := e.List(ctx, "", "", 1); !errors.Is(err, context.Canceled) {
		t.Errorf("list: %v, want context.Canceled", err)
	}
	if _, err := e.CAS(ctx, "k", version, []byte("after")); !errors.Is(err, context.Canceled) {
		t.Errorf("write: %v, want context.Canceled", err)
	}
	got, _, err := e.Get(t.Context(), "k")
	if err != nil || !bytes.Equal(got, []byte("before")) {
		t.Errorf("a write whose context had ended left %q, %v", got, err)
	}
}
