package codec

import (
	"errors"
	"fmt"

	"github.com/ingot-ml/ingot/chunker"
)

// ErrCorrupt reports an encoded chunk that is damaged or was never one. Reading
// it again does not help; another copy does.
var ErrCorrupt = errors.New("corrupt chunk")

// ErrUnsupported reports a chunk that may be sound and needs something that this
// version of the package does not have.
var ErrUnsupported = errors.New("unsupported chunk")

// ErrBase reports a chunk whose base is not the one at hand: a delta that needs
// another chunk, or one that is no delta. The chunk may be sound; with its base, or
// with none, it decodes.
var ErrBase = errors.New("delta of another chunk")

const (
	magic   = "IG"
	version = 1

	headerLen = 16
	entryLen  = 8 // one plane in the table
	maxPlanes = 8

	flagDelta = 1 << 0
)

// Layout says which planes a chunk's elements are split into.
type Layout uint8

// The layouts of version 1.
const (
	LayoutBytes  Layout = 0 // no elements: one plane, the bytes
	LayoutOne    Layout = 1 // 1-byte elements
	LayoutTwo    Layout = 2 // 2-byte elements
	LayoutBF16   Layout = 3 // sign and mantissa, exponent
	LayoutF32    Layout = 4 // two of mantissa, sign and mantissa, exponent
	LayoutEight  Layout = 5 // 8-byte elements
	LayoutFour   Layout = 6 // 4-byte elements
	layoutsKnown Layout = 7
)

// Mode says how one plane is stored.
type Mode uint8

// The modes of version 1. The number 2 is kept for a Huffman stream of our own, and
// is refused until that exists.
const (
	ModeRaw    Mode = 0
	ModeConst  Mode = 1
	ModeSparse Mode = 3
	ModeZstd   Mode = 4
	ModeHuff0  Mode = 5
)

// Plane describes one plane of an encoded chunk.
type Plane struct {
	Mode   Mode
	EncLen int // bytes in the encoded chunk
}

// Info is what an encoded chunk says of itself.
type Info struct {
	Layout Layout
	RawLen int            // plain bytes, 1 to chunker.MaxSize
	Delta  bool           // the chunk is a difference from Base
	Base   chunker.Digest // of the base's plain bytes; zero unless Delta
	Planes []Plane        // lowest byte first
}

// MaxEncoded returns the length that the encoded form of plain bytes never
// exceeds: header, the longest plane table, and the bytes themselves.
func MaxEncoded(plain int) int { return headerLen + maxPlanes*entryLen + plain }

// Inspect reads the header and the plane table of a whole encoded chunk, and
// checks that they agree with its length. It does not verify the checksum, so an
// answer is only as good as the bytes: it may err, but it is never out of bounds.
func Inspect(enc []byte) (Info, error) {
	f, err := parse(enc)
	if err != nil {
		return Info{}, fmt.Errorf("inspect chunk: %w", err)
	}
	info := Info{Layout: f.layout, RawLen: f.rawLen, Delta: f.delta, Base: f.base}
	for _, p := range f.planes[:f.layout.planes()] {
		info.Planes = append(info.Planes, Plane{Mode: p.mode, EncLen: len(p.body)})
	}
	return info, nil
}

// HeaderLen is how many bytes PlainLen needs.
const HeaderLen = headerLen

// PlainLen reads the plain length from the first HeaderLen bytes of an encoded
// chunk, so that a stored chunk need not be read to know it. It verifies nothing
// beyond these bytes.
func PlainLen(start []byte) (int, error) {
	if err := checkPrefix(start); err != nil {
		return 0, fmt.Errorf("read chunk header: %w", err)
	}
	n := le.Uint32(start[atRawLen:])
	if n < 1 || n > chunker.MaxSize {
		return 0, fmt.Errorf("read chunk header: %w", corrupt("plain length %d", n))
	}
	return int(n), nil
}

// BaseHeaderLen is how many bytes Base needs.
const BaseHeaderLen = headerLen + chunker.DigestSize

// Base returns the name of the base of an encoded chunk: zero for a chunk that is
// whole. It reads the first BaseHeaderLen bytes of the chunk, or all of a shorter
// one, and verifies nothing beyond them.
func Base(start []byte) (chunker.Digest, error) {
	err := checkPrefix(start)
	if err == nil {
		var f frame
		if f, err = parseHeader(start); err == nil {
			_, err = f.parseBase(start[headerLen:])
		}
		if err == nil {
			return f.base, nil
		}
	}
	return chunker.Digest{}, fmt.Errorf("read chunk header: %w", err)
}

// Check verifies the checksum and the framing of an encoded chunk without
// decoding it, which is what a scrub of stored chunks needs. The errors are
// ErrCorrupt and ErrUnsupported.
func Check(enc []byte) error {
	if _, err := open(enc); err != nil {
		return fmt.Errorf("check chunk: %w", err)
	}
	return nil
}

// corrupt returns an ErrCorrupt that says what is wrong.
func corrupt(format string, args ...any) error {
	return fmt.Errorf(format+": %w", append(args, ErrCorrupt)...)
}

// unsupported returns an ErrUnsupported that says what is not known.
func unsupported(format string, args ...any) error {
	return fmt.Errorf(format+": %w", append(args, ErrUnsupported)...)
}
