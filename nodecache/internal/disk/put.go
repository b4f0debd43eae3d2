package disk

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/chunkdir"
	"github.com/ingot-ml/ingot/nodecache/internal/tier"
)

// Put implements tier.Store. Of several who put one chunk at a time one writes it.
func (s *Store) Put(ctx context.Context, ref chunker.Ref, plain, enc []byte) error {
	if len(plain) != int(ref.Size) || ref.Size < 1 || ref.Size > chunker.MaxSize {
		return fmt.Errorf("put chunk %s: %d bytes, want %d, at least 1 and at most %d", ref.Digest, len(plain), ref.Size, chunker.MaxSize)
	}
	e := entry{size: ref.Size, file: ref.Size + tailLen}
	if s.config.Form == Encoded && enc != nil && len(enc) < int(e.file) {
		e.form, e.file = Encoded, uint32(len(enc))
	}
	if err := s.put(ctx, ref.Digest, e, plain, enc); err != nil {
		return fmt.Errorf("put chunk %s: %w", ref.Digest, err)
	}
	return nil
}

func (s *Store) put(ctx context.Context, d chunker.Digest, e entry, plain, enc []byte) error {
	mine, err := s.begin(ctx, d, e)
	if err != nil || !mine {
		return err
	}
	err = s.write(ctx, d, e, plain, enc)
	s.mu.Lock()
	s.used -= e.cost()
	if err == nil {
		s.note(d, e)
	}
	s.end(d)
	s.mu.Unlock()
	if errors.Is(err, chunkdir.ErrNoSpace) {
		return fmt.Errorf("%w: %w", tier.ErrFull, err)
	}
	return err
}

// begin takes the room for a chunk and makes the caller the one who writes it. mine
// is false for a chunk that is there, perhaps because another has just written it.
func (s *Store) begin(ctx context.Context, d chunker.Digest, e entry) (mine bool, err error) {
	for {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		s.mu.Lock()
		other := s.pending[d]
		if other == nil {
			defer s.mu.Unlock()
			return s.claim(d, e)
		}
		s.mu.Unlock()
		select {
		case <-other:
		case <-ctx.Done():
		}
	}
}

// claim is begin when the chunk is neither written nor removed. s.mu is held.
func (s *Store) claim(d chunker.Digest, e entry) (mine bool, err error) {
	if _, ok := s.index[d]; ok {
		return false, nil
	}
	if used := s.used + s.docs.total(); used+e.cost() > s.config.Budget {
		return false, fmt.Errorf("%d bytes, and %d of %d are taken: %w", e.cost(), used, s.config.Budget, tier.ErrFull)
	}
	s.used += e.cost()
	s.pending[d] = make(chan struct{})
	return true, nil
}

// write makes the file of a chunk. One that is there already is not in the index,
// so nobody knows what it is.
func (s *Store) write(ctx context.Context, d chunker.Digest, e entry, plain, enc []byte) error {
	name := chunkName(d, e.form, e.size)
	parts := [][]byte{enc}
	if e.form == Plain {
		end := tail(crc32.Checksum(plain, castagnoli))
		parts = [][]byte{plain, end[:]}
	}
	err := s.chunks.Put(ctx, name, parts...)
	if errors.Is(err, chunkdir.ErrExists) {
		if err := s.chunks.Remove(name); err != nil {
			return err
		}
		err = s.chunks.Put(ctx, name, parts...)
	}
	return err
}
