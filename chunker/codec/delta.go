package codec

import (
	"fmt"
	"slices"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/codec/internal/planes"
)

// AppendDelta appends plain, whose numbers are of type t, encoded as a delta of
// base, which is named name. When that takes more than limit bytes, or clearly
// would, ok is false and dst is returned as it was. A delta is never longer than
// the plain bytes, whatever the limit.
//
// A base that is shorter than plain counts as followed by zeros, and a longer one
// as cut. Neither plain nor base may overlap the spare capacity of dst.
//
// A chunk has 1 to chunker.MaxSize bytes, and a base has a name: AppendDelta panics
// on others, as Append does.
func AppendDelta(dst, plain, base []byte, name chunker.Digest, t chunker.DType, limit int) (out []byte, ok bool) {
	checkPlain(plain)
	if name.IsZero() {
		panic("codec: a base without a name")
	}
	e := encoders.Get().(*encoder)
	defer encoders.Put(e)
	e.base.set(base, len(plain))
	defer e.base.release()
	limit = min(limit, len(plain))
	x := e.estimate(plain, t)
	if x.hopeless(limit) {
		return dst, false
	}
	start := len(dst)
	if out, ok = e.encodeDelta(dst, plain, name, &x, limit); !ok {
		return dst, false
	}
	le.PutUint32(out[start+atCRC:], checksum(out[start:]))
	return out, true
}

// encodeDelta appends everything but the checksum, unless that is more than limit.
func (e *encoder) encodeDelta(dst, plain []byte, name chunker.Digest, x *estimate, limit int) (_ []byte, ok bool) {
	defer func() { e.planes, e.part = planes.Set{}, planes.Set{} }()
	head, n := len(dst), x.layout.planes()
	table := head + BaseHeaderLen
	dst = slices.Grow(dst, BaseHeaderLen+n*entryLen)[:table+n*entryLen]
	putHeader(dst[head:], x.layout, len(plain))
	dst[head+atFlags] = flagDelta
	copy(dst[head+headerLen:], name[:])
	e.splitDelta(plain, x.layout)
	for i := range n {
		room := limit - (len(dst) - head)
		start := len(dst)
		var mode Mode
		var tables int
		if dst, mode, tables, ok = e.appendDistances(dst, e.planes[i], x.guesses[i].mode, room); !ok {
			return nil, false
		}
		putEntry(dst[table+i*entryLen:], mode, tables, len(dst)-start)
	}
	return dst, true
}

// splitDelta fills e.planes with those of the distances of plain from the base.
func (e *encoder) splitDelta(plain []byte, l Layout) {
	width := l.planes()
	n := len(plain) / width
	e.buf = grow(e.buf, len(plain))
	for i := range width {
		e.planes[i] = e.buf[i*n : (i+1)*n]
	}
	for from := 0; from < len(plain); from += step {
		to := min(from+step, len(plain))
		base := e.base.at(from, to-from)
		if width == 1 {
			planes.Difference(e.planes[0][from:to], plain[from:to], base, width)
			continue
		}
		z := e.z[:to-from]
		planes.Difference(z, plain[from:to], base, width)
		e.part = e.planes.Slice(width, from/width, to/width)
		layouts[l].split(&e.part, z)
	}
}

// appendDistances appends the body of plane p of a delta in mode m, or in one that
// comes after it and is true, or not at all where there is no room for it.
func (e *encoder) appendDistances(dst, p []byte, m Mode, room int) (out []byte, _ Mode, tables int, ok bool) {
	limit := min(len(p), room+1) // what is coded is shorter
	switch m {
	case ModeConst:
		if room > 0 && isConst(p) {
			return append(dst, p[0]), ModeConst, 0, true
		}
		fallthrough
	case ModeSparse:
		if out, tables, ok = e.appendSparse(dst, p, limit); ok {
			return out, ModeSparse, tables, true
		}
		fallthrough
	case ModeHuff0:
		if out, tables, ok = e.appendHuff0(dst, p, leastGain, limit); ok {
			return out, ModeHuff0, tables, true
		}
	}
	if len(p) > room {
		return dst, ModeRaw, 0, false
	}
	return append(dst, p...), ModeRaw, 0, true
}

