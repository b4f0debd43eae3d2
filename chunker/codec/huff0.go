package codec

import (
	"errors"

	"github.com/klauspost/compress/huff0"
)

// A plane in ModeHuff0 is a row of blocks. Each has a word of its own: the kind in
// the two highest bits, the length of what follows in the others. 128 KiB is as
// long as one table stays good, and stays in the cache between decode and merge.
const (
	blockLog = 17
	blockLen = 1 << blockLog

	wordLen    = 4
	kindShift  = 30
	lengthMask = 1<<kindShift - 1
)

// The kinds of blocks.
const (
	blockRaw   = 0 // the bytes
	blockRun   = 1 // one byte, repeated
	blockTable = 2 // a table, then the streams
	blockReuse = 3 // the streams, for the last table sent
)

// leastGain is the log2 of the share that a block must save to be worth the time
// that decoding it takes: 1/64.
const leastGain = 6

// appendHuff0 appends p as blocks, and returns how many of them have a table. It
// gives up, and leaves dst as it was, when the blocks are not shorter than limit. A
// block that does not save a share of which gain is the log2 is left raw.
func (e *encoder) appendHuff0(dst, p []byte, gain uint8, limit int) (_ []byte, tables int, ok bool) {
	start := len(dst)
	e.huff.WantLogLess = gain
	e.huff.Reuse = huff0.ReusePolicyNone // a table of another plane is not known here
	for ; len(p) > 0; e.huff.Reuse = huff0.ReusePolicyAllow {
		block := p[:min(blockLen, len(p))]
		p = p[len(block):]
		out, reused, err := huff0.Compress4X(block, &e.huff)
		kind := uint32(blockTable)
		switch {
		case errors.Is(err, huff0.ErrUseRLE):
			kind, out = blockRun, block[:1]
		case err != nil:
			kind, out = blockRaw, block
		case reused:
			kind = blockReuse
		default:
			tables++
		}
		if len(dst)-start+wordLen+len(out) >= limit {
			return dst[:start], 0, false
		}
		dst = le.AppendUint32(dst, kind<<kindShift|uint32(len(out)))
		dst = append(dst, out...)
	}
	return dst, tables, true
}

// nextBlock decodes one block into buf, or returns a view of the input. The
// decoder is bounded by buf.
func (s *source) nextBlock(buf []byte) ([]byte, error) {
	if len(s.body) < wordLen {
		return nil, corrupt("block word of %d bytes", len(s.body))
	}
	word := le.Uint32(s.body)
	kind, size := word>>kindShift, int(word&lengthMask)
	if size > len(s.body)-wordLen || size > len(buf) {
		return nil, corrupt("block of %d bytes", size)
	}
	in := s.body[wordLen : wordLen+size]
	s.body = s.body[wordLen+size:]
	switch kind {
	case blockRaw:
		if size != len(buf) {
			return nil, corrupt("raw block of %d bytes for %d", size, len(buf))
		}
		return in, nil
	case blockRun:
		if size != 1 {
			return nil, corrupt("run block of %d bytes", size)
		}
		fill(buf, in[0])
		return buf, nil
	case blockTable:
		return buf, s.decodeTable(buf, in)
	default:
		return buf, s.decodeStreams(buf, in)
	}
}

func (s *source) decodeTable(buf, in []byte) error {
	var err error
	if s.table, in, err = huff0.ReadTable(in, s.table); err != nil {
		return corrupt("table: %v", err)
	}
	s.read++
	s.ready = true
	return s.decodeStreams(buf, in)
}

func (s *source) decodeStreams(buf, in []byte) error {
	if !s.ready { // a table of an earlier row or chunk may be left in the work space
		return corrupt("streams before the first table")
	}
	out, err := s.table.Decoder().Decompress4X(buf[:0:len(buf)], in)
	if err != nil {
		return corrupt("streams: %v", err)
	}
	if len(out) != len(buf) {
		return corrupt("streams of %d bytes for %d", len(out), len(buf))
	}
	return nil
}
