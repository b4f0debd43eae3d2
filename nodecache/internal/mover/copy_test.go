//go:build linux

package mover_test

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/ingot-ml/ingot/cuda"
	"github.com/ingot-ml/ingot/cuda/cudatest"
	"github.com/ingot-ml/ingot/cuda/ptx"
	"github.com/ingot-ml/ingot/nodecache/internal/mover"
)

// counts are what the driver was asked for and what Copy says, which must agree.
func (w *world) counts(m mover.Moved, h2d, d2d int, want mover.Moved) {
	w.Helper()
	if m.Elapsed <= 0 {
		w.Error("no time was taken")
	}
	m.Elapsed = 0
	if m != want {
		w.Errorf("moved %+v, want %+v", m, want)
	}
	if got := w.fake.Copies(cudatest.H2D); got != h2d {
		w.Errorf("%d copies of memory, want %d", got, h2d)
	}
	if got := w.fake.Copies(cudatest.D2D); got != d2d {
		w.Errorf("%d copies of slabs, want %d", got, d2d)
	}
	if w.fake.Bytes(cudatest.H2D) != want.Uploaded || w.fake.Bytes(cudatest.D2D) != want.DeviceCopied || w.fake.Bytes(cudatest.Set) != want.Zeroed {
		w.Errorf("%d, %d and %d bytes, want %+v", w.fake.Bytes(cudatest.H2D), w.fake.Bytes(cudatest.D2D), w.fake.Bytes(cudatest.Set), want)
	}
	w.fake.Reset("")
}

func TestCopyFake(t *testing.T) {
	for name, o := range map[string]cudatest.Options{
		"read-only": {}, "writable": {NoReadOnlyRegister: true}, "late": {Lazy: true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, o)
			m := w.start()
			if got := m.Info(); got.Total != w.gpu.TotalMemory() || got.Name != w.gpu.Name() || got.ReadOnlyRegister == o.NoReadOnlyRegister {
				t.Errorf("info: %+v", got)
			}
			seg := w.addSegment(7, 8*mib)
			w.addSlab(1, 4*mib)
			w.addSlab(2, 8*mib)
			if err := m.Pin(7, 0, 2*mib); err != nil {
				t.Fatal(err)
			}
			if err := m.Pin(7, 2*mib, 2*mib); err != nil {
				t.Fatal(err)
			}
			if m.Pinned() != 4*mib || w.fake.Registered(0) != 4*mib {
				t.Errorf("%d bytes are pinned, the driver has %d", m.Pinned(), w.fake.Registered(0))
			}
			w.fake.Reset("")

			moved := w.copies(mover.Copy{Slab: 1, Offset: 512, Length: mib, Source: 7, At: 100})
			w.counts(moved, 1, 0, mover.Moved{Uploaded: mib, Copies: 1})
			w.holds(1, 512, seg.data[100:100+mib])

			// Over the edge of a pin, and into what is not pinned.
			moved = w.copies(mover.Copy{Slab: 1, Length: 2 * mib, Source: 7, At: mib})
			w.counts(moved, 2, 0, mover.Moved{Uploaded: 2 * mib, Copies: 2})
			w.holds(1, 0, seg.data[mib:3*mib])
			moved = w.copies(mover.Copy{Slab: 1, Length: 64 * kib, Source: 7, At: 4*mib - 32*kib})
			w.counts(moved, 2, 0, mover.Moved{Uploaded: 64 * kib, Staged: 32 * kib, Copies: 2})
			w.holds(1, 0, seg.data[4*mib-32*kib:4*mib+32*kib])

			// Around the ring of 1 MiB, in slots of 128 KiB.
			moved = w.copies(mover.Copy{Slab: 2, Offset: 4 * mib, Length: 4 * mib, Source: 7, At: 4 * mib})
			w.counts(moved, 32, 0, mover.Moved{Uploaded: 4 * mib, Staged: 4 * mib, Copies: 32})
			w.holds(2, 4*mib, seg.data[4*mib:])

			moved = w.copies(
				mover.Copy{Slab: 2, Length: mib + 3, From: mover.FromSlab, Source: 2, At: 5 * mib},
				mover.Copy{Slab: 1, Offset: 1, Length: mib, From: mover.FromSlab, Source: 2, At: 4 * mib},
				mover.Copy{Slab: 2, Offset: mib + 3, Length: 509, From: mover.FromZero},
			)
			w.counts(moved, 0, 2, mover.Moved{DeviceCopied: 2*mib + 3, Zeroed: 509, Copies: 2})
			w.holds(2, 0, slices.Concat(seg.data[5*mib:6*mib+3], make([]byte, 509)))
			w.holds(1, 1, seg.data[4*mib:5*mib])
		})
	}
}

