//go:build linux

package patch_test

import (
	"encoding/binary"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/codec"
	"github.com/ingot-ml/ingot/nodecache/internal/patch"
	"github.com/ingot-ml/ingot/nodecache/internal/ram"
	"github.com/ingot-ml/ingot/registry/manifest"
)

// benchChunks is how many chunks of 2 MiB the benchmark has: INGOT_PATCH_CHUNKS, or few.
func benchChunks(b *testing.B) int {
	text := os.Getenv("INGOT_PATCH_CHUNKS")
	if text == "" {
		return 32
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		b.Fatal(err)
	}
	return n
}

// BenchmarkApply brings a version of which one value in a hundred has changed into the
// memory of the one before it, and tells what that takes of memory and, as reads, how
// many times as long as to read and verify the version once.
func BenchmarkApply(b *testing.B) {
	n, size := benchChunks(b), chunker.MaxSize
	tier, err := ram.Open(ram.Config{Budget: int64(n+1) * int64(size)})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = tier.Close() }() // of a benchmark
	domain := tier.Domain("acme")
	from, to := &manifest.Manifest{}, &manifest.Manifest{}
	staged := make([][]byte, n)
	old, next := make([]byte, size), make([]byte, size)
	r := rand.New(rand.NewPCG(1, 2))
	for c := range n {
		for i := 0; i < size; i += 2 {
			binary.LittleEndian.PutUint16(old[i:], 0x3c00+uint16(r.NormFloat64()*100))
		}
		copy(next, old)
		for range size / 200 {
			next[r.IntN(size/2)*2]++
		}
		for m, plain := range map[*manifest.Manifest][]byte{from: old, to: next} {
			m.Chunks = append(m.Chunks, chunker.Ref{Digest: chunker.Sum(plain), Size: uint32(size)})
		}
		if err := domain.Put(b.Context(), from.Chunks[c], old, nil); err != nil {
			b.Fatal(err)
		}
		staged[c], _ = codec.AppendDelta(nil, next, old, from.Chunks[c].Digest, chunker.BF16, size)
	}
	for _, m := range []*manifest.Manifest{from, to} {
		f := manifest.File{Path: "model.safetensors", Format: "safetensors", Size: uint64(n * size)}
		for c := range n {
			f.Chunks = append(f.Chunks, uint32(c))
		}
		f.Tensors = []manifest.Tensor{{Name: "w", DType: "BF16", Shape: []uint64{f.Size / 2}, Length: f.Size}}
		m.Files = []manifest.File{f}
	}
	b.SetBytes(int64(n) * int64(size))
	b.ReportAllocs()
	reading, applying, peak := 0.0, 0.0, int64(0)
	for b.Loop() {
		b.StopTimer()
		s := patch.New(patch.Order{Manifest: to, Base: from, RAM: domain, Memory: 192 << 20})
		reading += seconds(func() { read(b, domain, from) })
		for c, ref := range to.Chunks {
			if err := s.PutDelta(b.Context(), ref, next, staged[c]); err != nil {
				b.Fatal(err)
			}
		}
		b.StartTimer()
		applying += seconds(func() {
			if err := s.Begin(s.Swaps()); err != nil {
				b.Fatal(err)
			}
			if err := s.Apply(b.Context()); err != nil {
				b.Fatal(err)
			}
		})
		b.StopTimer()
		peak = max(peak, s.Peak())
		if err := s.Recall(); err != nil { // so that it can be done again
			b.Fatal(err)
		}
		if err := s.Restore(b.Context()); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
	b.ReportMetric(applying/reading, "reads")
	b.ReportMetric(float64(peak)/mib, "MiB-beside")
}

func seconds(do func()) float64 {
	began := time.Now()
	do()
	return time.Since(began).Seconds()
}

// read reads every chunk and compares its name, with as many as those who write.
func read(b *testing.B, from *ram.Domain, m *manifest.Manifest) {
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	for _, ref := range m.Chunks {
		g.Go(func() error {
			plain, err := from.Read(b.Context(), ref, make([]byte, 0, ref.Size))
			if err == nil && chunker.Sum(plain) != ref.Digest {
				err = patch.ErrWrong
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		b.Error(err)
	}
}
