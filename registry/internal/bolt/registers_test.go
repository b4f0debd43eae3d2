package bolt_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/ingot-ml/ingot/registry/internal/bolt"
	"github.com/ingot-ml/ingot/registry/internal/registers"
	"github.com/ingot-ml/ingot/registry/internal/registers/registerstest"
)

// open opens registers that the test closes, perhaps twice.
func open(t testing.TB, path string) *bolt.Registers {
	t.Helper()
	r, err := bolt.OpenRegisters(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func file(t testing.TB) string { return filepath.Join(t.TempDir(), "registers.db") }

func TestRegisters(t *testing.T) {
	registerstest.RunEngine(t, func(t *testing.T) registers.Engine { return open(t, file(t)) })
}

func commits(t testing.TB, r *bolt.Registers) int {
	t.Helper()
	n, err := r.Commits()
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// held queues writes while the committer cannot commit, then lets it.
func held(t testing.TB, r *bolt.Registers, queue func() []func() error) []error {
	t.Helper()
	release, err := r.Hold()
	if err != nil {
		t.Fatal(err)
	}
	waits := queue()
	if err := release(); err != nil {
		t.Fatal(err)
	}
	var errs []error
	for _, wait := range waits {
		errs = append(errs, wait())
	}
	return errs
}

// TestSharedCommits queues 64 writes. The first commit takes one or more of them,
// and the second all others.
func TestSharedCommits(t *testing.T) {
	r := open(t, file(t))
	before := commits(t, r)
	errs := held(t, r, func() (waits []func() error) {
		for i := range 64 {
			waits = append(waits, r.Enqueue(t.Context(), fmt.Sprintf("k/%d", i), "v"))
		}
		return waits
	})
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	if n := commits(t, r) - before; n < 1 || n > 2 {
		t.Errorf("64 writes took %d commits, want 1 or 2", n)
	}
	entries, err := r.List(t.Context(), "k/", "", 100)
	if err != nil || len(entries) != 64 {
		t.Errorf("%d registers, %v", len(entries), err)
	}
}

// TestSharedConflict has writes of one register, one that is abandoned, and one
// of another in the same commit.
func TestSharedConflict(t *testing.T) {
	r := open(t, file(t))
	ctx, cancel := context.WithCancel(t.Context())
	errs := held(t, r, func() []func() error {
		waits := []func() error{
			r.Enqueue(t.Context(), "a", "first"), r.Enqueue(t.Context(), "a", "second"),
			r.Enqueue(ctx, "abandoned", "v"), r.Enqueue(t.Context(), "b", "v"),
		}
		cancel()
		return waits
	})
	if errs[0] != nil || !errors.Is(errs[1], registers.ErrConflict) || errs[3] != nil {
		t.Errorf("outcomes are %v; want nil, a conflict, anything, nil", errs)
	}
	val, _, err := r.Get(t.Context(), "a")
	if err != nil || string(val) != "first" {
		t.Errorf("register is %q, %v", val, err)
	}
	if _, _, err = r.Get(t.Context(), "abandoned"); (err == nil) != (errs[2] == nil) {
		t.Errorf("the abandoned write ended with %v, but reading it gives %v", errs[2], err)
	}
	before := commits(t, r)
	if _, err := r.CAS(t.Context(), "a", registers.Absent, nil); !errors.Is(err, registers.ErrConflict) {
		t.Errorf("write of a taken register: %v", err)
	}
	if n := commits(t, r); n != before {
		t.Error("a conflict was committed")
	}
}

func TestReopen(t *testing.T) {
	path := file(t)
	r := open(t, path)
	first, err := r.CAS(t.Context(), "k", registers.Absent, []byte("one"))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	r = open(t, path)
	val, version, err := r.Get(t.Context(), "k")
	if err != nil || string(val) != "one" || version != first {
		t.Errorf("register is %q in version %q, %v; want it as it was", val, version, err)
	}
	second, err := r.CAS(t.Context(), "k", first, []byte("two"))
	if err != nil || second == first {
		t.Errorf("version %q after %q, %v", second, first, err)
	}
}

func TestInUse(t *testing.T) {
	path := file(t)
	open(t, path)
	_, err := bolt.OpenRegisters(path)
	want := "data directory " + filepath.Dir(path) + " is in use by another process"
	if !errors.Is(err, bolt.ErrInUse) || !strings.Contains(err.Error(), want) {
		t.Errorf("second open: %v, want %q", err, want)
	}
}

// TestClose closes while writes are coming: each has happened or was refused.
func TestClose(t *testing.T) {
	path := file(t)
	r := open(t, path)
	const writers = 8
	var done [writers]int
	var writing sync.WaitGroup
	begun := make(chan struct{}, writers)
	for w := range writers {
		writing.Go(func() {
			for {
				_, err := r.CAS(t.Context(), fmt.Sprintf("w%d/%06d", w, done[w]), registers.Absent, nil)
				if errors.Is(err, bolt.ErrClosed) {
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
				if done[w]++; done[w] == 1 {
					begun <- struct{}{}
				}
			}
		})
	}
	for range writers {
		<-begun
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	writing.Wait()
	if _, _, err := r.Get(t.Context(), "w0/000000"); !errors.Is(err, bolt.ErrClosed) {
		t.Errorf("get: %v, want ErrClosed", err)
	}
	if _, err := r.List(t.Context(), "", "", 1); !errors.Is(err, bolt.ErrClosed) {
		t.Errorf("list: %v, want ErrClosed", err)
	}
	r = open(t, path)
	for w, n := range done {
		for i := range n + 1 {
			if _, _, err := r.Get(t.Context(), fmt.Sprintf("w%d/%06d", w, i)); (err == nil) != (i < n) {
				t.Fatalf("writer %d was answered %d times, but register %d: %v", w, n, i, err)
			}
		}
	}
}

func TestFailedCommit(t *testing.T) {
	path := file(t)
	r := open(t, path)
	if _, err := r.CAS(t.Context(), "before", registers.Absent, nil); err != nil {
		t.Fatal(err)
	}
	r.SetMaxSize(1)
	errs := held(t, r, func() (waits []func() error) {
		for i := range 4 {
			waits = append(waits, r.Enqueue(t.Context(), fmt.Sprintf("k/%d", i), strings.Repeat("v", 60<<10)))
		}
		return waits
	})
	if !errors.Is(errs[0], registers.ErrUnknown) {
		t.Errorf("write in the failed commit: %v, want ErrUnknown", errs[0])
	}
	for _, err := range errs {
		if !errors.Is(err, bolt.ErrFailed) {
			t.Errorf("write: %v, want ErrFailed", err)
		}
	}
	if err := <-r.Failed(); !errors.Is(err, bolt.ErrFailed) {
		t.Errorf("the owner gets %v, want ErrFailed", err)
	}
	_, _, err := r.Get(t.Context(), "before")
	_, err2 := r.List(t.Context(), "", "", 1)
	_, err3 := r.CAS(t.Context(), "after", registers.Absent, nil)
	for _, err := range []error{err, err2, err3} {
		if !errors.Is(err, bolt.ErrFailed) || errors.Is(err, registers.ErrUnknown) {
			t.Errorf("later call: %v, want ErrFailed and nothing unknown", err)
		}
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := open(t, path).Get(t.Context(), "before"); err != nil {
		t.Errorf("after opening it anew: %v", err)
	}
}

func TestDamage(t *testing.T) {
	path := file(t)
	r := open(t, path)
	for _, key := range []string{"a", "b"} {
		if _, err := r.CAS(t.Context(), key, registers.Absent, []byte("v")); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(r.Close(), bolt.Damage(path, "a")); err != nil {
		t.Fatal(err)
	}
	r = open(t, path)
	_, _, err := r.Get(t.Context(), "a")
	_, err2 := r.CAS(t.Context(), "a", "1", nil)
	_, err3 := r.List(t.Context(), "a", "", 1)
	for _, err := range []error{err, err2, err3} {
		if !errors.Is(err, bolt.ErrFormat) {
			t.Errorf("damaged register: %v, want ErrFormat", err)
		}
	}
	if _, _, err := r.Get(t.Context(), "b"); err != nil {
		t.Errorf("the register beside it: %v", err)
	}
	if err := errors.Join(r.Close(), bolt.Damage(path, "")); err != nil {
		t.Fatal(err)
	}
	if _, err := bolt.OpenRegisters(path); !errors.Is(err, bolt.ErrFormat) {
		t.Errorf("open of another format: %v, want ErrFormat", err)
	}
}

func BenchmarkCAS(b *testing.B) {
	r := open(b, file(b))
	before := commits(b, r)
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		key := fmt.Sprintf("t/%p", pb)
		version := registers.Absent
		for pb.Next() {
			var err error
			if version, err = r.CAS(context.Background(), key, version, []byte(`{"digest":"x"}`)); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(commits(b, r)-before)/float64(b.N), "commits/op")
}

// Who reads a value acts on it, so it must be on the disk by then.
func TestNoReadDuringCommit(t *testing.T) {
	canBegin, err := open(t, file(t)).LookFromCommit()
	if err != nil || canBegin {
		t.Errorf("a reader can begin during a commit: %v, %v", canBegin, err)
	}
}
