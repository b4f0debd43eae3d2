//go:build linux

package mover_test

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/ingot-ml/ingot/cuda"
	"github.com/ingot-ml/ingot/cuda/cudatest"
	"github.com/ingot-ml/ingot/cuda/ptx"
	"github.com/ingot-ml/ingot/nodecache/internal/mover"
)

// TestSweepFake lets calls of the driver that a mover makes fail in turn: refused,
// out of memory, lost, or ended there. What fails is tried again, and then all is as
// it would have been.
func TestSweepFake(t *testing.T) {
	calls := sweep(t, "", 1)
	if calls < 50 || calls > 200 {
		t.Fatalf("%d calls make no sweep", calls)
	}
	codes := []string{"1", "kill", "2", "719", "999"}
	all := os.Getenv("INGOT_MOVER_SWEEP") == "all" // every call in every way, else every second in one
	for n := 1; n <= calls; n++ {
		for i, code := range codes {
			if !all && (n%2 == 0 || i != n/2%len(codes)) {
				continue
			}
			fault := fmt.Sprintf("@mover:#%d=%s", n, code)
			t.Run(fault, func(t *testing.T) { sweep(t, fault, 1) })
		}
	}
	// Calls that a long list makes besides.
	for _, call := range []string{"cuEventRecord:2", "cuEventRecord:6", "cuEventSynchronize:1", "cuEventSynchronize:3", "work:90"} {
		for _, code := range []string{"1", "719", "kill"} {
			fault := fmt.Sprintf("@mover:%s=%s", call, code)
			t.Run(fault, func(t *testing.T) { sweep(t, fault, 160) })
		}
	}
}

// sweep does some of everything with one fault, and returns how many calls the mover
// made. The list of copies is as long as it is told.
func sweep(t *testing.T, fault string, long int) (calls int) {
	w := newWorld(t, cudatest.Options{Fail: fault})
	defer func() {
		w.end()
		w.memory, w.slabs = nil, nil
	}()
	m, err := mover.Start(w.config())
	if err != nil {
		if m, err = mover.Start(w.config()); err != nil { // the fault has been
			t.Fatal(err)
		}
	}
	w.mover = m
	seg := w.segment(1, 4*mib)
	w.try("add a segment", func() error { return m.AddSegment(1, 4*mib, seg.file) })
	for id := range uint64(2) {
		export := w.createSlab(id, 4*mib)
		w.try("add a slab", func() error { return m.AddSlab(id, 4*mib, export) })
	}
	for at := int64(0); at < 3*mib; at += mib {
		w.try("pin", func() error { return m.Pin(1, at, mib) })
	}
	m.Unpin(1, mib, mib)
	list := []mover.Copy{
		{Slab: 0, Length: 4 * mib, Source: 1},
		{Slab: 1, Length: 2 * mib, From: mover.FromSlab, Source: 0, At: mib},
		{Slab: 1, Offset: 2 * mib, Length: 2 * mib, From: mover.FromZero},
	}
	list = slices.Concat(list[:1], slices.Repeat(list[1:2], long), list[2:])
	w.try("copy", func() error { _, err := m.Copy(t.Context(), list, nil); return err })
	want := []uint64{ptx.Sum64(seg.data), ptx.Sum64(slices.Concat(seg.data[mib:3*mib], make([]byte, 2*mib)))}
	w.try("sum", func() error {
		got, err := m.Sum(t.Context(), []mover.Range{{Slab: 0, Length: 4 * mib}, {Slab: 1, Length: 4 * mib}})
		if err == nil && !slices.Equal(got, want) {
			t.Errorf("sums are %x, want %x", got, want)
		}
		return err
	})
	w.try("ask for memory", func() error { _, _, err := m.Memory(); return err })
	m.Unpin(1, 0, mib)
	m.DropSlab(1)
	m.Forget(1)
	if m.Pinned() != 0 || w.fake.Registered(0) > mib { // the staging ring
		t.Errorf("%d bytes are pinned at the end, %d are registered", m.Pinned(), w.fake.Registered(0))
	}
	w.until("the mover", w.isReady)
	calls = w.fake.RoleCalls("mover")
	w.fake.Reset("")
	if used := w.fake.Used(0); used != 8*mib {
		t.Errorf("%d bytes of the device are in use, want 8 MiB", used)
	}
	w.holds(0, 0, seg.data)
	w.holds(1, 0, seg.data[mib:3*mib])
	return calls
}

// try does something until it succeeds, which is the second time at the latest: the
// fault came once. What it says is of a kind that callers know.
func (w *world) try(what string, do func() error) {
	w.Helper()
	err := do()
	if err == nil {
		return
	}
	var refused *cuda.Error
	if !errors.Is(err, mover.ErrGone) && !errors.As(err, &refused) {
		w.Errorf("%s: %v, which says nothing of the driver", what, err)
	}
	if err := do(); err != nil {
		w.Errorf("%s, again: %v, after %v", what, err, err)
	}
}
