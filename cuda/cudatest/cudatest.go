package cudatest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/cuda/cudatest/fakecuda"
	"github.com/ingot-ml/ingot/integration/needtest"
)

// Options describe the machine that the driver pretends to be.
type Options = fakecuda.Options

// Process is what one process holds.
type Process = fakecuda.Process

// Kind is a kind of copies.
type Kind = fakecuda.Kind

// The kinds of copies.
const (
	H2D = fakecuda.H2D
	D2H = fakecuda.D2H
	D2D = fakecuda.D2D
	Set = fakecuda.Set
)

// Build compiles the driver below dir if it is not there, and returns its path.
func Build(ctx context.Context, dir string) (string, error) { return fakecuda.Build(ctx, dir) }

// Library returns the path of the driver, which the first test of a machine compiles.
// Without a C compiler the test is skipped.
func Library(t testing.TB) string {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("the fake driver is for Linux")
	}
	library, err := Build(context.Background(), cacheDir())
	if errors.Is(err, fakecuda.ErrNoCompiler) {
		needtest.Skip(t, "cc", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return library
}

// cacheDir is where libraries are kept: in the user's cache, or where any user may
// write if that is not for this one.
func cacheDir() string {
	if cache, err := os.UserCacheDir(); err == nil {
		dir := filepath.Join(cache, "ingot-fakecuda")
		if os.MkdirAll(dir, 0o755) == nil {
			return dir
		}
	}
	return filepath.Join(os.TempDir(), fmt.Sprintf("ingot-fakecuda-%d", os.Getuid()))
}

// State is a fakecuda.State of a test: what should not fail ends the test if it does.
type State struct {
	*fakecuda.State
	t testing.TB
}

// Use makes the test and the processes that it starts use the driver, with a state of
// their own. At its end the test fails if the driver had to end a process for what a
// driver cannot refuse, unless the test has asked for Violations.
func Use(t testing.TB, o Options) *State {
	t.Helper()
	library := Library(t)
	inner, err := fakecuda.Open(t.TempDir(), library, o)
	if err != nil {
		t.Fatal(err)
	}
	s := &State{State: inner, t: t}
	for _, pair := range s.Env() {
		key, value, _ := strings.Cut(pair, "=")
		t.Setenv(key, value)
	}
	t.Cleanup(func() {
		if n := s.Violations(); n > 0 {
			t.Errorf("the fake driver ended %d processes, see stderr", n)
		}
		_ = s.Close()
	})
	return s
}

// Used returns how much of a device's memory any process holds.
func (s *State) Used(device int) int64 {
	s.t.Helper()
	used, err := s.State.Used(device)
	if err != nil {
		s.t.Fatal(err)
	}
	return used
}

// Reset sets the counters to zero, and what shall fail from now on.
func (s *State) Reset(fail string) {
	s.t.Helper()
	if err := s.State.Reset(fail); err != nil {
		s.t.Fatal(err)
	}
}

// Occupy takes memory of a device, as another process would that fills the GPU.
func (s *State) Occupy(device int, size int64) (release func()) {
	s.t.Helper()
	release, err := s.State.Occupy(device, size)
	if err != nil {
		s.t.Fatal(err)
	}
	return release
}
