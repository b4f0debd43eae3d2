//go:build linux

package patch_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/codec"
	"github.com/ingot-ml/ingot/nodecache/internal/patch"
	"github.com/ingot-ml/ingot/nodecache/internal/ram"
	"github.com/ingot-ml/ingot/nodecache/internal/tier"
	"github.com/ingot-ml/ingot/registry/manifest"
)

const (
	kib   = 1 << 10
	mib   = 1 << 20
	plain = 64 * kib // bytes of a chunk
)

// version is chunks with their bytes, one tensor each.
type version struct {
	*manifest.Manifest
	bytes [][]byte
}

// newVersion is a version of one file whose chunks are these.
func newVersion(chunks ...[]byte) version {
	m := &manifest.Manifest{Files: []manifest.File{{Path: "model.safetensors", Format: "safetensors"}}}
	f := &m.Files[0]
	for i, b := range chunks {
		m.Chunks = append(m.Chunks, chunker.Ref{Digest: chunker.Sum(b), Size: uint32(len(b))})
		f.Chunks = append(f.Chunks, uint32(i))
		f.Tensors = append(f.Tensors, manifest.Tensor{
			Name: string(rune('a' + i)), DType: "BF16", Shape: []uint64{uint64(len(b) / 2)}, Offset: f.Size, Length: uint64(len(b)),
		})
		f.Size += uint64(len(b))
	}
	return version{m, chunks}
}

// weights are n chunks of numbers.
func weights(n int) (chunks [][]byte) {
	r := rand.New(rand.NewPCG(1, 2))
	for range n {
		b := make([]byte, plain)
		for i := 0; i < len(b); i += 2 {
			binary.LittleEndian.PutUint16(b[i:], 0x3c00+uint16(r.NormFloat64()*100))
		}
		chunks = append(chunks, b)
	}
	return chunks
}

// trained is a chunk of which one value in a hundred has changed.
func trained(b []byte) []byte {
	b = bytes.Clone(b)
	for i := 0; i < len(b); i += 200 {
		b[i]++
	}
	return b
}

// world is a tier in RAM with a version in it.
type world struct {
	t      *testing.T
	tier   *ram.Tier
	domain *ram.Domain
	from   version
	to     version
	wrong  int
}

