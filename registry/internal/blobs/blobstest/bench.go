package blobstest

import (
	"fmt"
	"io"
	"sync/atomic"
	"testing"

	"github.com/ingot-ml/ingot/registry/internal/blobs"
)

// benchSize is the length of an encoded chunk of bf16 weights.
const benchSize = 1340 << 10

// RunBenchmarks measures a store with blobs of the size of chunks. open returns a
// store without blobs.
func RunBenchmarks(b *testing.B, open func(b *testing.B) blobs.Store) {
	blob := make([]byte, benchSize)
	b.Run("Put", func(b *testing.B) {
		s := open(b)
		var n atomic.Int64
		b.SetBytes(benchSize)
		b.SetParallelism(8)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				i := n.Add(1)
				if err := s.Put(b.Context(), fmt.Sprintf("c/%03x/%d", i%4096, i), blob); err != nil {
					b.Error(err)
					return
				}
			}
		})
	})
	b.Run("Open", func(b *testing.B) {
		s := open(b)
		if err := s.Put(b.Context(), "c/000/x", blob); err != nil {
			b.Fatal(err)
		}
		b.SetBytes(benchSize)
		for b.Loop() {
			r, err := s.Open(b.Context(), "c/000/x", 0, -1)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, r); err != nil {
				b.Fatal(err)
			}
			if err := r.Close(); err != nil {
				b.Fatal(err)
			}
		}
	})
}
