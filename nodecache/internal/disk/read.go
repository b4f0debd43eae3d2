package disk

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"sync"
	"syscall"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/chunkdir"
	"github.com/ingot-ml/ingot/chunker/codec"
	"github.com/ingot-ml/ingot/nodecache/internal/tier"
)

// pieceLen is how many bytes of a plain chunk are read at a time. A quarter of the
// longest chunk is read a quarter faster than the whole, from the disk and from the
// page cache.
const pieceLen = 512 << 10

// errBytes reports that the bytes of a chunk's file are not right.
var errBytes = errors.New("its bytes are not right")

// encodedBuffers are for encoded chunks on their way to where they are decoded.
var encodedBuffers = sync.Pool{New: func() any {
	b := make([]byte, codec.MaxEncoded(chunker.MaxSize))
	return &b
}}

// Read implements tier.Store. The bytes of a plain chunk go from the disk straight
// to dst.
func (s *Store) Read(ctx context.Context, ref chunker.Ref, dst []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.RLock()
	e, ok := s.index[ref.Digest]
	s.mu.RUnlock()
	switch {
	case !ok:
		return nil, fmt.Errorf("read chunk %s: %w", ref.Digest, tier.ErrAbsent)
	case e.size != ref.Size: // whoever asks may be wrong, so the chunk stays
		return nil, fmt.Errorf("read chunk %s: it has %d bytes, not %d: %w", ref.Digest, e.size, ref.Size, tier.ErrAbsent)
	case cap(dst) < int(ref.Size):
		return nil, fmt.Errorf("read chunk %s: room for %d bytes, want %d: %w", ref.Digest, cap(dst), ref.Size, io.ErrShortBuffer)
	}
	plain, err := s.bytes(ref.Digest, e, dst[:ref.Size:ref.Size])
	switch {
	case err == nil:
		if e.suspect {
			s.trust(ref.Digest, e)
		}
		return plain, nil
	case errors.Is(err, errBytes), errors.Is(err, syscall.EIO), errors.Is(err, chunkdir.ErrNotFound):
		return nil, fmt.Errorf("read chunk %s: %w", ref.Digest, s.drop(ref.Digest, e, err))
	}
	return nil, fmt.Errorf("read chunk %s: %w", ref.Digest, err)
}

// bytes reads and checks the file of a chunk.
func (s *Store) bytes(d chunker.Digest, e entry, dst []byte) ([]byte, error) {
	f, err := s.chunks.Open(chunkName(d, e.form, e.size))
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it is only read
	if e.form == Encoded {
		err = s.decode(f, e, dst)
	} else {
		err = s.plain(f, dst)
	}
	if err == nil && e.suspect && chunker.Sum(dst) != d {
		err = fmt.Errorf("they have another name: %w", errBytes)
	}
	return dst, err
}

// plain reads and checks a chunk in the plain form.
func (s *Store) plain(f *os.File, dst []byte) error {
	var end [tailLen]byte
	var sum uint32
	if s.past(f, dst, &end) {
		sum = crc32.Checksum(dst, castagnoli)
	} else {
		var err error
		if sum, err = s.pieces(f, dst); err == nil {
			err = s.read(f, int64(len(dst)), end[:])
		}
		if err != nil {
			return err
		}
	}
	if end != tail(sum) {
		return fmt.Errorf("the checksum is another: %w", errBytes)
	}
	return nil
}

// pieces reads the bytes of a chunk in pieces: the checksum of one is computed
// while the processor's cache has it and the disk is ahead.
func (s *Store) pieces(f *os.File, dst []byte) (sum uint32, err error) {
	for at := 0; at < len(dst); at += pieceLen {
		piece := dst[at:min(at+pieceLen, len(dst))]
		if err := s.read(f, int64(at), piece); err != nil {
			return 0, err
		}
		sum = crc32.Update(sum, castagnoli, piece)
	}
	return sum, nil
}

// decode reads a chunk in the encoded form.
func (s *Store) decode(f *os.File, e entry, dst []byte) error {
	buf := encodedBuffers.Get().(*[]byte)
	defer encodedBuffers.Put(buf)
	enc := (*buf)[:e.file]
	if err := s.read(f, 0, enc); err != nil {
		return err
	}
	size, err := codec.PlainLen(enc)
	if err == nil && size != len(dst) {
		err = fmt.Errorf("it has %d plain bytes: %w", size, codec.ErrCorrupt)
	}
	if err == nil {
		_, err = codec.Decode(dst[:0], enc)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", err, errBytes)
	}
	return nil
}

// readAt reads all of b. A file that is too short is damaged.
func readAt(f *os.File, at int64, b []byte) error {
	_, err := f.ReadAt(b, at)
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("the file is too short: %w", errBytes)
	}
	return err
}

// trust notes that a chunk which might have been anything is what it should be.
func (s *Store) trust(d chunker.Digest, e entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now, ok := s.index[d]; ok && now.seq == e.seq && now.suspect {
		now.suspect = false
		s.index[d] = now
		s.suspect--
	}
}

// drop forgets a chunk that was found damaged, and returns what to say of it. Of
// several who find it one counts it; who comes later, or after a Drop, finds it
// absent.
func (s *Store) drop(d chunker.Digest, e entry, why error) error {
	s.mu.Lock()
	now, ok := s.index[d]
	mine := ok && now.seq == e.seq
	if mine {
		s.forget(d, now)
		s.damaged++
	}
	s.mu.Unlock()
	if !mine {
		return fmt.Errorf("%w: %w", tier.ErrAbsent, why)
	}
	s.remove(d, e)
	s.config.Logger.Warn("chunk is damaged and was dropped", "chunk", d.String(), "err", why)
	if s.config.Damaged != nil {
		s.config.Damaged(d)
	}
	return fmt.Errorf("%w: %w", tier.ErrDamaged, why)
}
