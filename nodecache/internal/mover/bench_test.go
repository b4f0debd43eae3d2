//go:build linux

package mover_test

import (
	"testing"

	"github.com/ingot-ml/ingot/cuda/cudatest"
	"github.com/ingot-ml/ingot/nodecache/internal/mover"
)

// BenchmarkCopiesFake is what a copy costs besides the copy: on its way to the mover,
// and there until the driver has it.
func BenchmarkCopiesFake(b *testing.B) {
	w := newWorld(b, cudatest.Options{})
	w.start()
	w.addSegment(1, 4*mib)
	w.addSlab(1, 4*mib)
	if err := w.mover.Pin(1, 0, 4*mib); err != nil {
		b.Fatal(err)
	}
	list := make([]mover.Copy, 64*kib)
	for i := range list {
		list[i] = mover.Copy{Slab: 1, Offset: int64(i) * 64, Length: 64, Source: 1, At: int64(i) * 64}
	}
	for b.Loop() {
		w.copies(list...)
	}
	b.ReportMetric(float64(b.N*len(list))/b.Elapsed().Seconds(), "copies/s")
}

// BenchmarkAskFake is what a request in passing takes there and back.
func BenchmarkAskFake(b *testing.B) {
	w := newWorld(b, cudatest.Options{})
	w.start()
	for b.Loop() {
		if _, _, err := w.mover.Memory(); err != nil {
			b.Fatal(err)
		}
	}
}
