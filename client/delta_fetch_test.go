package client_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/codec"
	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/manifest"
	"github.com/ingot-ml/ingot/registry/name"
)

// related returns a fake that knows deltas, and has the base model and that trained.
func related(t *testing.T) (f *fake, r *client.Registry, first, second client.Receipt) {
	t.Helper()
	f, r, places, first := knowing(t)
	return f, r, first, push(t, r, tuned(t), "acme/llama", client.PushOptions{Places: places})
}

// came fails the test unless nearly all that a pull received was the difference.
func came(t *testing.T, got client.Receipt) {
	t.Helper()
	if most := got.BytesTotal / 25; got.BytesReceived > most {
		t.Errorf("received %d of %d bytes, want at most %d", got.BytesReceived, got.BytesTotal, most)
	}
	if got.ChunksDelta == 0 || got.BytesReceivedDelta == 0 || got.BytesReceivedBase != 0 || got.BasesWrong != 0 {
		t.Errorf("%d of %d chunks as deltas, %d bytes and %d of bases, %d wrong",
			got.ChunksDelta, got.ChunksNew, got.BytesReceivedDelta, got.BytesReceivedBase, got.BasesWrong)
	}
}

func TestPullReceivesDifferences(t *testing.T) {
	noLeaks(t)
	f, r, first, _ := related(t)
	pinned := "acme/llama@" + first.Digest
	for what, prepare := range map[string]func(dir string, o *client.PullOptions){
		"of the folder that a pull left": func(dir string, o *client.PullOptions) {
			pull(t, r, pinned, dir, *o)
		},
		"of a folder that nobody knows": func(dir string, o *client.PullOptions) {
			o.Places = ""
			pull(t, r, pinned, dir, *o)
		},
		"of another folder": func(dir string, o *client.PullOptions) {
			pull(t, r, pinned, dir+"-old", *o)
		},
		"of the cache": func(dir string, o *client.PullOptions) {
			cache, err := client.OpenCache(filepath.Join(filepath.Dir(dir), "cache"), 1<<30)
			if err != nil {
				t.Fatal(err)
			}
			o.Cache = cache
			pull(t, r, pinned, dir+"-old", *o)
			if err := os.RemoveAll(dir + "-old"); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(what, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "model")
			o := client.PullOptions{Places: filepath.Join(filepath.Dir(dir), "places")}
			prepare(dir, &o)
			f.requests("GET /v1/repos/{ns}/{m}/versions/{d}/chunks/{i}")
			came(t, pull(t, r, "acme/llama", dir, o))
			sameTree(t, dir, tuned(t))
		})
	}
}

// TestPullOfNothingNear makes no request more than one that knows of no deltas.
func TestPullOfNothingNear(t *testing.T) {
	f, r, _, _ := related(t)
	f.requests("GET /v1/repos/{ns}/{m}/versions/{d}")
	dir := filepath.Join(t.TempDir(), "model")
	pull(t, r, "acme/llama", dir, client.PullOptions{Places: filepath.Join(t.TempDir(), "places")})
	if n := f.requests("GET /v1/repos/{ns}/{m}/versions/{d}"); n != 1 {
		t.Errorf("%d manifests were read, want 1", n)
	}
}

// TestPullWithWrongBase gets whole what a changed file gives no base for.
func TestPullWithWrongBase(t *testing.T) {
	_, r, first, _ := related(t)
	dir := filepath.Join(t.TempDir(), "model")
	o := client.PullOptions{Places: filepath.Join(filepath.Dir(dir), "places")}
	pull(t, r, "acme/llama@"+first.Digest, dir+"-old", o)
	weights, err := filepath.Glob(filepath.Join(dir+"-old", "*.safetensors"))
	if err != nil || len(weights) == 0 {
		t.Fatal(weights, err)
	}
	for _, path := range weights {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		spoil(t, path)
		if err := os.Chtimes(path, time.Time{}, info.ModTime()); err != nil {
			t.Fatal(err)
		}
	}
	got := pull(t, r, "acme/llama", dir, o)
	sameTree(t, dir, tuned(t))
	if got.BasesWrong == 0 || got.ChunksDelta > got.ChunksNew-got.BasesWrong {
		t.Errorf("%d bases were wrong, %d of %d chunks came as deltas", got.BasesWrong, got.ChunksDelta, got.ChunksNew)
	}
}