func newWorld(t *testing.T, from, to version) *world {
	r, err := ram.Open(ram.Config{Budget: 4 * mib, Segment: 4 * mib})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	w := &world{t: t, tier: r, domain: r.Domain("acme"), from: from, to: to}
	for i, ref := range from.Chunks {
		if err := w.domain.Put(t.Context(), ref, from.bytes[i], nil); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// order is what the stages of the world work with.
func (w *world) order() patch.Order {
	return patch.Order{
		Manifest: w.to.Manifest, Base: w.from.Manifest, RAM: w.domain, Memory: 64 * mib, Wrong: func() { w.wrong++ },
	}
}

// stage stages every chunk that changes, as it comes: with a delta, whole, or plain.
func (w *world) stage(o patch.Order) *patch.Stage {
	w.t.Helper()
	s := patch.New(o)
	for c, ref := range w.to.Chunks {
		if s.Has(ref.Digest) {
			continue
		}
		if err := w.put(s, c); err != nil {
			w.t.Fatal(err)
		}
	}
	return s
}

func (w *world) put(s *patch.Stage, c int) error {
	ref, b := w.to.Chunks[c], w.to.bytes[c]
	switch {
	case c%3 == 0 && c < len(w.from.bytes):
		delta, ok := codec.AppendDelta(nil, b, w.from.bytes[c], w.from.Chunks[c].Digest, chunker.BF16, len(b))
		if ok {
			return s.PutDelta(w.t.Context(), ref, b, delta)
		}
	case c%3 == 1:
		return s.Put(w.t.Context(), ref, b, codec.Append(nil, b, chunker.BF16))
	}
	return s.Put(w.t.Context(), ref, b, nil)
}

// holds compares what is in RAM with a version, and with the bytes that the tier says
// are used.
func (w *world) holds(v, other version) {
	w.t.Helper()
	for i, ref := range v.Chunks {
		got, err := w.domain.Read(w.t.Context(), ref, make([]byte, 0, ref.Size))
		if err != nil || !bytes.Equal(got, v.bytes[i]) {
			w.t.Errorf("chunk %d: %d bytes that differ, or %v", i, len(got), err)
		}
	}
	for i, ref := range other.Chunks {
		shared := false
		for _, r := range v.Chunks {
			shared = shared || r == ref
		}
		if w.domain.Has(ref.Digest) != shared {
			w.t.Errorf("chunk %d of the other version is there: %v", i, !shared)
		}
	}
	if got := w.tier.Stats().Chunks; got != len(v.Chunks) {
		w.t.Errorf("%d chunks are there, want %d", got, len(v.Chunks))
	}
}

// change is a version of six chunks and one that follows: the last but one stays, and
// one chunk more comes beside it.
func change() (from, to version) {
	old := weights(6)
	next := make([][]byte, 0, 7)
	for _, b := range old {
		next = append(next, trained(b))
	}
	next[4] = old[4]
	return newVersion(old...), newVersion(append(next, weights(7)[6])...)
}

// TestApply has a version come over another, in the same memory.
func TestApply(t *testing.T) {
	from, to := change()
	w := newWorld(t, from, to)
	arrived := make(chan uint32, len(to.Chunks))
	o := w.order()
	o.Arrived = func(c uint32) { arrived <- c }
	s := w.stage(o)
	if s.Used() > 6*plain/2 {
		t.Errorf("%d bytes are staged", s.Used())
	}
	swaps := s.Swaps()
	if len(swaps) != 5 {
		t.Fatalf("%d chunks come over others, want 5", len(swaps))
	}
	segment, offset, _, _ := w.domain.Place(from.Chunks[2].Digest)
	if err := s.Begin(swaps); err != nil {
		t.Fatal(err)
	}
	if err := s.Apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.holds(to, from)
	if g, at, _, _ := w.domain.Place(to.Chunks[2].Digest); g != segment || at != offset {
		t.Error("a chunk lies elsewhere than the one before it")
	}
	if len(arrived) != len(to.Chunks) || s.Written() != 5*plain || w.wrong != 0 {
		t.Errorf("%d chunks arrived, %d bytes were written over others, %d were wrong", len(arrived), s.Written(), w.wrong)
	}
	if s.Peak() == 0 || s.Peak() > o.Memory {
		t.Errorf("%d bytes beside the versions, and %d are allowed", s.Peak(), o.Memory)
	}
}

// errDisk is what a broken disk says.
var errDisk = errors.New("the disk is gone")

// brokenAt is a source that has one chunk and cannot read it.
type brokenAt struct {
	tier.Store
	at chunker.Digest
}

func (b brokenAt) Has(d chunker.Digest) bool { return d == b.at }

func (b brokenAt) Read(context.Context, chunker.Ref, []byte) ([]byte, error) { return nil, errDisk }

// TestRestore fails in the middle, wherever that is, and puts everything back.
func TestRestore(t *testing.T) {
	from, to := change()
	for c := range to.Chunks {
		if c == 4 {
			continue // which stays
		}
		w := newWorld(t, from, to)
		o := w.order()
		o.Source = brokenAt{at: to.Chunks[c].Digest}
		s := w.stage(o)
		if err := s.Begin(s.Swaps()); err != nil {
			t.Fatal(err)
		}
		if err := s.Apply(t.Context()); !errors.Is(err, errDisk) {
			t.Fatalf("with chunk %d broken: %v", c, err)
		}
		if err := s.Recall(); err != nil {
			t.Fatal(err)
		}
		if err := s.Restore(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.domain.Drop(to.Chunks[6].Digest) // as the account says
		w.holds(from, to)
	}
}

// TestGone cannot put back what was there, because somebody holds what came, or
// because what undoes it is gone.
func TestGone(t *testing.T) {
	from, to := change()
	w := newWorld(t, from, to)
	o := w.order()
	o.Source, o.Kept = brokenAt{at: to.Chunks[5].Digest}, true
	s := w.stage(o)
	if err := s.Begin(s.Swaps()); err != nil {
		t.Fatal(err)
	}
	if err := s.Apply(t.Context()); !errors.Is(err, errDisk) {
		t.Fatal(err)
	}
	if err := s.Recall(); err != nil {
		t.Fatal(err)
	}
	if err := s.Restore(t.Context()); s.Written() > 0 && !errors.Is(err, errDisk) {
		t.Errorf("put back from a disk that is gone: %v", err)
	}
	for _, v := range []version{from, to} {
		for _, ref := range v.Chunks {
			w.domain.Drop(ref.Digest)
		}
	}
	if used := w.tier.Used(); used != 0 {
		t.Errorf("%d bytes are used when all is gone", used)
	}
	w = newWorld(t, from, to)
	s = w.stage(w.order())
	if err := s.Begin(s.Swaps()); err != nil {
		t.Fatal(err)
	}
	s.Forsake()
	if got := w.tier.Stats().Chunks; got != 1 {
		t.Errorf("%d chunks are left, want the one of both versions", got)
	}
}

// TestWrongBase has another base than the one that a delta is of: the chunk comes
// whole, and is counted.
func TestWrongBase(t *testing.T) {
	from, to := change()
	w := newWorld(t, from, to)
	o := w.order()
	asked := 0
	o.Whole = func(_ context.Context, c uint32, room []byte) ([]byte, error) {
		asked++
		return append(room, to.bytes[c]...), nil
	}
	s := patch.New(o)
	for c, ref := range to.Chunks {
		if s.Has(ref.Digest) {
			continue
		}
		base := from.bytes[min(c, 5)]
		if c == 3 {
			base = from.bytes[4]
		}
		delta, ok := codec.AppendDelta(nil, to.bytes[c], base, from.Chunks[min(c, 5)].Digest, chunker.BF16, plain)
		if !ok {
			t.Fatal("no delta")
		}
		if err := s.PutDelta(t.Context(), ref, to.bytes[c], delta); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Begin(s.Swaps()); err != nil {
		t.Fatal(err)
	}
	if err := s.Apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.holds(to, from)
	if w.wrong != 1 || asked != 1 {
		t.Errorf("%d bases were wrong, and %d chunks came whole", w.wrong, asked)
	}
}

// TestMemory stages more than it may.
func TestMemory(t *testing.T) {
	from, to := change()
	w := newWorld(t, from, to)
	o := w.order()
	o.Memory = 32*mib + 2*plain
	s := patch.New(o)
	var err error
	for c, ref := range to.Chunks {
		if b := weights(20)[c+8]; err == nil {
			ref = chunker.Ref{Digest: ref.Digest, Size: plain}
			err = s.Put(t.Context(), ref, b, codec.Append(nil, b, chunker.BF16))
		}
	}
	if !errors.Is(err, tier.ErrFull) || s.Used() > 2*plain {
		t.Errorf("%d bytes are staged: %v", s.Used(), err)
	}
	if err := s.Put(t.Context(), from.Chunks[0], from.bytes[0], nil); err == nil || !strings.Contains(err.Error(), "not of the version") {
		t.Errorf("a chunk of another version: %v", err)
	}
}
