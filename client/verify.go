package client

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/ingot-ml/ingot/registry/manifest"
	"github.com/ingot-ml/ingot/registry/name"
)

// Of bad chunks so many are told, and so many files of each.
const (
	maxBad      = 16
	maxBadFiles = 4
)

// VerifyOptions say how a version is verified.
type VerifyOptions struct {
	// Progress may be nil.
	Progress Progress
}

// VerifyReceipt says what Verify found. Its JSON is a contract.
type VerifyReceipt struct {
	Ref           string     `json:"ref"`
	Digest        string     `json:"digest"`
	Chunks        int        `json:"chunks"`         // distinct, read and compared
	Bytes         int64      `json:"bytes"`          // plain bytes of them
	BytesReceived int64      `json:"bytes_received"` // encoded
	Bad           int        `json:"bad"`            // chunks that are not what their name says
	First         []BadChunk `json:"first_bad"`      // the first of them
	Seconds       float64    `json:"seconds"`
}

// BadChunk is a chunk that the registry does not give back as it was.
type BadChunk struct {
	Digest  string   `json:"digest"`
	Files   []string `json:"files"` // the first that use it
	Problem string   `json:"problem"`
}

// Verify reads every chunk of a version from the registry and compares it with
// its name. When some are bad it returns the receipt together with ErrCorrupt.
// Other errors are those of Pull.
func (r *Registry) Verify(ctx context.Context, ref name.Ref, o VerifyOptions) (VerifyReceipt, error) {
	began := time.Now()
	m, digest, err := r.Manifest(ctx, ref)
	if err != nil {
		return VerifyReceipt{}, fmt.Errorf("verify %s: %w", ref, err)
	}
	v := verification{m: m, progress: heard(o.Progress)}
	v.got = VerifyReceipt{Ref: ref.String(), Digest: digest.String(), First: []BadChunk{}}
	v.progress.Total(int64(m.ChunkBytes()))
	f := &fetch{Registry: r, repo: ref.Repo, digest: digest, m: m, to: &v, bad: v.bad}
	err = f.run(ctx, f.each(func(yield func(uint32) bool) {
		for c := range m.Chunks {
			if !yield(uint32(c)) {
				return
			}
		}
	}))
	if err == nil && v.got.Bad > 0 {
		err = fmt.Errorf("%d of %d chunks: %w", v.got.Bad, v.got.Chunks, ErrCorrupt)
	}
	v.got.BytesReceived = f.received.Load()
	v.got.Seconds = time.Since(began).Seconds()
	if err != nil {
		return v.got, fmt.Errorf("verify %s: %w", ref, err)
	}
	return v.got, nil
}

// verification is one Verify.
type verification struct {
	m        *manifest.Manifest
	progress Progress

	mu  sync.Mutex // protects got
	got VerifyReceipt
}

// Room implements Sink: what is verified is not kept.
func (v *verification) Room(context.Context, uint32) ([]byte, error) { return nil, nil }

// Take implements Sink.
func (v *verification) Take(_ context.Context, c uint32, _, _ []byte) error {
	v.count(c)
	return nil
}

func (v *verification) count(c uint32) {
	size := int64(v.m.Chunks[c].Size)
	v.progress.Add(size)
	v.mu.Lock()
	defer v.mu.Unlock()
	v.got.Chunks++
	v.got.Bytes += size
}

func (v *verification) bad(c uint32, problem error) error {
	v.count(c)
	v.mu.Lock()
	defer v.mu.Unlock()
	v.got.Bad++
	if len(v.got.First) == maxBad {
		return nil
	}
	b := BadChunk{Digest: v.m.Chunks[c].Digest.String(), Problem: problem.Error()}
	for i := range v.m.Files {
		if len(b.Files) < maxBadFiles && slices.Contains(v.m.Files[i].Chunks, c) {
			b.Files = append(b.Files, v.m.Files[i].Path)
		}
	}
	v.got.First = append(v.got.First, b)
	return nil
}
