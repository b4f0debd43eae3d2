package xet

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// Limits of xorbs, which clients keep.
const (
	MaxChunk  = 128 << 10 // plain bytes
	MaxChunks = 8192      // of a xorb
	// MaxXorb bounds a xorb as it is sent: 64 MiB of chunks, their headers, and what
	// some clients put behind them.
	MaxXorb = 65 << 20
)

// ErrXorb reports bytes that are no xorb.
var ErrXorb = errors.New("malformed xorb")

// chunkHeader is the length of what stands before each chunk: a version, which is
// 0, the stored length in 3 bytes, the scheme, the plain length in 3 bytes.
const chunkHeader = 8

// maxStored bounds the stored bytes of a chunk.
const maxStored = 2 * MaxChunk

// footer is what a list of chunks begins with that some clients put behind them. It
// repeats what they say, and is not read.
const footer = "XETBLOB"

// Reader reads the chunks of a xorb. It is not safe for concurrent use.
type Reader struct {
	from   io.Reader
	chunks []Node
	stored [maxStored]byte
	groups [MaxChunk]byte
	plain  [MaxChunk]byte
}

// NewReader returns a Reader of the xorb that r is.
func NewReader(r io.Reader) *Reader { return &Reader{from: r} }

// Next returns the plain bytes of the next chunk, which are good until the call
// after this; io.EOF after the last.
func (r *Reader) Next() ([]byte, error) {
	var header [chunkHeader]byte
	switch _, err := io.ReadFull(r.from, header[:]); {
	case errors.Is(err, io.EOF):
		return nil, io.EOF
	case errors.Is(err, io.ErrUnexpectedEOF):
		return nil, fmt.Errorf("ends in the header of chunk %d: %w", len(r.chunks), ErrXorb)
	case err != nil:
		return nil, err
	}
	if bytes.HasPrefix(header[:], []byte(footer)) {
		if _, err := io.Copy(io.Discard, r.from); err != nil {
			return nil, err
		}
		return nil, io.EOF
	}
	plain, err := r.chunk(header)
	if err != nil {
		return nil, fmt.Errorf("chunk %d: %w", len(r.chunks), err)
	}
	r.chunks = append(r.chunks, Node{ChunkHash(plain), uint64(len(plain))})
	return plain, nil
}

func (r *Reader) chunk(header [chunkHeader]byte) ([]byte, error) {
	stored, size := length(header[1:]), length(header[5:])
	switch {
	case header[0] != 0:
		return nil, fmt.Errorf("version %d, want 0: %w", header[0], ErrXorb)
	case len(r.chunks) == MaxChunks:
		return nil, fmt.Errorf("more than %d: %w", MaxChunks, ErrXorb)
	case size < 1 || size > MaxChunk:
		return nil, fmt.Errorf("%d bytes, want 1 to %d: %w", size, MaxChunk, ErrXorb)
	case stored < 1 || stored > maxStored:
		return nil, fmt.Errorf("%d stored bytes, want 1 to %d: %w", stored, maxStored, ErrXorb)
	}
	_, err := io.ReadFull(r.from, r.stored[:stored])
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, fmt.Errorf("ends too early: %w", ErrXorb)
	}
	if err != nil {
		return nil, err
	}
	return r.plain[:size], decode(r.plain[:size], r.stored[:stored], header[4], r.groups[:size])
}

// length reads a number of 3 bytes.
func length(b []byte) int { return int(b[0]) | int(b[1])<<8 | int(b[2])<<16 }

// Hash returns the name of a xorb of the chunks that were read. It ends the reading.
func (r *Reader) Hash() Hash { return XorbHash(r.chunks) }
