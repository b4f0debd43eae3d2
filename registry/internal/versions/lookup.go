package versions

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/codec"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/record"
	"github.com/ingot-ml/ingot/registry/manifest"
	"github.com/ingot-ml/ingot/registry/name"
)

// ByPrefix returns the version of repo whose digest begins with those hex digits, or
// is them; of several the first.
func (s *Service) ByPrefix(ctx context.Context, p access.Principal, repo name.Repo, prefix string) (found chunker.Digest, err error) {
	if err := s.existing(ctx, p, repo); err != nil {
		return found, err
	}
	if d, err := chunker.ParseDigest(prefix); err == nil { // a list begins behind it
		_, _, err = s.readHead(ctx, repo, d)
		return d, err
	}
	err = s.eachHead(ctx, repo, prefix, func(d chunker.Digest, _ *record.Head) (bool, error) {
		if strings.HasPrefix(d.String(), prefix) {
			found = d
		}
		return false, nil
	})
	if err != nil {
		return found, fmt.Errorf("look for version %s of %s: %w", prefix, repo, err)
	}
	if found.IsZero() {
		return found, notFound("%s@%.12s: not found", repo, prefix)
	}
	return found, nil
}

// Reading is a version that is read. It is safe for concurrent use.
type Reading struct {
	Manifest *manifest.Manifest  // shared: only read
	Info     openapi.VersionInfo // without tags

	service *Service
	repo    name.Repo
	body    *body
}

// Read begins to read a version that p may read.
func (s *Service) Read(ctx context.Context, p access.Principal, repo name.Repo, d chunker.Digest) (*Reading, error) {
	b, err := s.readBody(ctx, p, repo, d)
	if err != nil {
		return nil, err
	}
	h, _, err := s.readHead(ctx, repo, d)
	if err != nil {
		return nil, err
	}
	info := openapi.VersionInfo{
		Digest: d, Parent: h.Parent, Created: h.At, By: h.By, Size: h.Size, Files: h.Files,
		Chunks: h.Chunks, Stored: h.Stored, Tags: []string{},
	}
	return &Reading{b.manifest, info, s, repo, b}, nil
}

// encodedBuffers lends buffers that hold the longest encoded chunk.
var encodedBuffers = sync.Pool{New: func() any {
	b := make([]byte, codec.MaxEncoded(chunker.MaxSize))
	return &b
}}

// Chunk returns the verified plain bytes of the chunk with that index, in a buffer
// that release gives back.
func (r *Reading) Chunk(ctx context.Context, index uint32) (plain []byte, release func(), err error) {
	release = func() {}
	if uint64(index) >= uint64(len(r.body.entries)) {
		return nil, release, notFound("%s: chunk %d: not found, there are %d", versionName(r.repo, r.Info.Digest), index, len(r.body.entries))
	}
	r.service.reads.note(r.repo, r.Info.Digest, r.service.Now())
	l, err := r.service.sound(ctx, r.body.locate(r.repo, r.Info.Digest, index))
	if err != nil {
		return nil, release, err
	}
	out := plainBuffers.Get().(*[chunker.MaxSize]byte)
	plain, err = r.service.PlainChunk(ctx, l, out[:0])
	return plain, func() { plainBuffers.Put(out) }, err
}
