package integration_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/chunker/synth"
)

const exitInterrupted = 130

// gate stands before a registry, and presses Ctrl-C in the middle of a request.
type gate struct {
	*httptest.Server
	met     atomic.Int64
	client  *exec.Cmd
	started chan struct{} // closed when the client runs
}

// point is a request to interrupt: the one of so many with that method whose path
// has the word in it.
type point struct {
	method, word string
	nth          int64
}

func newGate(t *testing.T, r *registry, at point) *gate {
	t.Helper()
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: r.addr})
	proxy.ErrorLog = log.New(io.Discard, "", 0) // of requests that the client took back
	g := &gate{started: make(chan struct{})}
	g.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if q.Method != at.method || !strings.Contains(q.URL.Path, at.word) || g.met.Add(1) != at.nth {
			proxy.ServeHTTP(w, q)
			return
		}
		<-g.started
		_, _ = io.Copy(io.Discard, q.Body)          // else nobody sees the client go
		_ = g.client.Process.Signal(syscall.SIGINT) // it waits for this answer
		<-q.Context().Done()
	}))
	t.Cleanup(g.Close)
	return g
}

// interrupt runs the command and presses Ctrl-C at a point. It must end with the
// exit code for that and say how to go on.
func (r *registry) interrupt(at point, args ...string) {
	r.t.Helper()
	g := newGate(r.t, r, at)
	g.client = r.command(append(args, "--registry", g.URL)...)
	var said bytes.Buffer
	g.client.Stdout, g.client.Stderr = &said, &said
	if err := g.client.Start(); err != nil {
		r.t.Fatal(err)
	}
	close(g.started)
	err := g.client.Wait()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != exitInterrupted {
		r.t.Errorf("ingot %q, interrupted at %v: %v, want exit code %d\n%s", args, at, err, exitInterrupted, &said)
	}
	if want := "ingot: interrupted; run the same command again: it goes on where it stopped\n"; said.String() != want {
		r.t.Errorf("ingot %q, interrupted at %v, says %q, want %q", args, at, &said, want)
	}
}

func seeded(t *testing.T) *rand.Rand {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// interruptModels writes a model, and a variant of it with one other layer.
func interruptModels(t *testing.T) (base, variant string) {
	t.Helper()
	base, variant = filepath.Join(t.TempDir(), "base"), filepath.Join(t.TempDir(), "variant")
	spec := synth.ForSize(8 << 20)
	if err := errors.Join(synth.Write(t.Context(), base, spec), synth.Write(t.Context(), variant, spec, synth.ChangeLayers(7, 0, 1))); err != nil {
		t.Fatal(err)
	}
	return base, variant
}

// TestInterruptedPush presses Ctrl-C while a push waits for an answer: to its
// start, to a question, to an upload at random, and to its commit.
func TestInterruptedPush(t *testing.T) {
	t.Parallel()
	r, random := serve(t), seeded(t)
	for i, at := range []point{
		{"POST", "/repos/", 1}, {"POST", "/missing", 1}, {"PUT", "/chunks", 1}, {"PUT", "/chunks", 2 + random.Int64N(3)}, {"POST", "/commit", 1},
	} {
		dir, ref := filepath.Join(t.TempDir(), "model"), fmt.Sprintf("stop/model:round-%d", i)
		spec := synth.ForSize(8 << 20)
		spec.Seed = 100 + uint64(i) // so that nothing of it is there
		if err := synth.Write(t.Context(), dir, spec); err != nil {
			t.Fatal(err)
		}
		r.interrupt(at, "push", dir, ref)
		r.fails(3, ref, "show", ref)
		r.push(dir, ref)
	}
}

// TestInterruptedPull presses Ctrl-C while a pull waits for an answer: into an
// empty folder, and over an older version. Every file is the old or the new one,
// whole, and all else is below .ingot.
func TestInterruptedPull(t *testing.T) {
	t.Parallel()
	base, variant := interruptModels(t)
	r := serve(t)
	r.push(base, "stop/model:base")
	r.push(variant, "stop/model:variant")
	was, becomes := tree(t, base), tree(t, variant)
	for _, at := range []point{
		{"GET", "/tags/", 1}, {"GET", "/versions/", 1}, {"GET", "/chunks", 1}, {"GET", "/chunks", 2},
	} {
		for _, over := range []bool{false, true} {
			if over && at.nth > 1 {
				continue // all that may come as differences comes in one answer
			}
			dir := filepath.Join(t.TempDir(), "target")
			if over {
				r.json(&receipt{}, "pull", "stop/model:base", dir, "--no-cache")
			}
			r.interrupt(at, "pull", "stop/model:variant", dir, "--no-cache")
			oldOrNew(t, dir, was, becomes)
			r.json(&receipt{}, "pull", "stop/model:variant", dir, "--no-cache")
			compareTrees(t, dir, variant)
		}
	}
}

// oldOrNew fails the test unless every file of dir is whole.
func oldOrNew(t *testing.T, dir string, was, becomes map[string]string) {
	t.Helper()
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return // it was interrupted before it made the folder
	}
	for path, sum := range tree(t, dir) {
		if strings.HasPrefix(path, ".ingot"+string(filepath.Separator)) {
			continue
		}
		if sum != was[path] && sum != becomes[path] {
			t.Errorf("%s is neither the old file nor the new one", path)
		}
	}
}

// TestSecondInterrupt has a program that cannot finish: nobody reads what it
// prints. The first Ctrl-C cannot end it, the next one does at once.
func TestSecondInterrupt(t *testing.T) {
	r := serve(t)
	dir := t.TempDir()
	const files = 2000 // names enough to fill a pipe
	for i := range files {
		if err := plant(dir, fmt.Sprintf("%s-%d", strings.Repeat("long", 20), i)); err != nil {
			t.Fatal(err)
		}
	}
	r.push(dir, "stop/names")
	cmd := r.command("show", "stop/names", "--json")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 1)); err != nil { // now it prints
		t.Fatal(err)
	}
	ended := make(chan struct{})
	var sending sync.WaitGroup
	sending.Go(func() {
		for {
			select {
			case <-ended:
				return
			case <-time.After(10 * time.Millisecond): // two signals at once may count as one
				_ = cmd.Process.Signal(os.Interrupt) // it may have ended
			}
		}
	})
	state, err := cmd.Process.Wait()
	close(ended)
	sending.Wait()
	if err != nil {
		t.Fatal(err)
	}
	status, _ := state.Sys().(syscall.WaitStatus)
	if !status.Signaled() || status.Signal() != syscall.SIGINT {
		t.Errorf("it ended with %v, want the signal itself", state)
	}
}
