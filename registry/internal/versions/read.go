package versions

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/blobs"
	"github.com/ingot-ml/ingot/registry/internal/placement"
	"github.com/ingot-ml/ingot/registry/internal/record"
	"github.com/ingot-ml/ingot/registry/internal/registers"
	"github.com/ingot-ml/ingot/registry/name"
)

// readHead returns the head of a version that can be read. The caller has asked
// the policy.
func (s *Service) readHead(ctx context.Context, repo name.Repo, d chunker.Digest) (*record.Head, registers.Version, error) {
	var h record.Head
	v, err := s.book.Load(ctx, record.HeadKey(repo, d), &h)
	if err != nil {
		return nil, "", fmt.Errorf("read version %s@%s: %w", repo, d.Short(), err)
	}
	if !h.Readable() {
		return nil, "", notFound("%s: not found", versionName(repo, d))
	}
	return &h, v, nil
}

// readBody returns the body of a version that p may read.
func (s *Service) readBody(ctx context.Context, p access.Principal, repo name.Repo, d chunker.Digest) (*body, error) {
	if err := s.readable(p, repo, versionName(repo, d)); err != nil {
		return nil, err
	}
	return s.currentBody(ctx, repo, d, "")
}

// currentBody returns the body that the head names. As long as that is missing
// and the head names another one than the last tried, it looks again: a version
// may be pointed elsewhere any number of times while it is read.
func (s *Service) currentBody(ctx context.Context, repo name.Repo, d chunker.Digest, tried string) (*body, error) {
	for {
		h, _, err := s.readHead(ctx, repo, d)
		if err != nil {
			return nil, err
		}
		if h.Body == tried {
			return nil, fmt.Errorf("read version %s@%s: body or chunk is gone from the store: %w", repo, d.Short(), blobs.ErrNotFound)
		}
		b, err := s.loadBody(ctx, h.Body)
		if !errors.Is(err, blobs.ErrNotFound) {
			return b, err
		}
		tried = h.Body
	}
}

// Manifest returns the document of a version. It is shared: the caller only
// reads it.
func (s *Service) Manifest(ctx context.Context, p access.Principal, repo name.Repo, d chunker.Digest) ([]byte, error) {
	b, err := s.readBody(ctx, p, repo, d)
	if err != nil {
		return nil, err
	}
	return b.document, nil
}

// Located is a chunk of a version that may be opened.
type Located struct {
	Digest chunker.Digest
	Length int64 // encoded bytes

	entry   placement.Entry
	body    string
	repo    name.Repo
	version chunker.Digest
	index   uint32
}

// Object returns the blob that is this encoded chunk and nothing else; false for one
// that lies in a bundle.
func (l Located) Object() (string, bool) {
	return l.entry.Object, l.entry.Offset == 0 && placement.ParseName(l.entry.Object).Kind == placement.Chunk
}

// Chunks returns where the chunks with these indexes in the version's table lie.
// One that is known to be bad there is looked for in other versions.
func (s *Service) Chunks(ctx context.Context, p access.Principal, repo name.Repo, d chunker.Digest, indexes []uint32) ([]Located, error) {
	b, err := s.readBody(ctx, p, repo, d)
	if err != nil {
		return nil, err
	}
	located := make([]Located, len(indexes))
	for n, i := range indexes {
		if uint64(i) >= uint64(len(b.entries)) {
			return nil, notFound("%s@%s: chunk %d: not found, there are %d", repo, d.Short(), i, len(b.entries))
		}
		if located[n], err = s.sound(ctx, b.locate(repo, d, i)); err != nil {
			return nil, err
		}
	}
	return located, nil
}

// locate says where a chunk lies of b, which is the body of repo@d.
func (b *body) locate(repo name.Repo, d chunker.Digest, i uint32) Located {
	e := b.entries[i]
	return Located{
		Digest: b.manifest.Chunks[i].Digest, Length: int64(e.Length),
		entry: e, body: b.name, repo: repo, version: d, index: i,
	}
}

// OpenChunk returns the encoded bytes of a chunk. It follows a version that is
// pointed at other objects in the meantime, as long as the encoding keeps its
// length; an encoding of another length fails, and the caller asks again.
func (s *Service) OpenChunk(ctx context.Context, l Located) (io.ReadCloser, error) {
	for {
		r, err := s.Blobs.Open(ctx, l.entry.Object, int64(l.entry.Offset), l.Length)
		if !errors.Is(err, blobs.ErrNotFound) {
			return r, err
		}
		b, err := s.currentBody(ctx, l.repo, l.version, l.body)
		if err != nil {
			return nil, err
		}
		moved, err := s.sound(ctx, b.locate(l.repo, l.version, l.index))
		if err != nil {
			return nil, err
		}
		if moved.Length != l.Length {
			return nil, openapi.Errorf(openapi.CodeUnavailable, "chunk %s was encoded anew: ask again", l.Digest.Short())
		}
		l.entry, l.body = moved.entry, moved.body
	}
}
