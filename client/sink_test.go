package client_test

import (
	"bytes"
	"context"
	"errors"
	"math"
	"slices"
	"sync"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/codec"
	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/manifest"
)

// arena is a Sink whose places lie one behind the other.
type arena struct {
	m       *manifest.Manifest
	memory  []byte
	offsets []int
	// taken is called for every chunk; nil for nothing.
	taken func(c uint32) error

	mu    sync.Mutex // protects what follows
	takes map[uint32]int
	enc   int64
	moved int // chunks whose bytes were not where Room said

	plainOnly bool // chunks may come as deltas
}

func newArena(m *manifest.Manifest) *arena {
	a := &arena{m: m, takes: map[uint32]int{}}
	for _, c := range m.Chunks {
		a.offsets = append(a.offsets, len(a.memory))
		a.memory = append(a.memory, make([]byte, c.Size)...)
	}
	return a
}

func (a *arena) Room(_ context.Context, c uint32) ([]byte, error) {
	return a.memory[a.offsets[c]:], nil // the neighbours are within reach
}

func (a *arena) Take(_ context.Context, c uint32, plain, enc []byte) error {
	a.mu.Lock()
	a.takes[c]++
	a.enc += int64(len(enc))
	if &plain[0] != &a.memory[a.offsets[c]] {
		a.moved++
	}
	if enc == nil && a.plainOnly {
		enc = codec.Append(nil, plain, chunker.Opaque)
	}
	again, err := codec.Decode(nil, enc)
	a.mu.Unlock()
	if err != nil || !bytes.Equal(again, plain) || chunker.Sum(plain) != a.m.Chunks[c].Digest {
		return errors.New("took what is not the chunk")
	}
	if a.taken != nil {
		return a.taken(c)
	}
	return nil
}

// whole fails the test unless every chunk is in its place and was taken once.
func (a *arena) whole(t *testing.T) {
	t.Helper()
	for c, want := range a.m.Chunks {
		at := a.offsets[c]
		if chunker.Sum(a.memory[at:at+int(want.Size)]) != want.Digest || a.takes[uint32(c)] != 1 {
			t.Errorf("chunk %d: wrong bytes, or taken %d times", c, a.takes[uint32(c)])
		}
	}
	if a.moved > 0 {
		t.Errorf("%d chunks were not decoded where Room said", a.moved)
	}
}

// published pushes the base model to a new fake.
func published(t *testing.T) (*fake, *client.Registry, *manifest.Manifest, chunker.Digest) {
	t.Helper()
	f := newFake(t)
	r := f.client()
	push(t, r, model(t), "acme/llama", client.PushOptions{})
	m, digest, err := r.Manifest(t.Context(), ref(t, "acme/llama"))
	if err != nil {
		t.Fatal(err)
	}
	return f, r, m, digest
}

// queue is a channel of all chunks that is closed behind them.
func queue(m *manifest.Manifest) <-chan uint32 {
	in := make(chan uint32, len(m.Chunks))
	for c := range m.Chunks {
		in <- uint32(c)
	}
	close(in)
	return in
}

func TestFetch(t *testing.T) {
	noLeaks(t)
	_, r, m, digest := published(t)
	to := newArena(m)
	received, err := r.Fetch(t.Context(), ref(t, "acme/llama").Repo, digest, m, queue(m), to, client.FetchOptions{})
	if err != nil || received.Bytes != to.enc {
		t.Errorf("%d bytes came, %d were taken: %v", received.Bytes, to.enc, err)
	}
	to.whole(t)
}

func TestFetchOfNothing(t *testing.T) {
	f, r, m, digest := published(t)
	none := make(chan uint32)
	close(none)
	received, err := r.Fetch(t.Context(), ref(t, "acme/llama").Repo, digest, m, none, newArena(m), client.FetchOptions{})
	if err != nil || received.Bytes != 0 || f.requests("GET /v1/repos/{ns}/{m}/versions/{d}/chunks") != 0 {
		t.Errorf("%d bytes, %v", received.Bytes, err)
	}
}

