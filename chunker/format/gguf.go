package format

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"io"
	"math/bits"
	"slices"
	"strings"

	"github.com/ingot-ml/ingot/chunker"
)

// GGUF is the format of llama.cpp and all that grew around ggml.
const GGUF = "gguf"

const (
	magicGGUF = "GGUF"
	// lastGGUF is the latest version that is known, firstBigEndian the first that
	// may have the other byte order.
	lastGGUF       = 3
	firstBigEndian = 3
	// maxDimsGGUF is what readers of today take; the specification may allow more
	// tomorrow.
	maxDimsGGUF = 4
)

// parseGGUF reads a file of: magic and version, the numbers of tensors and of
// keys, the keys with their values, where the tensors lie, and from the next
// multiple of the alignment on the data.
func parseGGUF(r io.ReaderAt, size int64) (*File, error) {
	g, err := openGGUF(r, size)
	if err != nil {
		return nil, err
	}
	count, err := g.items(g.countWidth() + 16)
	if err != nil {
		return nil, fmt.Errorf("tensors: %w", err)
	}
	keys, err := g.items(g.countWidth() + 6)
	if err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	alignment, err := g.metadata(keys)
	if err != nil {
		return nil, err
	}
	tensors, err := g.tensors(count, alignment)
	if err != nil {
		return nil, err
	}
	return placeGGUF(tensors, (g.pos+alignment-1)/alignment*alignment, size)
}

// openGGUF reads magic and version.
func openGGUF(r io.ReaderAt, size int64) (*ggufReader, error) {
	var head [8]byte
	if size < int64(len(head)) {
		return nil, malformedf("%d bytes, too short for a model", size)
	}
	if err := readFull(r, head[:], 0); err != nil {
		return nil, err
	}
	if string(head[:4]) != magicGGUF {
		return nil, malformedf("starts with %q, want %s", head[:4], magicGGUF)
	}
	g := &ggufReader{
		window: window{r: r, size: size}, pos: int64(len(head)),
		order: binary.LittleEndian, budget: maxParsedHeader,
	}
	g.version = g.order.Uint32(head[4:])
	if g.version<<16 == 0 { // how readers tell the byte order
		g.order = binary.BigEndian
		g.version = bits.ReverseBytes32(g.version)
	}
	switch {
	case g.version == 0:
		return nil, malformedf("version 0")
	case g.version > lastGGUF, g.bigEndian() && g.version < firstBigEndian:
		return nil, errBeyond
	}
	return g, nil
}

// tensors reads where n tensors lie, from the start of the data on.
func (g *ggufReader) tensors(n uint64, alignment int64) ([]Tensor, error) {
	var tensors []Tensor
	seen := make(map[string]bool)
	for range n {
		name, err := g.text(maxName)
		if err != nil {
			return nil, fmt.Errorf("name of tensor %d: %w", len(tensors), err)
		}
		if seen[name] {
			return nil, malformedf("tensor %.120q is there twice", name)
		}
		seen[name] = true
		t, err := g.tensor(alignment)
		if err != nil {
			return nil, fmt.Errorf("tensor %.120q: %w", name, err)
		}
		t.Name = name
		tensors = append(tensors, t)
	}
	return tensors, nil
}

// tensor reads what follows a tensor's name.
func (g *ggufReader) tensor(alignment int64) (t Tensor, err error) {
	dims, err := g.dimensions()
	if err != nil {
		return t, err
	}
	number, err := g.u32()
	if err != nil {
		return t, err
	}
	kind, err := ggmlTypeOf(number)
	if err != nil {
		return t, err
	}
	length, err := kind.length(dims)
	if err != nil {
		return t, err
	}
	offset, err := g.u64()
	switch {
	case err != nil:
		return t, err
	case offset > uint64(g.size):
		return t, malformedf("offset %d leaves the file's %d bytes", offset, g.size)
	case offset%uint64(alignment) != 0:
		return t, malformedf("offset %d is no multiple of %d", offset, alignment)
	}
	slices.Reverse(dims)
	return Tensor{DType: kind.word, Elem: g.elem(kind.elem), Shape: dims, Offset: int64(offset), Length: length}, nil
}

// elem returns what numbers of type t are when they lie in the file's byte order.
func (g *ggufReader) elem(t chunker.DType) chunker.DType {
	if g.bigEndian() && t.Width() > 1 {
		return chunker.Untyped
	}
	return t
}

// dimensions reads how many elements a tensor has along each dimension, that of
// a row first.
func (g *ggufReader) dimensions() ([]uint64, error) {
	n, err := g.u32()
	if err != nil {
		return nil, err
	}
	if int64(n) > g.left()/g.countWidth() {
		return nil, malformedf("%d dimensions in the %d bytes that are left", n, g.left())
	}
	if n > maxDimsGGUF {
		return nil, errBeyond
	}
	dims := make([]uint64, n)
	for i := range dims {
		if dims[i], err = g.count(); err != nil {
			return nil, err
		}
	}
	return dims, nil
}

// placeGGUF moves the tensors to where they lie in a file of size bytes whose
// data starts at start.
func placeGGUF(tensors []Tensor, start, size int64) (*File, error) {
	if len(tensors) > 0 && start > size {
		return nil, malformedf("data starts at %d of %d bytes", start, size)
	}
	for i := range tensors {
		tensors[i].Offset += start
	}
	sortTensors(tensors)
	if err := endAtNext(tensors, size); err != nil {
		return nil, err
	}
	tensors = firstOfEach(tensors)
	if err := checkApart(size, tensors); err != nil {
		return nil, err
	}
	return &File{Tensors: tensors}, nil
}

// endAtNext lets each of the sorted tensors whose type does not tell its length
// end where the next one starts, or at end.
func endAtNext(tensors []Tensor, end int64) error {
	next, here := end, end // the offset behind here, where the last tensors seen start
	for i := len(tensors) - 1; i >= 0; i-- {
		t := &tensors[i]
		if t.Offset < here {
			next, here = here, t.Offset
		}
		if t.Length >= 0 {
			continue
		}
		if t.Length = next - t.Offset; t.Length <= 0 {
			return malformedf("tensor %.120q: nothing at %d of the file's %d bytes", t.Name, t.Offset, end)
		}
	}
	return nil
}

// firstOfEach leaves out tensors with exactly the same bytes as another whose
// name comes first.
func firstOfEach(tensors []Tensor) []Tensor {
	slices.SortFunc(tensors, func(a, b Tensor) int {
		return cmp.Or(cmp.Compare(a.Offset, b.Offset), cmp.Compare(a.Length, b.Length), strings.Compare(a.Name, b.Name))
	})
	return slices.CompactFunc(tensors, func(a, b Tensor) bool {
		return a.Length > 0 && a.Offset == b.Offset && a.Length == b.Length
	})
}
