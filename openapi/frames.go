package openapi

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/ingot-ml/ingot/chunker"
)

// FrameHeader is the length in bytes of what stands before each chunk in a batch:
// its digest, then the length of its encoded form as a little-endian u32.
const FrameHeader = chunker.DigestSize + 4

// ErrFrame reports a batch that is cut short or announces more than allowed.
var ErrFrame = errors.New("malformed chunk batch")

// AppendFrame appends a chunk's frame.
func AppendFrame(dst []byte, d chunker.Digest, enc []byte) []byte {
	return append(AppendFrameHeader(dst, d, len(enc)), enc...)
}

// AppendFrameHeader appends what stands before an encoded chunk of n bytes.
func AppendFrameHeader(dst []byte, d chunker.Digest, n int) []byte {
	dst = append(dst, d[:]...)
	return binary.LittleEndian.AppendUint32(dst, uint32(n))
}

// FrameReader reads a batch frame by frame.
type FrameReader struct {
	r      io.Reader
	most   int // encoded bytes of one chunk
	header [FrameHeader]byte
}

// NewFrameReader returns a reader of frames whose chunks have at most most
// encoded bytes each.
func NewFrameReader(r io.Reader, most int) *FrameReader { return &FrameReader{r: r, most: most} }

// Next reads the next frame and appends its chunk to buf[:0], growing it if it
// must. At the end it returns io.EOF; a batch that ends inside a frame, or a
// frame beyond the limit, is ErrFrame; other errors are the reader's.
func (f *FrameReader) Next(buf []byte) (chunker.Digest, []byte, error) {
	var d chunker.Digest
	if _, err := io.ReadFull(f.r, f.header[:]); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			err = fmt.Errorf("header is cut short: %w", ErrFrame)
		}
		return d, nil, err
	}
	copy(d[:], f.header[:])
	n := binary.LittleEndian.Uint32(f.header[chunker.DigestSize:])
	if n < 1 || uint64(n) > uint64(f.most) {
		return d, nil, fmt.Errorf("chunk %s of %d encoded bytes, want 1 to %d: %w", d.Short(), n, f.most, ErrFrame)
	}
	if cap(buf) < int(n) {
		buf = make([]byte, n)
	}
	buf = buf[:n]
	if _, err := io.ReadFull(f.r, buf); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			err = fmt.Errorf("chunk %s is cut short: %w", d.Short(), ErrFrame)
		}
		return d, nil, err
	}
	return d, buf, nil
}