// TestLongListFake sends a list of many frames, and hears of its progress.
func TestLongListFake(t *testing.T) {
	w := newWorld(t, cudatest.Options{})
	w.start()
	seg := w.addSegment(1, 4*mib)
	w.addSlab(1, 4*mib)
	if err := w.mover.Pin(1, 0, 4*mib); err != nil {
		t.Fatal(err)
	}
	w.fake.Reset("")
	const each = 256
	var list []mover.Copy
	for at := int64(0); at < 4*mib; at += each { // in another order
		list = append(list, mover.Copy{Slab: 1, Offset: 4*mib - each - at, Length: each, Source: 1, At: at})
	}
	var heard []int64
	moved, err := w.mover.Copy(t.Context(), list, func(n int64) { heard = append(heard, n) })
	if err != nil {
		t.Fatal(err)
	}
	w.counts(moved, len(list), 0, mover.Moved{Uploaded: 4 * mib, Copies: len(list)})
	if !slices.IsSorted(heard) || len(heard) == 0 || heard[len(heard)-1] != 4*mib {
		t.Errorf("progress: %v", heard)
	}
	got := w.read(1)
	for at := 0; at < 4*mib; at += each {
		if !bytes.Equal(got[4*mib-each-at:][:each], seg.data[at:][:each]) {
			t.Fatalf("piece %d is not where it belongs", at/each)
		}
	}
	if moved, err := w.mover.Copy(t.Context(), nil, nil); err != nil || moved != (mover.Moved{}) {
		t.Errorf("no copies: %+v, %v", moved, err)
	}
}

// TestBoundsFake asks for what there is not. Nothing of it reaches the driver.
func TestBoundsFake(t *testing.T) {
	w := newWorld(t, cudatest.Options{})
	w.start()
	w.addSegment(1, 2*mib)
	w.addSlab(1, 2*mib)
	w.addSlab(2, 2*mib)
	w.fake.Reset("")
	const most = 1<<63 - 1
	for _, c := range []mover.Copy{
		{Slab: 3, Length: 1, Source: 1},
		{Slab: 1, Length: 1, Source: 3},
		{Slab: 1, Length: 1, Source: 3, From: mover.FromSlab},
		{Slab: 1, Length: 1, Source: 1, From: 3},
		{Slab: 1, Length: 0, Source: 1},
		{Slab: 1, Length: -1, Source: 1},
		{Slab: 1, Length: 2*mib + 1, Source: 1},
		{Slab: 1, Offset: 2 * mib, Length: 1, Source: 1},
		{Slab: 1, Offset: -1, Length: 1, Source: 1},
		{Slab: 1, Offset: 1, Length: most, Source: 1},
		{Slab: 1, Offset: most, Length: most, Source: 1},
		{Slab: 1, Length: 2, Source: 1, At: 2*mib - 1},
		{Slab: 1, Length: 2, Source: 1, At: -1},
		{Slab: 1, Length: 2, Source: 1, At: most},
		{Slab: 1, Length: 2, Source: 2, At: 2*mib - 1, From: mover.FromSlab},
		{Slab: 1, Length: 2, Source: 2, At: most, From: mover.FromSlab},
		{Slab: 1, Offset: 10, Length: 10, Source: 1, At: 1, From: mover.FromSlab}, // over itself
		{Slab: 1, Offset: 1, Length: 10, Source: 1, At: 10, From: mover.FromSlab},
		{Slab: 1, Offset: 2*mib - 1, Length: 2, From: mover.FromZero},
	} {
		if moved, err := w.mover.Copy(t.Context(), []mover.Copy{c}, nil); !errors.Is(err, mover.ErrUnknown) || moved.Copies != 0 {
			t.Errorf("copy %+v: %+v, %v", c, moved, err)
		}
	}
	for _, r := range []mover.Range{
		{Slab: 3, Length: 1}, {Slab: 1, Offset: 4, Length: 8}, {Slab: 1, Length: 2*mib + 1}, {Slab: 1, Length: -1},
		{Slab: 1, Offset: -8, Length: 8}, {Slab: 1, Offset: 2 * mib, Length: 8}, {Slab: 1, Offset: 8, Length: most},
	} {
		if _, err := w.mover.Sum(t.Context(), []mover.Range{r}); !errors.Is(err, mover.ErrUnknown) {
			t.Errorf("sum of %+v: %v", r, err)
		}
	}
	if w.fake.Copies(cudatest.H2D)+w.fake.Copies(cudatest.D2D) != 0 {
		t.Error("the driver was asked to copy")
	}
	for _, p := range [][3]int64{{1, 2 * mib, 4096}, {1, 0, 2*mib + 4096}, {1, -4096, 4096}, {1, 1, 4096}, {1, 0, 100}, {1, 0, 0}, {3, 0, 4096}} {
		if err := w.mover.Pin(uint64(p[0]), p[1], p[2]); !errors.Is(err, mover.ErrUnknown) {
			t.Errorf("pin %v: %v", p, err)
		}
	}
	for _, size := range []int64{0, -2 * mib, 3 * mib, w.gpu.TotalMemory() + 2*mib, most} {
		if err := w.mover.AddSlab(9, size, w.createSlab(9, 2*mib)); err == nil {
			t.Errorf("a slab of %d bytes is taken", size)
		}
		w.releaseSlab(9)
	}
	if err := w.mover.AddSlab(9, 4*mib, w.createSlab(9, 2*mib)); err == nil {
		t.Error("a slab is taken that is smaller than it should be")
	}
	if err := w.mover.AddSegment(9, 4*mib, w.memory[1].file); !errors.Is(err, mover.ErrUnknown) {
		t.Errorf("a segment beyond its file: %v", err)
	}
	if err := w.mover.AddSlab(1, 2*mib, nil); err == nil {
		t.Error("a slab is taken twice")
	}
	if state, why, n := w.mover.State(); state != mover.Ready || n != 0 {
		t.Errorf("after all that the mover is %s (%s), %d restarts", state, why, n)
	}
}

