//go:build linux

package mover_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/cuda"
	"github.com/ingot-ml/ingot/cuda/cudatest"
	"github.com/ingot-ml/ingot/nodecache/internal/mover"
)

// TestRestartFake kills movers. The next has all that there was, and only that.
func TestRestartFake(t *testing.T) {
	w := newWorld(t, cudatest.Options{})
	var again atomic.Int32
	c := w.config()
	c.Restarted = func() { again.Add(1) }
	m := w.startAs(c)
	seg := w.addSegment(1, 4*mib)
	w.addSegment(2, 2*mib)
	w.addSlab(1, 4*mib)
	w.addSlab(2, 2*mib)
	for at := int64(0); at < 4*mib; at += mib {
		if err := m.Pin(1, at, mib); err != nil {
			t.Fatal(err)
		}
	}
	w.copies(mover.Copy{Slab: 1, Length: mib, Source: 1})
	m.Unpin(1, mib, mib)
	m.Forget(2)
	m.DropSlab(2)
	for n := range 2 {
		if err := syscall.Kill(w.pid(), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		w.until("a new mover", func() bool {
			state, _, restarts := m.State()
			return state == mover.Ready && restarts == n+1
		})
		w.until("its pins", func() bool { return m.Pinned() == 3*mib })
	}
	if _, _, restarts := m.State(); restarts != 2 {
		t.Errorf("%d restarts, want 2", restarts)
	}
	w.until("to be told", func() bool { return again.Load() == 2 })
	if got := w.fake.Registered(0); got != 3*mib {
		t.Errorf("%d bytes are registered, want 3 MiB", got)
	}
	w.holds(1, 0, seg.data[:mib]) // the slab is what it was
	w.copies(mover.Copy{Slab: 1, Offset: mib, Length: 3 * mib, Source: 1, At: mib})
	w.holds(1, 0, seg.data)
	for _, c := range []mover.Copy{{Slab: 2, Length: 1, Source: 1}, {Slab: 1, Length: 1, Source: 2}} {
		if _, err := m.Copy(t.Context(), []mover.Copy{c}, nil); !errors.Is(err, mover.ErrUnknown) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// TestKillFake ends the mover within each call of the driver that a request makes.
func TestKillFake(t *testing.T) {
	w := newWorld(t, cudatest.Options{})
	m := w.start()
	seg := w.addSegment(1, 4*mib)
	w.addSlab(1, 4*mib)
	if err := m.Pin(1, 0, mib); err != nil {
		t.Fatal(err)
	}
	up := []mover.Copy{{Slab: 1, Length: 2 * mib, Source: 1}}
	export := w.createSlab(2, 2*mib)
	is := func(err, want error) error {
		if !errors.Is(err, want) {
			return fmt.Errorf("got %v, want %w", err, want)
		}
		return nil
	}
	copies := func(list ...mover.Copy) func() error {
		return func() error {
			_, err := m.Copy(t.Context(), list, nil)
			return is(err, mover.ErrGone)
		}
	}
	sum := func() error {
		_, err := m.Sum(t.Context(), []mover.Range{{Slab: 1, Length: 8}})
		return is(err, mover.ErrGone)
	}
	addSlab := func() error { return m.AddSlab(2, 2*mib, export) } // the next mover gets it
	dropSlab := func() error { m.DropSlab(2); return nil }
	for n, step := range []struct {
		at   string
		do   func() error
		undo func()
	}{
		{"cuMemHostRegister_v2", func() error { return m.Pin(1, mib, mib) }, nil},
		{"cuMemHostUnregister", func() error { m.Unpin(1, mib, mib); return nil }, nil},
		{"cuMemImportFromShareableHandle", addSlab, func() { m.DropSlab(2) }},
		{"cuMemAddressReserve", addSlab, func() { m.DropSlab(2) }},
		{"cuMemMap", addSlab, func() { m.DropSlab(2) }},
		{"cuMemSetAccess", addSlab, func() { m.DropSlab(2) }},
		{"cuMemRelease", addSlab, nil},
		{"cuMemUnmap", dropSlab, nil},
		{"cuMemcpyHtoDAsync_v2", copies(up...), nil},
		{"cuEventRecord", copies(slices.Repeat(up, 40)...), nil},
		{"cuEventSynchronize", copies(slices.Repeat(up, 200)...), nil},
		{"cuMemsetD8Async", copies(mover.Copy{Slab: 1, Offset: 3 * mib, Length: 9, From: mover.FromZero}), nil},
		{"cuMemcpyDtoDAsync_v2", copies(mover.Copy{Slab: 1, Length: 9, From: mover.FromSlab, Source: 1, At: mib}), nil},
		{"cuStreamSynchronize", copies(up...), nil},
		{"work", copies(up...), nil},
		{"cuMemGetInfo_v2", func() error { _, _, err := m.Memory(); return is(err, mover.ErrGone) }, nil},
		{"cuModuleLoadData", sum, nil},
		{"cuModuleGetFunction", sum, nil},
		{"cuMemCreate", sum, nil},
		{"cuLaunchKernel", sum, nil},
		{"cuMemcpyDtoHAsync_v2", sum, nil},
	} {
		w.fake.Reset("@mover:" + step.at + ":1=kill")
		if err := step.do(); err != nil {
			t.Errorf("killed in %s: %v", step.at, err)
		}
		w.fake.Reset("")
		w.until("a new mover after "+step.at, func() bool {
			state, _, restarts := m.State()
			return state == mover.Ready && restarts > n
		})
		if step.undo != nil {
			step.undo()
		}
		w.copies(up...)
	}
	w.holds(1, 0, seg.data[:2*mib])
}

// TestStickyFake loses the device in the midst of a list.
func TestStickyFake(t *testing.T) {
	w := newWorld(t, cudatest.Options{})
	m := w.start()
	seg := w.addSegment(1, 2*mib)
	w.addSlab(1, 2*mib)
	list := slices.Repeat([]mover.Copy{{Slab: 1, Length: 2 * mib, Source: 1}}, 50)
	for _, code := range []string{"719", "700", "999"} {
		w.fake.Reset("@mover:work:3=" + code)
		_, err := m.Copy(t.Context(), list, nil)
		if !errors.Is(err, mover.ErrGone) || !errors.Is(err, cuda.ErrSticky) {
			t.Errorf("with %s: %v", code, err)
		}
		w.fake.Reset("")
		w.copies(list[0]) // waits for the new mover
		w.holds(1, 0, seg.data)
	}
}

// TestHangFake has the driver not return. The mover is ended.
func TestHangFake(t *testing.T) {
	for _, at := range []string{"cuStreamSynchronize", "cuMemcpyHtoDAsync_v2", "cuMemHostUnregister", "cuMemUnmap", "cuMemGetInfo_v2"} {
		t.Run(at, func(t *testing.T) {
			w := newWorld(t, cudatest.Options{})
			c := w.config()
			c.Patience = 5 * time.Second
			m := w.startAs(c)
			seg := w.addSegment(1, 2*mib)
			w.addSlab(1, 2*mib)
			w.addSlab(2, 2*mib)
			if err := m.Pin(1, 0, mib); err != nil {
				t.Fatal(err)
			}
			w.fake.Reset("@mover:" + at + ":1=hang")
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			_, copied := m.Copy(t.Context(), []mover.Copy{{Slab: 1, Length: 2 * mib, Source: 1}}, nil)
			_, _, asked := m.Memory()
			m.Unpin(1, 0, mib)
			m.DropSlab(2)
			if _, err := m.Copy(ctx, []mover.Copy{{Slab: 1, Length: 2 * mib, Source: 1}}, nil); !errors.Is(err, context.Canceled) {
				t.Errorf("with a context that has ended: %v", err)
			}
			for _, err := range []error{copied, asked} {
				if err != nil && !errors.Is(err, mover.ErrGone) {
					t.Error(err)
				}
			}
			w.fake.Reset("")
			w.until("a new mover", w.isReady)
			if _, _, restarts := m.State(); restarts != 1 {
				t.Errorf("%d restarts, want 1", restarts)
			}
			w.copies(mover.Copy{Slab: 1, Length: 2 * mib, Source: 1})
			w.holds(1, 0, seg.data)
		})
	}
}

// TestOffTheBusFake takes the GPU away, and brings it back.
func TestOffTheBusFake(t *testing.T) {
	w := newWorld(t, cudatest.Options{})
	failed := make(chan error, 10)
	restarted := make(chan struct{}, 10)
	c := w.config()
	c.Failed = func(err error) { failed <- err }
	c.Restarted = func() { restarted <- struct{}{} }
	m := w.startAs(c)
	seg := w.addSegment(1, 2*mib)
	w.addSlab(1, 2*mib)
	w.fake.Reset("@mover:cuInit:1+=100,@mover:work:1=999")
	up := mover.Copy{Slab: 1, Length: mib, Source: 1}
	if _, err := m.Copy(t.Context(), []mover.Copy{up}, nil); !errors.Is(err, mover.ErrGone) {
		t.Errorf("as the GPU goes: %v", err)
	}
	if err := <-failed; !errors.Is(err, cuda.ErrNoDevice) {
		t.Errorf("it has failed: %v", err)
	}
	w.until("some tries", func() bool { _, _, n := m.State(); return n > 2 })
	if state, why, _ := m.State(); state != mover.Failed || !strings.Contains(why, "CUDA_ERROR_NO_DEVICE") {
		t.Errorf("the mover is %s: %s", state, why)
	}
	if _, err := m.Copy(t.Context(), []mover.Copy{up}, nil); !errors.Is(err, mover.ErrGone) || !errors.Is(err, cuda.ErrNoDevice) {
		t.Errorf("without a GPU: %v", err)
	}
	if err := m.Pin(1, 0, mib); err != nil { // the next mover will
		t.Error(err)
	}
	m.Unpin(1, 0, mib)
	if err := m.Pin(1, mib, mib); err != nil {
		t.Error(err)
	}
	w.addSlab(2, 2*mib)
	w.fake.Reset("")
	<-restarted
	w.copies(up, mover.Copy{Slab: 2, Length: mib, Source: 1, At: mib})
	w.holds(1, 0, seg.data[:mib])
	w.holds(2, 0, seg.data[mib:])
	w.until("the pin", func() bool { return m.Pinned() == mib })
	if len(failed) != 0 || len(restarted) != 0 {
		t.Errorf("%d times failed and %d restarted too often", len(failed), len(restarted))
	}
}

// TestStart is of movers that do not come to work.
func TestStartFake(t *testing.T) {
	w := newWorld(t, cudatest.Options{})
	other := w.config()
	other.UUID[0]++
	if _, err := mover.Start(other); !errors.Is(err, cuda.ErrNoDevice) {
		t.Errorf("of a GPU that there is not: %v", err)
	}
	none := w.config()
	none.Env = []string{"INGOT_LIBCUDA=" + filepath.Join(t.TempDir(), "none")}
	if _, err := mover.Start(none); !errors.Is(err, cuda.ErrNoLibrary) {
		t.Errorf("without a library: %v", err)
	}
	for _, command := range [][]string{nil, {filepath.Join(t.TempDir(), "none")}} {
		c := w.config()
		c.Command = command
		if _, err := mover.Start(c); err == nil {
			t.Errorf("started as %q", command)
		}
	}
	c := w.config()
	c.Command = []string{"/bin/sh", "-c", "echo out of order >&2; exit 3"}
	m := w.startAs(c)
	if state, why, _ := m.State(); state != mover.Failed || !strings.Contains(why, "exit status 3: out of order") {
		t.Errorf("of another program: %s: %s", state, why)
	}
	w.close()
	w.fake.Reset("@mover:cuStreamCreate:1=999") // once
	w.start()
	if state, _, restarts := w.mover.State(); state != mover.Ready || restarts != 1 {
		t.Errorf("after a start that failed: %s, %d restarts", state, restarts)
	}
}

// TestCloseFake closes while all is under way.
func TestCloseFake(t *testing.T) {
	w := newWorld(t, cudatest.Options{GBps: 0.5})
	m := w.start()
	w.addSegment(1, 2*mib)
	w.addSlab(1, 2*mib)
	began := make(chan struct{})
	ended := make(chan error, 2)
	go func() {
		list := slices.Repeat([]mover.Copy{{Slab: 1, Length: 2 * mib, Source: 1}}, 10_000)
		var once atomic.Bool
		_, err := m.Copy(context.Background(), list, func(int64) {
			if !once.Swap(true) {
				close(began)
			}
		})
		ended <- err
	}()
	<-began
	go func() {
		_, err := m.Copy(context.Background(), []mover.Copy{{Slab: 1, Length: 1, Source: 1}}, nil)
		ended <- err
	}()
	w.close()
	for range 2 {
		if err := <-ended; !errors.Is(err, mover.ErrGone) && !errors.Is(err, mover.ErrClosed) {
			t.Errorf("a copy when it was closed: %v", err)
		}
	}
	for what, err := range map[string]error{
		"slab": m.AddSlab(2, 2*mib, nil), "segment": m.AddSegment(2, 2*mib, nil), "pin": m.Pin(1, 0, 4*kib),
	} {
		if !errors.Is(err, mover.ErrClosed) {
			t.Errorf("%s when it is closed: %v", what, err)
		}
	}
	m.Unpin(1, 0, 4*kib)
	m.DropSlab(1)
	m.Forget(1)
}

// TestAgentDiesFake kills the agent. The mover does not stay.
func TestAgentDiesFake(t *testing.T) {
	w := newWorld(t, cudatest.Options{})
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	agent := exec.CommandContext(t.Context(), self, "agent", w.gpu.UUID().String())
	agent.Stderr = os.Stderr
	out, err := agent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := agent.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || line != "ready\n" {
		t.Fatalf("the agent says %q, %v", line, err)
	}
	if w.pid() == 0 {
		t.Error("there is no mover")
	}
	if err := agent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = agent.Wait() // it was killed
	for deadline := time.Now().Add(time.Minute); w.pid() != 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("process %d stays", w.pid())
		}
	}
}
