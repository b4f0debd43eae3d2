package registry_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"iter"
	"log/slog"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/registry"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/blobs"
	"github.com/ingot-ml/ingot/registry/internal/bolt"
	"github.com/ingot-ml/ingot/registry/internal/collect"
	"github.com/ingot-ml/ingot/registry/internal/placement"
	"github.com/ingot-ml/ingot/registry/internal/record"
	"github.com/ingot-ml/ingot/registry/internal/registers"
	"github.com/ingot-ml/ingot/registry/internal/scrub"
	"github.com/ingot-ml/ingot/registry/internal/versions"
	"github.com/ingot-ml/ingot/registry/manifest"
	"github.com/ingot-ml/ingot/registry/name"
)

// perVersion is how many chunks a synthetic version has: 128 GiB of weights. A push
// takes chunks from 16 versions, which makes a million.
const perVersion = 1 << 16

// madeUp is a store whose chunks are only listed: their bytes are never read.
type madeUp struct {
	*blobs.Memory
	versions int
}

// digestOf returns the digest of chunk i. They come in ascending order.
func digestOf(i int) (d chunker.Digest) {
	binary.BigEndian.PutUint64(d[:], uint64(i)<<36|1)
	return d
}

const madeUpPush = "0123456789abcdef0123"

const madeUpSize = 1340 << 10

// List implements blobs.Store.
func (m *madeUp) List(ctx context.Context, prefix, after string) iter.Seq2[blobs.Info, error] {
	if prefix != "" && !strings.HasPrefix(prefix, placement.Chunk.Prefix()) {
		return m.Memory.List(ctx, prefix, after)
	}
	return func(yield func(blobs.Info, error) bool) {
		if prefix == "" { // bodies come before chunks, and nothing else is there
			for info, err := range m.Memory.List(ctx, prefix, after) {
				if !yield(info, err) {
					return
				}
			}
		}
		for i := range m.versions * perVersion {
			object := placement.ChunkName(digestOf(i), madeUpPush, 0)
			if object > after && strings.HasPrefix(object, prefix) && !yield(blobs.Info{Name: object, Size: madeUpSize}, nil) {
				return
			}
		}
	}
}

// scale is a registry of metadata alone.
type scale struct {
	service *versions.Service
	collect *collect.Collector
	scrub   *scrub.Scrubber
	index   *bolt.Index
	digests []chunker.Digest
}

// newScale writes the heads and bodies of n versions, as if they had been pushed.
func newScale(b *testing.B, n int) *scale {
	b.Helper()
	index, err := bolt.OpenIndex(b.TempDir() + "/index.db")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := index.Close(); err != nil {
			b.Error(err)
		}
	})
	store, engine := &madeUp{blobs.NewMemory(), n}, registers.NewMemory()
	logger := slog.New(slog.DiscardHandler)
	s := &scale{index: index, digests: make([]chunker.Digest, 0, n*perVersion)}
	s.service = versions.New(versions.Config{
		Registers: engine, Blobs: store, Index: registry.ChunkIndex{Index: index}, Policy: access.Open{}, Now: time.Now, Logger: logger,
	})
	s.collect = collect.New(collect.Config{Registers: engine, Blobs: store, Sweeper: store, Now: time.Now, Logger: logger})
	s.scrub = scrub.New(scrub.Config{Service: s.service, Registers: engine, Blobs: store, Now: time.Now, Rand: &counter{}, Logger: logger})
	book := record.Book{Registers: engine, Rand: &counter{}}
	for v := range n {
		s.publish(b, book, store, v)
	}
	return s
}

// counter is randomness that never repeats.
type counter struct{ n atomic.Uint64 }

func (c *counter) Read(p []byte) (int, error) {
	n := c.n.Add(1)
	for i := range p {
		p[i] = byte(n >> (8 * (i % 8)))
	}
	return len(p), nil
}

var scaleRepo = name.Repo{Namespace: "acme", Name: "large"}

