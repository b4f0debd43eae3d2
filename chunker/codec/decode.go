package codec

import (
	"fmt"
	"sync"

	"github.com/klauspost/compress/huff0"
	"github.com/klauspost/compress/zstd"

	"github.com/ingot-ml/ingot/chunker/codec/internal/planes"
)

// Decode returns the plain bytes of an encoded chunk. It writes them to dst[:0]
// if the capacity is enough and to a new slice if not; dst must not overlap enc.
// After an error the capacity of dst holds anything.
//
// The checksum and everything else that is read is verified first, and the errors
// are ErrCorrupt and ErrUnsupported, and ErrBase for a delta. The digest of the result is for the caller
// to verify: the checksum is no proof against intent.
func Decode(dst, enc []byte) ([]byte, error) {
	f, err := open(enc)
	if err != nil {
		return nil, fmt.Errorf("decode chunk: %w", err)
	}
	if f.delta {
		return nil, fmt.Errorf("decode chunk: needs chunk %s: %w", f.base, ErrBase)
	}
	if cap(dst) < f.rawLen {
		dst = make([]byte, f.rawLen)
	}
	dst = dst[:f.rawLen]
	d := decoders.Get().(*decoder)
	defer decoders.Put(d)
	if err := d.decode(dst, &f); err != nil {
		return nil, fmt.Errorf("decode chunk: %w", err)
	}
	return dst, nil
}

var decoders = sync.Pool{New: func() any { return new(decoder) }}

// decoder is the work space of one Decode or DecodeDelta.
type decoder struct {
	planes  planes.Set // a block of every plane, ready to be merged
	sources [maxPlanes]source
	zstd    *zstd.Decoder

	base base       // of a delta
	z    [step]byte // distances from it
	part planes.Set // where those come from
	undo bool
}

// source reads one plane block by block.
type source struct {
	entry                 // body is what is left of it
	read   int            // Huffman tables read
	table  *huff0.Scratch // the last of them
	ready  bool           // the table is of the row of blocks that is being read
	sparse sparse
	buf    []byte
}

// decode reads a block of every plane and merges them while they are in the
// cache. A plane that is alone is decoded in place.
func (d *decoder) decode(dst []byte, f *frame) error {
	defer d.release()
	width := f.layout.planes()
	n := len(dst) / width
	for i := range width {
		d.sources[i].entry = f.planes[i]
	}
	if width == 1 && !f.delta {
		return inPlane(0, d.alone(dst))
	}
	for i := range width {
		if err := d.prepare(i, n); err != nil {
			return inPlane(i, err)
		}
	}
	if f.delta && d.patch(dst, width) {
		return d.finish(width)
	}
	pace := d.pace(width)
	for from := 0; from < n; from += pace {
		to := min(from+pace, n)
		for i := range width {
			s := &d.sources[i]
			block, err := s.next(to - from)
			if err != nil {
				return inPlane(i, err)
			}
			d.planes[i] = block
		}
		if f.delta {
			d.apply(dst[from*width:to*width], from*width, f.layout)
			continue
		}
		layouts[f.layout].merge(dst[from*width:to*width], &d.planes)
	}
	return d.finish(width)
}

func (d *decoder) finish(width int) error {
	for i := range width {
		if err := d.sources[i].finish(); err != nil {
			return inPlane(i, err)
		}
	}
	return nil
}

// pace returns how many elements are decoded at a time: a block where a plane has
// blocks, and otherwise what stays in the first cache.
func (d *decoder) pace(width int) int {
	for i := range width {
		if d.sources[i].mode == ModeHuff0 {
			return blockLen
		}
	}
	return step / width
}

// inPlane names the plane in err, if there is one.
func inPlane(i int, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("plane %d: %w", i, err)
}

// release forgets every view of input and result, and keeps the buffers.
func (d *decoder) release() {
	d.planes, d.part = planes.Set{}, planes.Set{}
	d.base.release()
	for i := range d.sources {
		s := &d.sources[i]
		s.entry, s.read, s.ready = entry{}, 0, false
	}
}

// alone decodes the only plane of a chunk into dst.
func (d *decoder) alone(dst []byte) error {
	s := &d.sources[0]
	if s.mode == ModeZstd {
		return d.decodeZstd(dst, s.body)
	}
	if s.mode == ModeSparse {
		if err := s.openSparse(len(dst)); err != nil {
			return err
		}
	}
	for len(dst) > 0 {
		run := dst[:min(blockLen, len(dst))]
		dst = dst[len(run):]
		block, err := s.into(run)
		if err != nil {
			return err
		}
		if &block[0] != &run[0] {
			copy(run, block)
		}
	}
	return s.finish()
}

// prepare makes plane i, of n bytes, ready to be read. A zstd frame has no blocks
// to stop at, so it is decoded at once and then read as a raw plane.
func (d *decoder) prepare(i, n int) error {
	s := &d.sources[i]
	switch s.mode {
	case ModeZstd:
		s.buf = grow(s.buf, n)
		if err := d.decodeZstd(s.buf[:n], s.body); err != nil {
			return err
		}
		s.entry = entry{mode: ModeRaw, body: s.buf[:n]}
	case ModeConst, ModeHuff0:
		s.buf = grow(s.buf, min(n, blockLen))
	case ModeSparse:
		s.buf = grow(s.buf, min(n, blockLen))
		return s.openSparse(n)
	}
	return nil
}

// next returns the next n bytes of the plane: a view of the input, or of the
// buffer of s.
func (s *source) next(n int) ([]byte, error) {
	if s.mode == ModeRaw {
		return s.view(n), nil
	}
	return s.into(s.buf[:n])
}

// into returns the next len(buf) bytes of the plane: a view of the input, or buf.
func (s *source) into(buf []byte) ([]byte, error) {
	switch s.mode {
	case ModeRaw:
		return s.view(len(buf)), nil
	case ModeConst:
		fill(buf, s.body[0])
		return buf, nil
	case ModeSparse:
		s.sparse.Unpack(buf)
		return buf, nil
	default:
		return s.nextBlock(buf)
	}
}

// view returns the next n bytes of a raw plane, whose length parse has checked.
func (s *source) view(n int) []byte {
	block := s.body[:n]
	s.body = s.body[n:]
	return block
}

// finish checks that the blocks of the plane were all there was.
func (s *source) finish() error {
	if s.mode != ModeHuff0 && s.mode != ModeSparse {
		return nil
	}
	if len(s.body) > 0 {
		return corrupt("%d bytes after the last block", len(s.body))
	}
	if s.read != s.tables {
		return corrupt("%d tables, want %d", s.read, s.tables)
	}
	return nil
}

// fill sets every byte of b to v, by copying what it has set already.
func fill(b []byte, v byte) {
	b[0] = v
	for n := 1; n < len(b); n *= 2 {
		copy(b[n:], b[:n])
	}
}
