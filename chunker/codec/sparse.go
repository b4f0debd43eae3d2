package codec

import (
	"bytes"

	"github.com/ingot-ml/ingot/chunker/codec/internal/planes"
)

// A plane in ModeSparse is a mask, one bit for every byte of the plane, and the
// bytes that are not zero. A mask that has many zeros is written in the same way,
// as a mask of its bytes and those that are not zero. So positions cost what their
// number is worth, whether every second byte changed or one of a million.
const maxLevels = 4

// A mask is worth a mask of its own when it has at least that many bytes, and
// that share of them is zero.
const (
	leastMask  = 256
	leastZeros = 1.0 / 4
)

// denseGain is what a mask must save of which half to three quarters is set: more than
// it can. Coded, it would be shorter by a few hundredths of the plane, and take a tenth
// of the time of decoding it.
const denseGain = 1

// appendSparse appends p in ModeSparse: the number of masks, the last of them, and
// what lies under each. It gives up, and leaves dst as it was, when that is not
// shorter than limit.
func (e *encoder) appendSparse(dst, p []byte, limit int) (_ []byte, tables int, ok bool) {
	start := len(dst)
	var packed [maxLevels][]byte
	mask, levels := e.pack(p, &packed)
	gain := uint8(leastGain)
	if n := len(packed[0]); len(p)/2 <= n && n < len(p)/4*3 {
		gain = denseGain
	}
	dst = append(dst, byte(levels))
	dst, tables, ok = e.appendHuff0(dst, mask, gain, limit-1)
	for level := levels - 1; level >= 0 && ok; level-- {
		var n int
		dst, n, ok = e.appendHuff0(dst, packed[level], leastGain, limit-(len(dst)-start))
		tables += n
	}
	if !ok {
		return dst[:start], 0, false
	}
	return dst, tables, true
}

// pack makes the masks of p: it returns the last one and how many there are, and
// leaves in packed what lies under each.
func (e *encoder) pack(p []byte, packed *[maxLevels][]byte) (mask []byte, levels int) {
	e.packed = grow(e.packed, 3*len(p)/2+maxLevels*2*planes.Slack)
	space := e.packed
	for mask = p; levels < maxLevels && (levels == 0 || isSparse(mask)); levels++ {
		var next, rest []byte
		next, space = space[:planes.MaskLen(len(mask))], space[planes.MaskLen(len(mask)):]
		rest, space = space[:len(mask)+planes.Slack], space[len(mask)+planes.Slack:]
		packed[levels] = rest[:planes.Pack(next, rest, mask)]
		mask = next
	}
	return mask, levels
}

func isSparse(mask []byte) bool {
	return len(mask) >= leastMask && float64(bytes.Count(mask, []byte{0})) >= leastZeros*float64(len(mask))
}

// sparse reads a plane in ModeSparse.
type sparse struct {
	planes.Packed           // what is left of it
	bufs          [3][]byte // two for masks, one for what lies under them
}

// openSparse reads the masks of a plane of n bytes and what lies under them, so
// that only the plane itself is left to make. Whatever the body says, the number
// of bytes under a mask is that of its bits, of which there are no more than n.
func (s *source) openSparse(n int) error {
	levels := int(s.body[0])
	if s.body = s.body[1:]; levels < 1 || levels > maxLevels {
		return corrupt("%d masks", levels)
	}
	s.sparse.Mask = s.buffer(levels%2, maskLen(n, levels))
	if err := s.stream(s.sparse.Mask); err != nil {
		return err
	}
	for level := levels - 1; level >= 0; level-- {
		size := maskLen(n, level)
		if err := s.under(size); err != nil {
			return err
		}
		if level > 0 {
			mask := s.buffer(level%2, size)
			s.sparse.Unpack(mask)
			s.sparse.Mask = mask
		}
	}
	return nil
}

// maskLen returns the length of the mask of n bytes at a level; at level 0 there is
// none, but they themselves.
func maskLen(n, level int) int {
	for range level {
		n = planes.MaskLen(n)
	}
	return n
}

// under reads what lies under the mask that was read, which is of n bytes.
func (s *source) under(n int) error {
	mask := s.sparse.Mask
	if n%8 != 0 && mask[len(mask)-1]>>(n%8) != 0 {
		return corrupt("mask of more than %d bytes", n)
	}
	count := planes.Count(mask)
	s.sparse.Bytes = s.buffer(2, count+underSlack(n))
	return s.stream(s.sparse.Bytes[:count])
}

// underSlack is what more there is in a buffer for what lies under the mask of n
// bytes, so that nothing is counted again when they are made block by block.
func underSlack(n int) int { return 8*planes.MaskLen(min(n, blockLen)) + planes.Slack }

// zeros has a plane of n zeros read as if it were in ModeSparse.
func (s *source) zeros(n int) {
	s.sparse.Mask = s.buffer(0, planes.MaskLen(n))
	clear(s.sparse.Mask)
	s.sparse.Bytes = s.buffer(2, underSlack(n))
}

// buffer returns one of the buffers with n bytes.
func (s *source) buffer(i, n int) []byte {
	s.sparse.bufs[i] = grow(s.sparse.bufs[i], n)
	return s.sparse.bufs[i][:n]
}

// stream fills buf from a row of blocks with tables of their own.
func (s *source) stream(buf []byte) error {
	s.ready = false
	for len(buf) > 0 {
		run := buf[:min(blockLen, len(buf))]
		buf = buf[len(run):]
		block, err := s.nextBlock(run)
		if err != nil {
			return err
		}
		if &block[0] != &run[0] {
			copy(run, block)
		}
	}
	return nil
}

// grow returns b with room for n bytes, whatever they are.
func grow(b []byte, n int) []byte {
	if cap(b) < n {
		b = make([]byte, n)
	}
	return b[:cap(b)]
}