// DecodeDelta returns the plain bytes of a delta of base, whose name is name. It
// writes them as Decode does; dst must not overlap enc. It may be the very memory
// of base, starting where base starts: base then becomes the result, and is lost
// when an error is found.
//
// Base is believed to be what name says; a wrong one gives wrong bytes, which the
// digest of the result tells. A chunk that is whole, or a delta of another chunk,
// fails with ErrBase, which says what is needed; other errors are those of Decode.
func DecodeDelta(dst, enc, base []byte, name chunker.Digest) ([]byte, error) {
	return decodeDelta(dst, enc, base, name, false)
}

// UndoDelta returns the base of a delta of name from the plain bytes of the delta:
// as many bytes as plain has, for a base that is longer is no part of a delta, and
// one that is shorter is followed by zeros. Otherwise it is as DecodeDelta, with
// plain in the place of base.
func UndoDelta(dst, enc, plain []byte, name chunker.Digest) ([]byte, error) {
	return decodeDelta(dst, enc, plain, name, true)
}

func decodeDelta(dst, enc, from []byte, name chunker.Digest, undo bool) ([]byte, error) {
	f, err := open(enc)
	if err != nil {
		return nil, fmt.Errorf("decode delta: %w", err)
	}
	switch {
	case !f.delta:
		return nil, fmt.Errorf("decode delta: the chunk is whole, not of base %s: %w", name, ErrBase)
	case f.base != name:
		return nil, fmt.Errorf("decode delta: the chunk needs base %s, not %s: %w", f.base, name, ErrBase)
	}
	if cap(dst) < f.rawLen {
		dst = make([]byte, f.rawLen)
	}
	dst = dst[:f.rawLen]
	d := decoders.Get().(*decoder)
	defer decoders.Put(d)
	d.base.set(from, f.rawLen)
	d.undo = undo
	if err := d.decode(dst, &f); err != nil {
		return nil, fmt.Errorf("decode delta: %w", err)
	}
	return dst, nil
}

// apply merges the planes of a block of distances and writes what they and the
// base make to dst, the run of the result from offset on. It reads what it needs of
// the base before it writes there, for dst may be the base.
func (d *decoder) apply(dst []byte, offset int, l Layout) {
	width := l.planes()
	for at := 0; at < len(dst); at += step {
		to := min(at+step, len(dst))
		z := d.planes[0]
		if width == 1 {
			z = z[at:to]
		} else {
			z = d.z[:to-at]
			d.part = d.planes.Slice(width, at/width, to/width)
			layouts[l].merge(z, &d.part)
		}
		change := planes.Apply
		if d.undo {
			change = planes.Retract
		}
		change(dst[at:to], z, d.base.at(offset+at, to-at), width)
	}
}

// patch makes all of dst at once, where the planes of a delta are sparse and such
// that planes.Patch takes them. It reports whether they are.
func (d *decoder) patch(dst []byte, width int) bool {
	if d.undo || width > 2 {
		return false
	}
	for i := range width {
		s := &d.sources[i]
		if s.mode != ModeSparse && (s.mode != ModeConst || s.body[0] != 0) {
			return false
		}
	}
	for i := range width {
		if s := &d.sources[i]; s.mode == ModeConst {
			s.zeros(len(dst) / width)
		}
	}
	lo, hi := &d.sources[0].sparse.Packed, &d.sources[1].sparse.Packed
	if width == 1 {
		hi = nil
	}
	for from := 0; from < len(dst); from += step {
		to := min(from+step, len(dst))
		planes.Patch(dst[from:to], d.base.at(from, to-from), lo, hi)
	}
	return true
}

// step is how much of a difference is made at a time: it stays in the first cache.
const step = 16 << 10

// base is the plain bytes of a base, as long as the chunk to whoever reads them.
type base struct {
	bytes []byte
	end   [step]byte // where the zeros begin
}

func (b *base) set(bytes []byte, n int) { b.bytes = bytes[:min(n, len(bytes))] }

func (b *base) release() { b.bytes = nil }

// at returns n bytes from offset on, at most step, until the next call.
func (b *base) at(offset, n int) []byte {
	if offset+n <= len(b.bytes) {
		return b.bytes[offset : offset+n]
	}
	end := b.end[:n]
	clear(end[copy(end, b.bytes[min(offset, len(b.bytes)):]):])
	return end
}
