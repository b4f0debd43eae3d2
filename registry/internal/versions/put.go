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
	Base   []byte // plain bytes of what the chunk is a delta of; nil of a whole one
}

// plainBuffers lends buffers that hold the longest chunk.
var plainBuffers = sync.Pool{New: func() any { return new([chunker.MaxSize]byte) }}

// baseOf returns the name of what an encoded chunk is a delta of; zero for a whole one.
func baseOf(enc []byte) (chunker.Digest, error) {
	return codec.Base(enc[:min(len(enc), codec.BaseHeaderLen)])
}

// verified is a chunk that is the one it claims to be, as it is to be stored.
type verified struct {
	Encoded
	plain   uint32            // bytes
	base    chunker.Digest    // of a delta
	closure []placement.Entry // of a delta, if it is known where its bases lie
}

func badChunk(d chunker.Digest, format string, args ...any) error {
	return openapi.Errorf(openapi.CodeBadChunk, "chunk %s: %s", d.Short(), fmt.Sprintf(format, args...))
}

// verify decodes the chunk. The name is proof, a length or checksum is not.
func (e Encoded) verify() (verified, error) {
	buf := plainBuffers.Get().(*[chunker.MaxSize]byte)
	defer plainBuffers.Put(buf)
	var base chunker.Digest
	var plain []byte
	var err error
	if e.Base == nil {
		plain, err = codec.Decode(buf[:0], e.Bytes)
	} else if base, err = baseOf(e.Bytes); err == nil {
		plain, err = codec.DecodeDelta(buf[:0], e.Bytes, e.Base, base)
	}
	if err != nil {
		return verified{}, badChunk(e.Digest, "%v", err)
	}
	return e.named(plain, base)
}

// named compares plain bytes with the name.
func (e Encoded) named(plain []byte, base chunker.Digest) (verified, error) {
	if got := chunker.Sum(plain); got != e.Digest {
		return verified{}, badChunk(e.Digest, "the bytes are those of %s", got.Short())
	}
	return verified{Encoded: e, plain: uint32(len(plain)), base: base}, nil
}

// PutChunk stores one whole chunk of a push as a blob of its own: step P2.
func (s *Service) PutChunk(ctx context.Context, p access.Principal, id string, d chunker.Digest, enc []byte) (openapi.Received, error) {
	return s.PutDelta(ctx, p, id, d, enc, Source{})
}

// PutDelta is PutChunk for a chunk that may be a delta of one of the version base.
func (s *Service) PutDelta(ctx context.Context, p access.Principal, id string, d chunker.Digest, enc []byte, base Source) (openapi.Received, error) {
	n, err := s.intake(ctx, p, id, base)
	if err != nil {
		return openapi.Received{}, err
	}
	got := openapi.Received{Chunks: 1}
	if _, ok := n.upload.get(d); ok {
		return got, nil
	}
	v, err := n.verify(ctx, Encoded{Digest: d, Bytes: enc})
	if err != nil {
		return openapi.Received{}, err
	}
	err = n.within(ctx, []verified{v}, func() (int64, error) {
		made, err := s.putOwn(ctx, n.rec.Attempt, n.upload, v)
		if made {
			got.New, got.Stored = 1, int64(len(v.Bytes))
		}
		return got.Stored, err
	})
	if err != nil {
		return openapi.Received{}, fmt.Errorf("store chunk %s: %w", d.Short(), err)
	}
	return got, nil
}

// putOwn makes a verified chunk a blob. made is false when an earlier try, whose
// answer was lost, had made it.
func (s *Service) putOwn(ctx context.Context, attempt int, u *upload, v verified) (made bool, err error) {
	attempt = u.attempt(v.Digest, attempt)
	name := placement.ChunkName(v.Digest, u.id, attempt)
	if !v.base.IsZero() {
		name = placement.DeltaName(v.Digest, u.id, attempt)
	}
	err = s.Blobs.Put(ctx, name, v.Bytes)
	if err == nil {
		u.put(v.Digest, v.in(placement.Entry{Object: name, Length: uint32(len(v.Bytes))}))
		return true, nil
	}
	if !errors.Is(err, blobs.ErrExists) {
		return false, err
	}
	f, err := s.readPlace(ctx, name)
	if errors.Is(err, blobs.ErrNotFound) {
		return false, openapi.Errorf(openapi.CodeUnavailable, "chunk %s was collected at this moment: send it again", v.Digest.Short())
	}
	if err != nil {
		return false, err
	}
	if f.base != v.base { // the name is taken by a delta of another chunk
		_, err = s.putBundle(ctx, u, []verified{v})
		return err == nil, err
	}
	u.put(v.Digest, v.in(f.entry))
	return false, nil
}

// in returns what is remembered of a chunk that lies there.
func (v *verified) in(e placement.Entry) found {
	f := found{entry: e, plain: v.plain, base: v.base}
	if v.closure != nil {
		f.entry.Closure, f.base = v.closure, chunker.Digest{}
	}
	return f
}

// PutBatch stores many whole chunks of a push: large ones as blobs of their own, small
// ones together in a bundle. All are verified before any is stored.
func (s *Service) PutBatch(ctx context.Context, p access.Principal, id string, chunks []Encoded) (openapi.Received, error) {
	return s.PutDeltas(ctx, p, id, chunks, Source{})
}

// MaxRemade is how many bytes of a batch may wait, encoded anew, to be stored.
const MaxRemade = 16 << 20

// PutDeltas is PutBatch for chunks that may be deltas of those of the version base. Of
// many that are to be stored in another form some may be stored before all are verified.
func (s *Service) PutDeltas(ctx context.Context, p access.Principal, id string, chunks []Encoded, base Source) (openapi.Received, error) {
	n, err := s.intake(ctx, p, id, base)
	if err != nil {
		return openapi.Received{}, err
	}
	var got openapi.Received
	var fresh []verified
	seen, remade := make(map[chunker.Digest]bool, len(chunks)), 0
	for _, c := range chunks {
		if _, ok := n.upload.get(c.Digest); ok || seen[c.Digest] {
			continue
		}
		seen[c.Digest] = true
		v, err := n.verify(ctx, c)
		if err != nil {
			return openapi.Received{}, err
		}
		fresh = append(fresh, v)
		if &v.Bytes[0] != &c.Bytes[0] {
			remade += len(v.Bytes)
		}
		if remade >= MaxRemade {
			if err := n.store(ctx, fresh, &got); err != nil {
				return openapi.Received{}, err
			}
			fresh, remade = nil, 0
		}
	}
	err = n.store(ctx, fresh, &got)
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

func (s *Service) putLarge(ctx context.Context, attempt int, u *upload, chunks []verified) (openapi.Received, error) {
	made := make([]bool, len(chunks))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(writing)
	for i, c := range chunks {
		group.Go(func() (err error) {
			made[i], err = s.putOwn(ctx, attempt, u, c)
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
		items[i] = placement.Item{Digest: c.Digest, Plain: c.plain, Length: uint32(len(c.Bytes)), Base: c.base}
		parts = append(parts, c.Bytes)
	}
	parts[0] = placement.BundleHeader(items)
	name := placement.BundlesOf(u.id) + nonce
	if err := s.Blobs.Put(ctx, name, parts...); err != nil {
		return 0, err
	}
	u.putBundle(name, items)
	for i, c := range chunks {
		if !c.base.IsZero() {
			u.put(c.Digest, c.in(placement.Entry{Object: name, Offset: items[i].Offset, Length: items[i].Length}))
		}
	}
	var total int64
	for _, part := range parts {
		total += int64(len(part))
	}
	return total, nil
}