// keepDeltas has the fake keep the chunks of the second version as deltas of those of the
// first, which have the same places.
func (f *fake) keepDeltas(t *testing.T, r *client.Registry, first, second client.Receipt) {
	t.Helper()
	read := func(d string) *manifest.Manifest {
		m, _, err := r.Manifest(t.Context(), ref(t, "acme/llama@"+d))
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	a, b := read(first.Digest), read(second.Digest)
	f.deltas.kept = map[chunker.Digest]chunker.Digest{}
	for c, kin := range manifest.NewKin(a).Of(b) {
		if kin >= 0 && a.Chunks[kin].Digest != b.Chunks[c].Digest {
			f.deltas.kept[b.Chunks[c].Digest] = a.Chunks[kin].Digest
		}
	}
	if len(f.deltas.kept) == 0 {
		t.Fatal("no chunk has kin")
	}
}

// TestPullOfKeptDeltas decodes what a registry keeps as deltas with what comes before it.
func TestPullOfKeptDeltas(t *testing.T) {
	f, r, first, second := related(t)
	f.keepDeltas(t, r, first, second)
	dir := filepath.Join(t.TempDir(), "model")
	got := pull(t, r, "acme/llama", dir, client.PullOptions{})
	sameTree(t, dir, tuned(t))
	if got.ChunksDelta != len(f.deltas.kept) || got.BytesReceivedBase == 0 || got.BytesReceivedDelta == 0 ||
		got.BytesReceivedBase+got.BytesReceivedDelta > got.BytesReceived {
		t.Errorf("%d deltas of %d, %d + %d of %d bytes", got.ChunksDelta, len(f.deltas.kept), got.BytesReceivedBase, got.BytesReceivedDelta, got.BytesReceived)
	}
	if _, err := r.Verify(t.Context(), ref(t, "acme/llama"), client.VerifyOptions{}); err != nil {
		t.Error(err)
	}
	// An archive holds whole chunks.
	var archive bytes.Buffer
	if _, err := r.Export(t.Context(), []name.Ref{ref(t, "acme/llama")}, &archive, client.ExportOptions{}); err != nil {
		t.Error(err)
	}
}

// holder is what the first version gives.
func holder(t *testing.T, f *fake, r *client.Registry, first client.Receipt, spoiled bool) client.Held {
	t.Helper()
	m, digest, err := r.Manifest(t.Context(), ref(t, "acme/llama@"+first.Digest))
	if err != nil {
		t.Fatal(err)
	}
	return client.Held{
		Repo: ref(t, "acme/llama").Repo, Version: digest, Manifest: m,
		Has: func(chunker.Digest) bool { return true },
		Read: func(_ context.Context, ref chunker.Ref, dst []byte) ([]byte, error) {
			f.mu.Lock()
			defer f.mu.Unlock()
			dst = append(dst[:0], f.plain(ref.Digest)...)
			if spoiled {
				dst[len(dst)/2] ^= 1
			}
			return dst, nil
		},
	}
}

// taker is a DeltaSink.
type taker struct {
	*arena
	mu     sync.Mutex // protects deltas
	deltas map[uint32][]byte
}

func (s *taker) Take(ctx context.Context, c uint32, plain, enc []byte) error {
	if enc == nil {
		return errors.New("a delta came to Take")
	}
	return s.arena.Take(ctx, c, plain, enc)
}

func (s *taker) TakeDelta(ctx context.Context, c uint32, plain, delta []byte) error {
	s.mu.Lock()
	s.deltas[c] = bytes.Clone(delta)
	s.mu.Unlock()
	return s.arena.Take(ctx, c, plain, codec.Append(nil, plain, chunker.Opaque))
}

func TestFetchWithHeld(t *testing.T) {
	noLeaks(t)
	f, r, first, second := related(t)
	m, digest, err := r.Manifest(t.Context(), ref(t, "acme/llama@"+second.Digest))
	if err != nil {
		t.Fatal(err)
	}
	for _, spoiled := range []bool{false, true} {
		to := &taker{arena: newArena(m), deltas: map[uint32][]byte{}}
		o := client.FetchOptions{Held: []client.Held{holder(t, f, r, first, spoiled)}}
		got, err := r.Fetch(t.Context(), ref(t, "acme/llama").Repo, digest, m, queue(m), to, o)
		if err != nil {
			t.Fatal(err)
		}
		to.whole(t)
		if len(to.deltas) != got.DeltaChunks || got.BaseBytes != 0 {
			t.Errorf("%d deltas, %d of them taken, %d bytes of bases", got.DeltaChunks, len(to.deltas), got.BaseBytes)
		}
		if spoiled && (got.BasesWrong == 0 || got.DeltaChunks != 0) || !spoiled && (got.BasesWrong != 0 || got.DeltaChunks == 0) {
			t.Errorf("spoiled %v: %d deltas, %d bases were wrong", spoiled, got.DeltaChunks, got.BasesWrong)
		}
		for c, delta := range to.deltas {
			if base, err := codec.Base(delta); err != nil || base.IsZero() {
				t.Errorf("chunk %d: what came is no delta: %v", c, err)
			}
		}
	}
}

// TestHostileBases gets whole, or refuses, what a registry sends with bases that are none.
func TestHostileBases(t *testing.T) {
	noLeaks(t)
	f, r, first, second := related(t)
	f.keepDeltas(t, r, first, second)
	m, digest, err := r.Manifest(t.Context(), ref(t, "acme/llama@"+second.Digest))
	if err != nil {
		t.Fatal(err)
	}
	junk := openapi.AppendFrame(nil, chunker.Sum([]byte("junk")), codec.Append(nil, []byte("junk"), chunker.Opaque))
	var sent atomic.Int64
	for what, body := range map[string]func(frames []byte) []byte{
		"no base":         func(b []byte) []byte { return b[frameLen(b):] },
		"a damaged base":  func(b []byte) []byte { b[openapi.FrameHeader+20] ^= 1; return b },
		"another name":    func(b []byte) []byte { b[0] ^= 1; return b },
		"bases for ever":  func([]byte) []byte { return bytes.Repeat(junk, 1000) },
		"the base twice":  func(b []byte) []byte { return append(bytes.Clone(b[:frameLen(b)]), b...) },
		"nothing":         func([]byte) []byte { return nil },
		"half":            func(b []byte) []byte { return b[:len(b)/2] },
		"a base, no more": func(b []byte) []byte { return b[:frameLen(b)] },
	} {
		t.Run(what, func(t *testing.T) {
			f.ahead(func(w http.ResponseWriter, q *http.Request) bool {
				if q.Method != http.MethodGet || q.FormValue("delta") != openapi.Yes || !strings.Contains(q.URL.Path, "/chunks/") {
					return false
				}
				i := expand(q.URL.Path[strings.LastIndex(q.URL.Path, "/")+1:])[0]
				frames, err := f.frames(nil, m.Chunks, i, nil)
				if err != nil || frameLen(frames) == len(frames) {
					return false
				}
				w.Header().Set("Content-Type", openapi.MediaChunks)
				sent.Add(1)
				_, _ = w.Write(body(frames))
				return true
			})
			to := newArena(m)
			to.plainOnly = true
			if _, err := r.Fetch(t.Context(), ref(t, "acme/llama").Repo, digest, m, queue(m), to, client.FetchOptions{}); err != nil {
				t.Fatal(err)
			}
			to.whole(t)
			if sent.Swap(0) == 0 {
				t.Error("no chunk came with its base")
			}
		})
	}
}

// frameLen returns how long the first of some frames is.
func frameLen(b []byte) int {
	_, enc, err := openapi.NewFrameReader(bytes.NewReader(b), len(b)).Next(nil)
	if err != nil {
		return 0
	}
	return openapi.FrameHeader + len(enc)
}