func TestFetchAgainWhatWasDamaged(t *testing.T) {
	for name, damage := range damages {
		t.Run(name, func(t *testing.T) {
			f, r, m, digest := published(t)
			damaged(f, 1, damage)
			to := newArena(m)
			if _, err := r.Fetch(t.Context(), ref(t, "acme/llama").Repo, digest, m, queue(m), to, client.FetchOptions{}); err != nil {
				t.Error(err)
			}
			to.whole(t)
		})
	}
}

func TestFetchRefusesDamage(t *testing.T) {
	noLeaks(t)
	for name, damage := range damages {
		t.Run(name, func(t *testing.T) {
			f, r, m, digest := published(t)
			damaged(f, math.MaxInt, damage)
			to := newArena(m)
			open := make(chan uint32, len(m.Chunks))
			for c := range m.Chunks {
				open <- uint32(c)
			}
			// The channel stays open: the failure alone must end the fetch.
			_, err := r.Fetch(t.Context(), ref(t, "acme/llama").Repo, digest, m, open, to, client.FetchOptions{})
			if !errors.Is(err, client.ErrCorrupt) || len(to.takes) == len(m.Chunks) {
				t.Errorf("%d chunks taken, %v", len(to.takes), err)
			}
		})
	}
}

// TestFetchStaysInItsRoom damages one chunk for good and wants nothing but its
// own room to have been touched.
func TestFetchStaysInItsRoom(t *testing.T) {
	for name, damage := range damages {
		t.Run(name, func(t *testing.T) {
			f, r, m, digest := published(t)
			damaged(f, math.MaxInt, damage)
			to := newArena(m)
			one := make(chan uint32, 1)
			one <- 1
			if _, err := r.Fetch(t.Context(), ref(t, "acme/llama").Repo, digest, m, one, to, client.FetchOptions{}); !errors.Is(err, client.ErrCorrupt) {
				t.Fatalf("got %v, want ErrCorrupt", err)
			}
			copy(to.memory[to.offsets[1]:to.offsets[2]], make([]byte, m.Chunks[1].Size))
			if i := slices.IndexFunc(to.memory, func(b byte) bool { return b != 0 }); i >= 0 {
				t.Errorf("byte %d was written, the room is %d to %d", i, to.offsets[1], to.offsets[2])
			}
		})
	}
}

func TestSinkEndsFetch(t *testing.T) {
	noLeaks(t)
	_, r, m, digest := published(t)
	odd := errors.New("odd")
	to := newArena(m)
	to.taken = func(uint32) error { return odd }
	open := make(chan uint32, 1)
	open <- 0
	if _, err := r.Fetch(t.Context(), ref(t, "acme/llama").Repo, digest, m, open, to, client.FetchOptions{}); !errors.Is(err, odd) {
		t.Errorf("got %v, want the sink's error", err)
	}
}

func TestFetchEndsWithContext(t *testing.T) {
	noLeaks(t)
	_, r, m, digest := published(t)
	ctx, cancel := context.WithCancel(t.Context())
	to := newArena(m)
	to.taken = func(uint32) error { cancel(); return nil }
	open := make(chan uint32, 1)
	open <- 0
	if _, err := r.Fetch(ctx, ref(t, "acme/llama").Repo, digest, m, open, to, client.FetchOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

// TestFetchHoldsNothingBack feeds each chunk when the one before it has come.
func TestFetchHoldsNothingBack(t *testing.T) {
	_, r, m, digest := published(t)
	to := newArena(m)
	next := make(chan uint32, 1)
	to.taken = func(c uint32) error {
		if int(c)+1 == len(m.Chunks) {
			close(next)
			return nil
		}
		next <- c + 1
		return nil
	}
	next <- 0
	if _, err := r.Fetch(t.Context(), ref(t, "acme/llama").Repo, digest, m, next, to, client.FetchOptions{}); err != nil {
		t.Error(err)
	}
	to.whole(t)
}

func TestFetchOfUnknownVersion(t *testing.T) {
	_, r, m, _ := published(t)
	_, err := r.Fetch(t.Context(), ref(t, "acme/llama").Repo, chunker.Sum([]byte("no")), m, queue(m), newArena(m), client.FetchOptions{})
	if !errors.Is(err, &openapi.Error{Code: openapi.CodeNotFound}) {
		t.Errorf("got %v, want not_found", err)
	}
}
