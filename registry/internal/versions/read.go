package versions

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/codec"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/blobs"
	"github.com/ingot-ml/ingot/registry/internal/deltas"
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
	Length int64 // encoded bytes; 0 of a chunk that is stored as a delta

	entry   placement.Entry
	plain   int // bytes
	dtype   chunker.DType
	body    string
	repo    name.Repo
	version chunker.Digest
	index   uint32
}

// Object returns the blob that is this encoded chunk and nothing else; false for one
// that lies in a bundle or is a delta.
func (l Located) Object() (string, bool) {
	whole, _ := l.Stored()
	return l.entry.Object, whole && l.entry.Offset == 0 && placement.ParseName(l.entry.Object).Kind == placement.Chunk
}

// Stored tells how the chunk is stored: whole, or as a delta that needs so many bases.
func (l Located) Stored() (whole bool, bases int) {
	return len(l.entry.Closure) == 0, len(l.entry.Closure)
}

// Chunks returns where the chunks with these indexes in the version's table lie.
// One that is known to be bad there is looked for in other versions.
func (s *Service) Chunks(ctx context.Context, p access.Principal, repo name.Repo, d chunker.Digest, indexes []uint32) ([]Located, error) {
	b, err := s.readBody(ctx, p, repo, d)
	if err != nil {
		return nil, err
	}
	s.reads.note(repo, d, s.Now())
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
	ref := b.manifest.Chunks[i]
	l := Located{Digest: ref.Digest, plain: int(ref.Size), dtype: b.types[i], body: b.name, repo: repo, version: d, index: i}
	l.lie(b.entries[i])
	return l
}

// lie has the chunk lie there.
func (l *Located) lie(e placement.Entry) {
	l.entry, l.Length = e, 0
	if len(e.Closure) == 0 {
		l.Length = int64(e.Length)
	}
}

// again says where a chunk lies whose objects were not all there any more, because its
// version has been pointed at others.
func (s *Service) again(ctx context.Context, l Located) (Located, error) {
	b, err := s.currentBody(ctx, l.repo, l.version, l.body)
	if err != nil {
		return l, err
	}
	return s.sound(ctx, b.locate(l.repo, l.version, l.index))
}

// OpenChunk returns the encoded bytes of a chunk, whole: of one that is stored as a
// delta they are made, in memory. It follows a version that is pointed at other objects
// in the meantime, as long as the encoding keeps its length; an encoding of another
// length fails, and the caller asks again.
func (s *Service) OpenChunk(ctx context.Context, l Located) (io.ReadCloser, error) {
	if whole, _ := l.Stored(); !whole {
		return s.openDelta(ctx, l)
	}
	for {
		r, err := s.Blobs.Open(ctx, l.entry.Object, int64(l.entry.Offset), l.Length)
		if !errors.Is(err, blobs.ErrNotFound) {
			return r, err
		}
		moved, err := s.again(ctx, l)
		if err != nil {
			return nil, err
		}
		if moved.Length != l.Length {
			return nil, openapi.Errorf(openapi.CodeUnavailable, "chunk %s was encoded anew: ask again", l.Digest.Short())
		}
		l = moved
	}
}

// openDelta is OpenChunk for a chunk that is stored as a delta.
func (s *Service) openDelta(ctx context.Context, l Located) (io.ReadCloser, error) {
	buf := encodedBuffers.Get().(*[]byte)
	enc, err := s.encodeWhole(ctx, l, (*buf)[:0])
	if err != nil {
		encodedBuffers.Put(buf)
		return nil, err
	}
	return &lent{bytes.NewReader(enc), buf}, nil
}

// encodeWhole appends the chunk's whole encoding to dst.
func (s *Service) encodeWhole(ctx context.Context, l Located, dst []byte) ([]byte, error) {
	buf := plainBuffers.Get().(*[chunker.MaxSize]byte)
	defer plainBuffers.Put(buf)
	plain, err := s.PlainChunk(ctx, l, buf[:0])
	if err != nil {
		return nil, err
	}
	return codec.Append(dst, plain, l.dtype), nil
}

// lent reads bytes in a buffer that goes back when it is closed.
type lent struct {
	*bytes.Reader
	buf *[]byte
}

// Close implements io.Closer.
func (r *lent) Close() error {
	if r.buf != nil {
		encodedBuffers.Put(r.buf)
		r.buf = nil
	}
	return nil
}

// PlainChunk returns the verified plain bytes of a chunk, in the memory of dst if that
// holds chunker.MaxSize. It follows a version that is pointed at other objects.
func (s *Service) PlainChunk(ctx context.Context, l Located, dst []byte) ([]byte, error) {
	for {
		plain, err := deltas.Plain(ctx, s.Blobs, &l.entry, l.Digest, dst)
		if !errors.Is(err, blobs.ErrNotFound) {
			return plain, err
		}
		if l, err = s.again(ctx, l); err != nil {
			return nil, err
		}
	}
}
