package manifest

import (
	"encoding/binary"
	"fmt"

	"github.com/ingot-ml/ingot/chunker"
)

// version is what this build reads and writes.
const version = 1

// Magics are the first bytes of a document and of the text that a content root
// is the digest of. They differ, so no content root is ever a version's name.
const (
	magic     = "INGOTM"
	rootMagic = "INGOTC"
)

// Lengths in bytes of the fixed parts: magic, version, parent and three counts;
// a chunk; and an annotation, file and tensor whose texts and lists are empty.
const (
	headerLen        = len(magic) + 2 + chunker.DigestSize + 3*4
	chunkLen         = chunker.DigestSize + 4
	minAnnotationLen = 2 + 4
	minFileLen       = 2 + 8 + 1 + 4 + 4
	minTensorLen     = 2 + 1 + 1 + 8 + 8
)

var order = binary.LittleEndian

// Encode returns the document, which the caller owns. It refuses a Manifest
// that is not valid and canonical with ErrInvalid.
func (m *Manifest) Encode() ([]byte, error) {
	if err := m.check(); err != nil {
		return nil, fmt.Errorf("encode manifest: %w: %w", err, ErrInvalid)
	}
	return m.append(make([]byte, 0, m.encodedLen()), magic), nil
}

// ContentRoot returns the digest of the files alone. Versions with equal files
// have equal roots, whatever their parents and annotations. It is never the
// name of a version.
func (m *Manifest) ContentRoot() (chunker.Digest, error) {
	files := Manifest{Chunks: m.Chunks, Files: m.Files}
	if err := files.check(); err != nil {
		return chunker.Digest{}, fmt.Errorf("find content root: %w: %w", err, ErrInvalid)
	}
	return chunker.Sum(files.append(make([]byte, 0, files.encodedLen()), rootMagic)), nil
}

// encodedLen returns the exact length of the document in bytes.
func (m *Manifest) encodedLen() int {
	n := headerLen + len(m.Annotations)*minAnnotationLen + len(m.Chunks)*chunkLen + len(m.Files)*minFileLen
	for _, a := range m.Annotations {
		n += len(a.Key) + len(a.Value)
	}
	for i := range m.Files {
		f := &m.Files[i]
		n += len(f.Path) + len(f.Format) + 4*len(f.Chunks) + len(f.Tensors)*minTensorLen
		for j := range f.Tensors {
			t := &f.Tensors[j]
			n += len(t.Name) + len(t.DType) + 8*len(t.Shape)
		}
	}
	return n
}

// append writes the document after b. The Manifest must have passed check,
// which also proves that every length fits its field.
func (m *Manifest) append(b []byte, magic string) []byte {
	b = append(b, magic...)
	b = order.AppendUint16(b, version)
	b = append(b, m.Parent[:]...)
	b = order.AppendUint32(b, uint32(len(m.Annotations)))
	b = order.AppendUint32(b, uint32(len(m.Chunks)))
	b = order.AppendUint32(b, uint32(len(m.Files)))
	for _, a := range m.Annotations {
		b = appendText16(b, a.Key)
		b = order.AppendUint32(b, uint32(len(a.Value)))
		b = append(b, a.Value...)
	}
	for i := range m.Chunks {
		b = append(b, m.Chunks[i].Digest[:]...)
		b = order.AppendUint32(b, m.Chunks[i].Size)
	}
	for i := range m.Files {
		b = appendFile(b, &m.Files[i])
	}
	return b
}

func appendFile(b []byte, f *File) []byte {
	b = appendText16(b, f.Path)
	b = order.AppendUint64(b, f.Size)
	b = appendText8(b, f.Format)
	b = order.AppendUint32(b, uint32(len(f.Chunks)))
	b = order.AppendUint32(b, uint32(len(f.Tensors)))
	for _, c := range f.Chunks {
		b = order.AppendUint32(b, c)
	}
	for i := range f.Tensors {
		b = appendTensor(b, &f.Tensors[i])
	}
	return b
}

func appendTensor(b []byte, t *Tensor) []byte {
	b = appendText16(b, t.Name)
	b = appendText8(b, t.DType)
	b = append(b, byte(len(t.Shape)))
	for _, n := range t.Shape {
		b = order.AppendUint64(b, n)
	}
	b = order.AppendUint64(b, t.Offset)
	return order.AppendUint64(b, t.Length)
}

func appendText8(b []byte, s string) []byte {
	return append(append(b, byte(len(s))), s...)
}

func appendText16(b []byte, s string) []byte {
	return append(order.AppendUint16(b, uint16(len(s))), s...)
}