func (s *scale) publish(b *testing.B, book record.Book, store blobs.Store, v int) {
	b.Helper()
	refs, entries := make([]chunker.Ref, perVersion), make([]placement.Entry, perVersion)
	for i := range refs {
		refs[i] = chunker.Ref{Digest: digestOf(v*perVersion + i), Size: chunker.MaxSize}
		entries[i] = placement.Entry{Object: placement.ChunkName(refs[i].Digest, madeUpPush, 0), Length: madeUpSize}
		s.digests = append(s.digests, refs[i].Digest)
	}
	builder := manifest.NewBuilder()
	builder.Add(manifest.File{Path: fmt.Sprintf("model-%d.bin", v), Size: perVersion * chunker.MaxSize, Format: "opaque"}, refs)
	m, err := builder.Build(chunker.Digest{}, nil)
	if err != nil {
		b.Fatal(err)
	}
	doc, err := m.Encode()
	if err != nil {
		b.Fatal(err)
	}
	digest := manifest.Name(doc)
	body := placement.BodyName(scaleRepo, digest, madeUpPush, "0123456789abcdef")
	if err := store.Put(b.Context(), body, (&placement.Body{Document: doc, Entries: entries}).Encode()); err != nil {
		b.Fatal(err)
	}
	h := &record.Head{State: record.Committed, Body: body, Push: madeUpPush}
	if _, err := book.Swap(b.Context(), record.HeadKey(scaleRepo, digest), registers.Absent, h); err != nil {
		b.Fatal(err)
	}
	if err := s.index.Add(b.Context(), scaleRepo.String(), digest, m.Chunks); err != nil {
		b.Fatal(err)
	}
}

// peak runs f and returns by how many bytes the heap grew meanwhile, at the most.
func peak(f func()) uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	before, most := m.HeapAlloc, m.HeapAlloc
	done, sampled := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(sampled)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				most = max(most, m.HeapAlloc)
			}
		}
	}()
	f()
	close(done)
	<-sampled
	return most - before
}

// BenchmarkScale does what looks at all metadata there is, on up to a million
// chunks: the time for each chunk should not grow, and memory stay far below a GiB.
func BenchmarkScale(b *testing.B) {
	for _, n := range []int{1, 4, 16} {
		chunks := n * perVersion
		s := newScale(b, n)
		run := func(what string, f func()) {
			b.Run(fmt.Sprintf("%s/chunks=%d", what, chunks), func(b *testing.B) {
				var most uint64
				for b.Loop() {
					most = max(most, peak(f))
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*chunks), "ns/chunk")
				b.ReportMetric(float64(most)/(1<<20), "MiB-heap")
			})
		}
		run("missing", func() { s.missing(b) })
		run("mark", func() { s.mark(b, int64(chunks)) })
		run("verify", func() { s.verify(b, int64(chunks)) })
	}
}

// missing asks for every chunk, as a push does, and wants none to be missing.
func (s *scale) missing(b *testing.B) {
	push, err := s.service.StartPush(b.Context(), access.Anonymous, scaleRepo)
	if err != nil {
		b.Fatal(err)
	}
	for i := 0; i < len(s.digests); i += 8192 {
		missing, err := s.service.Missing(b.Context(), access.Anonymous, push.ID, s.digests[i:min(i+8192, len(s.digests))])
		if err != nil {
			b.Fatal(err)
		}
		for j, m := range missing {
			if m {
				b.Fatalf("chunk %d is missing", i+j)
			}
		}
	}
}

// mark is the first mark of a collection, and the list of the store.
func (s *scale) mark(b *testing.B, chunks int64) {
	report, err := s.collect.Run(b.Context(), collect.Options{DryRun: true})
	if err != nil || report.Freed.Objects != 0 || report.Kept["referenced"].Objects < chunks {
		b.Fatalf("%+v, %v", report, err)
	}
}

// verify compares all objects with what versions name, and finds nothing wrong.
func (s *scale) verify(b *testing.B, chunks int64) {
	report, err := s.scrub.Verify(b.Context(), false, nil)
	if err != nil || report.Chunks != chunks || len(report.Bad)+len(report.Missing)+len(report.Foreign) != 0 {
		b.Fatalf("%d chunks, %d bad, %d missing, %v", report.Chunks, len(report.Bad), len(report.Missing), err)
	}
}
