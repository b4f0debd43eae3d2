package manifest

import (
	"errors"
	"iter"
	"slices"
	"sort"
	"strings"

	"github.com/ingot-ml/ingot/chunker"
)

// Errors of this package. Both are permanent: the same input fails again.
var (
	// ErrInvalid reports a document or Manifest that breaks a rule of the format.
	ErrInvalid = errors.New("invalid manifest")
	// ErrVersion reports a document of a version that this build does not know.
	ErrVersion = errors.New("unknown manifest version")
)

// Manifest describes one model version. Values from Parse and Builder.Build are
// valid and in canonical order; Encode and ContentRoot refuse any other. A
// Manifest is not changed by its methods, which are safe for concurrent use.
type Manifest struct {
	Parent      chunker.Digest // the version it was made from; zero for none
	Annotations []Annotation   // sorted by key, keys unique
	Chunks      []chunker.Ref  // distinct, in order of first use
	Files       []File         // sorted by path, paths unique
}

// Annotation is one fact about the version: step, loss, base model, license.
type Annotation struct {
	Key, Value string
}

// File is one file of the version.
type File struct {
	Path    string   // as CheckPath wants it
	Size    uint64   // plain bytes
	Format  string   // "safetensors", "opaque": a short lower-case word
	Chunks  []uint32 // indexes into Manifest.Chunks that make up the file, in order
	Tensors []Tensor // sorted by offset, then name; names unique in the file
}

// Tensor says where a tensor lies in its file. Tensors may overlap (tied
// weights) and need not cover the file. Names and types are the container's own
// and may hold any valid UTF-8: quote them before printing.
type Tensor struct {
	Name   string
	DType  string   // as the container spells it
	Shape  []uint64 // outermost first; nil for a scalar
	Offset uint64   // in bytes, from the start of the file
	Length uint64   // in bytes
}

// Name returns the name of the version that the document b describes.
func Name(b []byte) chunker.Digest { return chunker.Sum(b) }

// Incomplete is the key of the annotation of a version in which files are missing that
// it names itself. Its value says which.
const Incomplete = "ingot.incomplete"

// Annotation returns the value of the annotation with that key, or nothing.
func (m *Manifest) Annotation(key string) string {
	i, ok := slices.BinarySearchFunc(m.Annotations, key, func(a Annotation, key string) int { return strings.Compare(a.Key, key) })
	if !ok {
		return ""
	}
	return m.Annotations[i].Value
}

// Size returns the plain bytes of all files.
func (m *Manifest) Size() uint64 {
	var n uint64
	for i := range m.Files {
		n += m.Files[i].Size
	}
	return n
}

// ChunkBytes returns the plain bytes of the distinct chunks: what the version
// takes when it is alone and stored raw.
func (m *Manifest) ChunkBytes() uint64 {
	var n uint64
	for _, c := range m.Chunks {
		n += uint64(c.Size)
	}
	return n
}

// File returns the file with that path, or nil.
func (m *Manifest) File(path string) *File {
	i := sort.Search(len(m.Files), func(i int) bool { return m.Files[i].Path >= path })
	if i == len(m.Files) || m.Files[i].Path != path {
		return nil
	}
	return &m.Files[i]
}

// Extents yields, in order, the offset in f of each of its chunks and the
// chunk's index in m.Chunks. f must be a file of m.
func (m *Manifest) Extents(f *File) iter.Seq2[uint64, uint32] {
	return func(yield func(uint64, uint32) bool) {
		var offset uint64
		for _, c := range f.Chunks {
			if !yield(offset, c) {
				return
			}
			offset += uint64(m.Chunks[c].Size)
		}
	}
}
