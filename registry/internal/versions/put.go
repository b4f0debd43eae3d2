package versions

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/codec"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/blobs"
	"github.com/ingot-ml/ingot/registry/internal/placement"
	"github.com/ingot-ml/ingot/registry/internal/record"
)

// writing is how many blobs of one batch are written at a time.
const writing = 4

// Encoded is an encoded chunk and the name that it claims. The bytes stay the
// caller's.
type Encoded struct {
	Digest chunker.Digest
	Bytes  []byte
}

// plainBuffers lends buffers that hold the longest chunk.
var plainBuffers = sync.Pool{New: func() any { return new([chunker.MaxSize]byte) }}

// verify decodes the chunk and returns its plain length, if it is the one it
// claims to be. The name is proof, a length or checksum is not.
func (e Encoded) verify() (uint32, error) {
	buf := plainBuffers.Get().(*[chunker.MaxSize]byte)
	defer plainBuffers.Put(buf)
	plain, err := codec.Decode(buf[:0], e.Bytes)
	if err != nil {
		return 0, openapi.Errorf(openapi.CodeBadChunk, "chunk %s: %v", e.Digest.Short(), err)
	}
	if got := chunker.Sum(plain); got != e.Digest {
		return 0, openapi.Errorf(openapi.CodeBadChunk, "chunk %s: the bytes are those of %s", e.Digest.Short(), got.Short())
	}
	return uint32(len(plain)), nil
}

// PutChunk stores one chunk of a push as a blob of its own: step P2.
func (s *Service) PutChunk(ctx context.Context, p access.Principal, id string, d chunker.Digest, enc []byte) (openapi.Received, error) {
	rec, u, err := s.takingPush(ctx, p, id)
	if err != nil {
		return openapi.Received{}, err
	}
	got := openapi.Received{Chunks: 1}
	if _, ok := u.get(d); ok {
		return got, nil
	}
	e := Encoded{d, enc}
	plain, err := e.verify()
	if err != nil {
		return openapi.Received{}, err
	}
	made, err := s.putOwn(ctx, rec.Attempt, u, e, plain)
	if err != nil {
		return openapi.Received{}, fmt.Errorf("store chunk %s: %w", d.Short(), err)
	}
	if made {
		got.New, got.Stored = 1, int64(len(enc))
	}
	return got, nil
}

// putOwn makes a verified chunk a blob. made is false when an earlier try, whose
// answer was lost, had made it.
func (s *Service) putOwn(ctx context.Context, attempt int, u *upload, e Encoded, plain uint32) (made bool, err error) {
	name := placement.ChunkName(e.Digest, u.id, u.attempt(e.Digest, attempt))
	err = s.Blobs.Put(ctx, name, e.Bytes)
	if err == nil {
		u.put(e.Digest, found{placement.Entry{Object: name, Length: uint32(len(e.Bytes))}, plain})
		return true, nil
	}
	if !errors.Is(err, blobs.ErrExists) {
		return false, err
	}
	info, err := s.Blobs.Stat(ctx, name)
	if errors.Is(err, blobs.ErrNotFound) {
		return false, openapi.Errorf(openapi.CodeUnavailable, "chunk %s was collected at this moment: send it again", e.Digest.Short())
	}
	if err != nil {
		return false, err
	}
	u.put(e.Digest, found{placement.Entry{Object: name, Length: uint32(info.Size)}, plain})
	return false, nil
}

// PutBatch stores many chunks of a push: large ones as blobs of their own, small
// ones together in a bundle. All are verified before any is stored.
func (s *Service) PutBatch(ctx context.Context, p access.Principal, id string, chunks []Encoded) (openapi.Received, error) {
	rec, u, err := s.takingPush(ctx, p, id)
	if err != nil {
		return openapi.Received{}, err
	}
	fresh, err := verifyFresh(u, chunks)
	if err != nil {
		return openapi.Received{}, err
	}
	got, err := s.putFresh(ctx, rec.Attempt, u, fresh)
	got.Chunks = len(chunks)
	return got, err
}

// putFresh stores verified chunks, each of which the push does not have.
func (s *Service) putFresh(ctx context.Context, attempt int, u *upload, chunks []verified) (openapi.Received, error) {
	var large, small []verified
	for _, c := range chunks {
		if len(c.Bytes) < openapi.SmallChunk {
			small = append(small, c)
		} else {
			large = append(large, c)
		}
	}
	got, err := s.putLarge(ctx, attempt, u, large)
	if err != nil {
		return openapi.Received{}, fmt.Errorf("store chunks: %w", err)
	}
	stored, err := s.putBundle(ctx, u, small)
	if err != nil {
		return openapi.Received{}, fmt.Errorf("store bundle: %w", err)
	}
	got.New += len(small)
	got.Stored += stored
	return got, nil
}

// verified is a chunk that is the one it claims to be.
type verified struct {
	Encoded
	plain uint32
}

// verifyFresh verifies the chunks that the push does not have, each once.
func verifyFresh(u *upload, chunks []Encoded) ([]verified, error) {
	seen := make(map[chunker.Digest]bool, len(chunks))
	var fresh []verified
	for _, c := range chunks {
		if _, ok := u.get(c.Digest); ok || seen[c.Digest] {
			continue
		}
		seen[c.Digest] = true
		plain, err := c.verify()
		if err != nil {
			return nil, err
		}
		fresh = append(fresh, verified{c, plain})
	}
	return fresh, nil
}

func (s *Service) putLarge(ctx context.Context, attempt int, u *upload, chunks []verified) (openapi.Received, error) {
	made := make([]bool, len(chunks))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(writing)
	for i, c := range chunks {
		group.Go(func() (err error) {
			made[i], err = s.putOwn(ctx, attempt, u, c.Encoded, c.plain)
			return err
		})
	}
	var got openapi.Received
	if err := group.Wait(); err != nil {
		return got, err
	}
	for i, c := range chunks {
		if made[i] {
			got.New++
			got.Stored += int64(len(c.Bytes))
		}
	}
	return got, nil
}

// putBundle stores the chunks in one blob and returns its length.
func (s *Service) putBundle(ctx context.Context, u *upload, chunks []verified) (int64, error) {
	if len(chunks) == 0 {
		return 0, nil
	}
	nonce, err := s.book.Token(record.NonceLen)
	if err != nil {
		return 0, err
	}
	items := make([]placement.Item, len(chunks))
	parts := make([][]byte, 1, 1+len(chunks))
	for i, c := range chunks {
		items[i] = placement.Item{Digest: c.Digest, Plain: c.plain, Length: uint32(len(c.Bytes))}
		parts = append(parts, c.Bytes)
	}
	parts[0] = placement.BundleHeader(items)
	name := placement.BundlesOf(u.id) + nonce
	if err := s.Blobs.Put(ctx, name, parts...); err != nil {
		return 0, err
	}
	u.putBundle(name, items)
	var total int64
	for _, part := range parts {
		total += int64(len(part))
	}
	return total, nil
}