// TestSumFake compares sums with those of the twin.
func TestSumFake(t *testing.T) {
	w := newWorld(t, cudatest.Options{})
	w.start()
	seg := w.addSegment(1, 2*mib)
	w.addSlab(1, 2*mib)
	w.copies(mover.Copy{Slab: 1, Length: 2 * mib, Source: 1})
	used := w.fake.Used(0)
	var ranges []mover.Range
	var want []uint64
	random := rand.New(rand.NewPCG(1, 1))
	for range 5000 { // more than one frame
		r := mover.Range{Slab: 1, Offset: 8 * random.Int64N(1000), Length: 1 + random.Int64N(1000)}
		ranges = append(ranges, r)
		want = append(want, ptx.Sum64(seg.data[r.Offset:r.Offset+r.Length]))
	}
	got, err := w.mover.Sum(t.Context(), ranges)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("sums: %v", err)
	}
	if got, err := w.mover.Sum(t.Context(), nil); err != nil || len(got) != 0 {
		t.Errorf("no sums: %v, %v", got, err)
	}
	if w.fake.Used(0) != used {
		t.Errorf("%d bytes of the device are in use, %d were", w.fake.Used(0), used)
	}
}

// TestCancelFake ends a long list. What was given is done, and the mover goes on.
func TestCancelFake(t *testing.T) {
	w := newWorld(t, cudatest.Options{GBps: 0.5})
	w.start()
	seg := w.addSegment(1, 2*mib)
	w.addSlab(1, 2*mib)
	list := slices.Repeat([]mover.Copy{{Slab: 1, Length: 2 * mib, Source: 1}}, 20_000)
	ctx, cancel := context.WithCancel(t.Context())
	moved, err := w.mover.Copy(ctx, list, func(int64) { cancel() })
	if !errors.Is(err, context.Canceled) || moved.Uploaded == 0 || moved.Copies >= 20_000*16 {
		t.Errorf("cancelled: %+v, %v", moved, err)
	}
	if got := w.fake.Bytes(cudatest.H2D); got != moved.Uploaded {
		t.Errorf("the driver copied %d bytes, %d are known", got, moved.Uploaded)
	}
	clear(seg.data) // nothing reads it now
	if _, err := w.mover.Copy(ctx, list, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that has ended: %v", err)
	}
	w.copies(list[0])
	w.holds(1, 0, seg.data)
}

// TestMemoryFake sees what others take, and errors keep their class.
func TestMemoryFake(t *testing.T) {
	w := newWorld(t, cudatest.Options{Memory: 64 * mib})
	w.start()
	w.addSlab(1, 2*mib)
	free, total, err := w.mover.Memory()
	if err != nil || total != 64*mib || free != 62*mib {
		t.Errorf("%d of %d bytes are free, %v", free, total, err)
	}
	release := w.fake.Occupy(0, 62*mib)
	if free, _, err := w.mover.Memory(); err != nil || free != 0 {
		t.Errorf("%d bytes are free, %v", free, err)
	}
	_, err = w.mover.Sum(t.Context(), []mover.Range{{Slab: 1, Length: 8}})
	var refused *cuda.Error
	if !errors.Is(err, cuda.ErrOutOfMemory) || !errors.As(err, &refused) || refused.Call != "cuMemCreate" {
		t.Errorf("sum without memory: %v", err)
	}
	release()
	if _, err := w.mover.Sum(t.Context(), []mover.Range{{Slab: 1, Length: 8}}); err != nil {
		t.Errorf("sum with memory again: %v", err)
	}
}
