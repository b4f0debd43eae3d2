package codec

import (
	"bytes"
	"fmt"
	"slices"
	"sync"

	"github.com/klauspost/compress/huff0"
	"github.com/klauspost/compress/zstd"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/codec/internal/planes"
)

// Append appends the encoded form of plain, whose numbers are of type t, and
// returns the longer slice. It never fails, whatever the bytes are; it allocates
// only when dst has less than MaxEncoded(len(plain)) bytes to spare.
//
// A chunk has 1 to chunker.MaxSize bytes. Another length is a fault of the caller
// that would make a chunk nobody can read, so Append panics.
//
// Plain must not overlap the spare capacity of dst.
func Append(dst, plain []byte, t chunker.DType) []byte {
	checkPlain(plain)
	e := encoders.Get().(*encoder)
	defer encoders.Put(e)
	start := len(dst)
	dst = e.encode(slices.Grow(dst, MaxEncoded(len(plain))), plain, e.layout(plain, t))
	enc := dst[start:]
	le.PutUint32(enc[atCRC:], checksum(enc))
	return dst
}

func checkPlain(plain []byte) {
	if len(plain) < 1 || len(plain) > chunker.MaxSize {
		panic(fmt.Sprintf("codec: a chunk of %d bytes, not 1 to %d", len(plain), chunker.MaxSize))
	}
}

var encoders = sync.Pool{New: func() any { return new(encoder) }}

// encoder is the work space of one Append or AppendDelta.
type encoder struct {
	planes planes.Set
	buf    []byte // the planes that are not split straight into the result
	probe  probe
	huff   huff0.Scratch
	zstd   *zstd.Encoder
	frame  []byte // what zstd made of the last plane it was given

	base   base       // of a delta
	z      [step]byte // distances from it
	part   planes.Set // where those go
	packed []byte     // masks and what lies under them
}

// layout returns the layout for plain, whose numbers are of type t.
func (e *encoder) layout(plain []byte, t chunker.DType) Layout {
	if t == chunker.Untyped {
		return e.probe.likeliest(plain)
	}
	return chooseLayout(t, len(plain))
}

// encode appends everything but the checksum. Dst has the room.
func (e *encoder) encode(dst, plain []byte, l Layout) []byte {
	n := len(plain) / l.planes()
	guesses := e.probe.guess(plain, l)
	head := len(dst)
	dst = dst[:head+headerLen+l.planes()*entryLen]
	putHeader(dst[head:], l, len(plain))
	placed := e.split(dst, plain, l, guesses)
	for i := range l.planes() {
		start := len(dst)
		mode, tables := ModeRaw, 0
		if i < placed {
			dst = dst[:start+n] // split put it there
		} else {
			dst, mode, tables = e.appendPlane(dst, e.planes[i], guesses[i])
		}
		putEntry(dst[head+headerLen+i*entryLen:], mode, tables, len(dst)-start)
	}
	e.planes = planes.Set{} // keeps no view of plain or dst
	return dst
}

// split fills e.planes. Leading planes that stay raw are split straight to their
// place behind dst; split returns how many.
func (e *encoder) split(dst, plain []byte, l Layout, guesses []guess) (placed int) {
	if l.planes() == 1 {
		e.planes[0] = plain
		return 0
	}
	n := len(plain) / l.planes()
	e.buf = grow(e.buf, len(plain))
	ahead, buf := dst[len(dst):cap(dst)], e.buf[:len(plain)]
	for i := range guesses {
		if placed == i && guesses[i].mode == ModeRaw {
			e.planes[i], ahead = ahead[:n], ahead[n:]
			placed++
			continue
		}
		e.planes[i], buf = buf[:n], buf[n:]
	}
	layouts[l].split(&e.planes, plain)
	return placed
}

// appendPlane appends the body of plane p in the mode that was guessed, or in the
// nearest one that is true and no longer than the plane.
func (e *encoder) appendPlane(dst, p []byte, g guess) (_ []byte, m Mode, tables int) {
	switch g.mode {
	case ModeConst:
		if isConst(p) {
			return append(dst, p[0]), ModeConst, 0
		}
		return e.appendPlane(dst, p, guess{mode: ModeZstd})
	case ModeHuff0:
		if dst, tables, ok := e.appendHuff0(dst, p, leastGain, len(p)); ok {
			return dst, ModeHuff0, tables
		}
	case ModeZstd:
		frame := e.compress(p)
		limit := min(len(frame), len(p))
		if float64(limit)*8 > g.bits*float64(len(p)) { // counts alone might do better
			if dst, tables, ok := e.appendHuff0(dst, p, leastGain, limit); ok {
				return dst, ModeHuff0, tables
			}
		}
		if len(frame) < len(p) {
			return append(dst, frame...), ModeZstd, 0
		}
	}
	return append(dst, p...), ModeRaw, 0
}

// isConst reports whether all bytes of p are equal: p is then equal to itself one
// byte on, which is compared at the speed of memory.
func isConst(p []byte) bool { return bytes.Equal(p[1:], p[:len(p)-1]) }
