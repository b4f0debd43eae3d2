package format

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/bits"
	"slices"
	"strings"

	"github.com/ingot-ml/ingot/chunker"
)

// The words for File.Format. They go into manifests.
const (
	Opaque      = "opaque"
	Safetensors = "safetensors"
	NumPy       = "npy"
	Torch       = "torch"
	NPZ         = "npz"
)

// maxSize is the size in bytes from which a file is opaque whatever it holds:
// the cuts of a file with tensors are held in memory, those of 4 TiB in 50 MB.
const maxSize = 4 << 40

// formats are tried in order. Adding one is a line here and a file beside
// safetensors.go.
var formats = []struct {
	name string
	// suffix marks the file names that claim the format; empty when none does.
	suffix string
	// parse reads where the tensors of a file of size bytes lie, in any order, and
	// those that it keeps elsewhere; Open fills in the rest. It returns an error
	// that wraps ErrMalformed when the file is not of this format, after reading a
	// few bytes if these already tell; one that wraps errBeyond when the file is
	// legal but must be opaque; else what r returned.
	parse func(r io.ReaderAt, size int64) (*File, error)
}{
	{Safetensors, ".safetensors", parseSafetensors},
	{GGUF, ".gguf", parseGGUF},
	{NumPy, suffixNumPy, parseNPY},
	{Torch, "", parseTorch},
	{NPZ, ".npz", parseNPZ},
	{ONNX, ".onnx", parseONNX},
}

// Tensor is a tensor's place in a file.
type Tensor struct {
	Name string
	// DType is the element type as the container spells it; Elem is what it means
	// to the codec, Opaque for a type that chunker does not know.
	DType string
	Elem  chunker.DType
	Shape []uint64
	// Offset counts from the start of the file; both are in bytes.
	Offset, Length int64
}

// File is the structure of a file.
type File struct {
	Format  string   // one of the words above
	Size    int64    // bytes
	Tensors []Tensor // by offset, then name; none when opaque
	// External is what the file keeps in others, by their slash-separated path
	// from its own folder, as it is written there: neither that nor whether the
	// tensors lie in that file is checked. Along does.
	External map[string][]Tensor

	// scattered says that other bytes lie between any two tensors, so that none can
	// be gathered.
	scattered bool
}

// leastApart is the least tensor in bytes that a scattered file is cut along. A
// chunk costs some 100 bytes wherever it is named, and a graph has a constant of
// a few bytes in most of its nodes; but a bias of 768 bytes often lies alone in
// safetensors, between two matrices, and is shared.
const leastApart = 512

// Open reads the structure of the size bytes of r.
//
// name decides only whether a malformed file is an error: x.safetensors that
// does not parse fails with an error that wraps ErrMalformed and names the
// tensor at fault, the same bytes under another name are opaque. Other errors
// are those of r; a file shorter than size is io.ErrUnexpectedEOF.
func Open(name string, r io.ReaderAt, size int64) (*File, error) {
	opaque := &File{Format: Opaque, Size: size}
	if size == 0 || size > maxSize {
		return opaque, nil
	}
	for _, f := range formats {
		file, err := f.parse(r, size)
		switch {
		case err == nil:
			sortTensors(file.Tensors)
			file.Format, file.Size = f.name, size
			return file, nil
		case errors.Is(err, errBeyond):
			return opaque, nil
		case !errors.Is(err, ErrMalformed), f.suffix != "" && strings.HasSuffix(name, f.suffix):
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return opaque, nil
}

func sortTensors(tensors []Tensor) {
	slices.SortFunc(tensors, func(a, b Tensor) int {
		return cmp.Or(cmp.Compare(a.Offset, b.Offset), strings.Compare(a.Name, b.Name))
	})
}

// Cuts cuts the file whose bytes are r into chunks, in order, each byte once. A
// file with tensors is cut without reading; an opaque one is read once, and
// yields io.ErrUnexpectedEOF when it has become shorter than it was.
func (f *File) Cuts(r io.ReaderAt) iter.Seq2[chunker.Cut, error] {
	if f.Format == Opaque {
		return f.contentCuts(r)
	}
	return f.tensorCuts
}

func (f *File) tensorCuts(yield func(chunker.Cut, error) bool) {
	extents := make([]chunker.Extent, 0, len(f.Tensors))
	for _, t := range f.Tensors {
		if !f.scattered || t.Length >= leastApart {
			extents = append(extents, chunker.Extent{Offset: t.Offset, Length: t.Length, DType: t.Elem, TypeName: t.DType})
		}
	}
	cuts, err := chunker.CutTensors(f.Size, extents)
	if err != nil {
		yield(chunker.Cut{}, err)
		return
	}
	for _, c := range cuts {
		if !yield(c, nil) {
			return
		}
	}
}

func (f *File) contentCuts(r io.ReaderAt) iter.Seq2[chunker.Cut, error] {
	return func(yield func(chunker.Cut, error) bool) {
		var pos int64
		for c, err := range chunker.CutContent(io.NewSectionReader(r, 0, f.Size)) {
			if !yield(c, err) || err != nil {
				return
			}
			pos += int64(c.Length)
		}
		if pos < f.Size {
			yield(chunker.Cut{}, fmt.Errorf("cut content: %d of %d bytes: %w", pos, f.Size, io.ErrUnexpectedEOF))
		}
	}
}

// arraySize returns what an array of that shape takes, in bits or bytes as the
// width of an element is.
func arraySize(shape []uint64, width uint64) (uint64, error) {
	if slices.Contains(shape, 0) {
		return 0, nil
	}
	size := width
	for _, dim := range shape {
		over, n := bits.Mul64(size, dim)
		if over != 0 {
			return 0, malformedf("shape %v overflows", shape)
		}
		size = n
	}
	return size, nil
}
