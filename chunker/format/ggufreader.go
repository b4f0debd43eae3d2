package format

import (
	"encoding/binary"
	"fmt"
	"strings"
	"unicode/utf8"
)

const (
	// maxHeadGGUF bounds what is walked in front of the data, in bytes. The tokens
	// of a large vocabulary take tens of MiB.
	maxHeadGGUF      = 1 << 30
	keyAlignment     = "general.alignment"
	defaultAlignment = 32
)

// The types of values that are not numbers, and that of an alignment.
const (
	ggufUint32 = 4
	ggufString = 8
	ggufArray  = 9
)

// ggufWidths are the bytes of a value by its type; 0 where the value tells.
var ggufWidths = [...]int64{1, 1, 2, 2, ggufUint32: 4, 4, 4, 1, ggufString: 0, ggufArray: 0, 8, 8, 8}

// ggufReader walks a file from its start, and keeps of it what tells where the
// tensors lie. All its errors wrap ErrMalformed or errBeyond, or are those of r.
type ggufReader struct {
	window
	pos     int64
	version uint32
	order   binary.ByteOrder
	budget  int // bytes of memory that more of it may take
}

func (g *ggufReader) bigEndian() bool { return g.order == binary.BigEndian }

// left returns the bytes of the file that are still to come.
func (g *ggufReader) left() int64 { return g.size - g.pos }

// metadata reads n keys with their values, and returns the alignment of the data.
func (g *ggufReader) metadata(n uint64) (alignment int64, err error) {
	alignment = defaultAlignment
	seen := make(map[string]bool)
	for range n {
		key, err := g.key()
		if err != nil {
			return 0, fmt.Errorf("key %d: %w", len(seen), err)
		}
		if seen[key] {
			return 0, malformedf("key %.120q is there twice", key)
		}
		seen[key] = true
		if key == keyAlignment {
			alignment, err = g.alignment()
		} else {
			err = g.value()
		}
		if err != nil {
			return 0, fmt.Errorf("key %.120q: %w", key, err)
		}
	}
	return alignment, nil
}

func (g *ggufReader) key() (string, error) {
	key, err := g.text(maxText)
	if err == nil && key == "" {
		err = malformedf("is empty")
	}
	return key, err
}

// alignment reads the value of that key.
func (g *ggufReader) alignment() (int64, error) {
	kind, err := g.u32()
	if err != nil {
		return 0, err
	}
	if kind != ggufUint32 {
		return 0, malformedf("has value type %d, want %d", kind, ggufUint32)
	}
	n, err := g.u32()
	if err == nil && (n == 0 || n&(n-1) != 0) {
		err = malformedf("%d is no power of two", n)
	}
	return int64(n), err
}

// value skips a value with its type.
func (g *ggufReader) value() error {
	kind, err := g.u32()
	if err != nil {
		return err
	}
	return g.skipValues(kind, 1, maxDepth)
}

// skipValues skips n values of one type, with arrays of at most depth levels.
func (g *ggufReader) skipValues(kind uint32, n uint64, depth int) error {
	if kind >= uint32(len(ggufWidths)) {
		return malformedf("has value type %d", kind)
	}
	if width := ggufWidths[kind]; width > 0 {
		if n > uint64(g.left()/width) {
			return malformedf("%d values in the %d bytes that are left", n, g.left())
		}
		return g.skip(n * uint64(width))
	}
	for range n {
		err := g.skipSized(kind, depth)
		if err != nil {
			return err
		}
	}
	return nil
}

// skipSized skips a string or an array.
func (g *ggufReader) skipSized(kind uint32, depth int) error {
	if kind == ggufString {
		n, err := g.count()
		if err != nil {
			return err
		}
		return g.skip(n)
	}
	if depth == 0 {
		return malformedf("nested more than %d deep", maxDepth)
	}
	kind, err := g.u32()
	if err != nil {
		return err
	}
	n, err := g.items(1)
	if err != nil {
		return err
	}
	return g.skipValues(kind, n, depth-1)
}

// text reads a text. One of more than most bytes, at most maxText, is beyond what
// is described.
func (g *ggufReader) text(most uint64) (string, error) {
	n, err := g.items(1)
	if err != nil {
		return "", err
	}
	if n > most {
		return "", errBeyond
	}
	b, err := g.take(int64(n))
	if err != nil {
		return "", err
	}
	text := string(b)
	if !utf8.ValidString(text) || strings.Contains(text, "\x00") {
		return "", malformedf("%.120q is not UTF-8 without zeros", text)
	}
	if g.budget -= costTensor + len(text); g.budget < 0 {
		return "", errBeyond
	}
	return text, nil
}

// countWidth returns the bytes of a count.
func (g *ggufReader) countWidth() int64 {
	if g.version == 1 {
		return 4
	}
	return 8
}

// count reads how many of something there are.
func (g *ggufReader) count() (uint64, error) {
	if g.version == 1 {
		n, err := g.u32()
		return uint64(n), err
	}
	return g.u64()
}

// items reads how many items follow, each of least bytes or more.
func (g *ggufReader) items(least int64) (uint64, error) {
	n, err := g.count()
	if err == nil && n > uint64(g.left()/least) {
		err = malformedf("%d in the %d bytes that are left", n, g.left())
	}
	return n, err
}

func (g *ggufReader) u32() (uint32, error) {
	b, err := g.take(4)
	if err != nil {
		return 0, err
	}
	return g.order.Uint32(b), nil
}

func (g *ggufReader) u64() (uint64, error) {
	b, err := g.take(8)
	if err != nil {
		return 0, err
	}
	return g.order.Uint64(b), nil
}

// take returns the next n bytes, until the next call. n is at most minWindow.
func (g *ggufReader) take(n int64) ([]byte, error) {
	pos := g.pos
	if err := g.skip(uint64(n)); err != nil {
		return nil, err
	}
	return g.at(pos, n)
}

// skip moves over n bytes.
func (g *ggufReader) skip(n uint64) error {
	if n > uint64(g.left()) {
		return malformedf("%d bytes at %d leave the file's %d", n, g.pos, g.size)
	}
	if g.pos += int64(n); g.pos > maxHeadGGUF {
		return errBeyond
	}
	return nil
}
