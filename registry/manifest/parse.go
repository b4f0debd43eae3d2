package manifest

import (
	"fmt"

	"github.com/ingot-ml/ingot/chunker"
)

// Parse reads a document. It returns ErrVersion for a version that it does not
// know and ErrInvalid, saying what and where, for anything that Encode would not
// write. The Manifest shares no memory with b.
func Parse(b []byte) (*Manifest, error) {
	if len(b) > MaxSize {
		return nil, fmt.Errorf("parse manifest: %d bytes, at most %d allowed: %w", len(b), MaxSize, ErrInvalid)
	}
	r := reader{rest: b, size: len(b)}
	if v := r.magic(); r.err == nil && v != version {
		return nil, fmt.Errorf("parse manifest: version %d, this build knows %d: %w", v, version, ErrVersion)
	}
	m := r.manifest()
	if r.err != nil {
		return nil, fmt.Errorf("parse manifest: %w: %w", r.err, ErrInvalid)
	}
	if err := m.check(); err != nil {
		return nil, fmt.Errorf("parse manifest: %w: %w", err, ErrInvalid)
	}
	return m, nil
}

// reader takes values off the front of a document. After the first failure it
// keeps err and returns zero values. It checks that what is announced is there;
// Manifest.check judges the rest.
type reader struct {
	rest    []byte
	size    int    // of the whole document
	tensors int    // read or announced so far
	word    string // the last format or element type: most repeat
	err     error
}

// magic reads the magic and returns the version.
func (r *reader) magic() uint16 {
	if got := string(r.take(len(magic), "magic")); r.err == nil && got != magic {
		r.fail("magic %q, want %q", got, magic)
	}
	return r.u16("version")
}

// manifest reads what follows the version, to the last byte.
func (r *reader) manifest() *Manifest {
	m := &Manifest{}
	copy(m.Parent[:], r.take(chunker.DigestSize, "parent"))
	annotations := r.count("annotation", MaxAnnotations)
	chunks := r.count("chunk", MaxSize/chunkLen)
	files := r.count("file", MaxFiles)
	if r.err != nil {
		return nil
	}
	m.Annotations = r.annotations(annotations)
	m.Chunks = r.chunks(chunks)
	m.Files = r.files(files)
	if r.err == nil && len(r.rest) > 0 {
		r.fail("%d bytes after the last file", len(r.rest))
	}
	return m
}

func (r *reader) annotations(n int) []Annotation {
	if !r.room(n, minAnnotationLen, "annotations") {
		return nil
	}
	list := make([]Annotation, n)
	for i := range list {
		list[i].Key = string(r.take(int(r.u16("key length")), "key"))
		list[i].Value = string(r.take(int(r.u32("value length")), "value"))
	}
	return list
}

func (r *reader) chunks(n int) []chunker.Ref {
	if !r.room(n, chunkLen, "chunks") {
		return nil
	}
	list := make([]chunker.Ref, n)
	for i := range list {
		copy(list[i].Digest[:], r.take(chunker.DigestSize, "digest"))
		list[i].Size = r.u32("chunk length")
	}
	return list
}

func (r *reader) files(n int) []File {
	if !r.room(n, minFileLen, "files") {
		return nil
	}
	list := make([]File, n)
	for i := range list {
		r.file(&list[i])
		if r.err != nil {
			return nil
		}
	}
	return list
}

func (r *reader) file(f *File) {
	f.Path = string(r.take(int(r.u16("path length")), "path"))
	f.Size = r.u64("file size")
	f.Format = r.repeated(int(r.u8("format length")), "format")
	chunks := r.count("chunk index", MaxSize/4)
	tensors := r.count("tensor", MaxTensors-r.tensors)
	r.tensors += tensors
	f.Chunks = r.indexes(chunks)
	f.Tensors = r.tensorList(tensors)
}

func (r *reader) indexes(n int) []uint32 {
	if !r.room(n, 4, "chunk indexes") {
		return nil
	}
	list := make([]uint32, n)
	for i := range list {
		list[i] = r.u32("chunk index")
	}
	return list
}

func (r *reader) tensorList(n int) []Tensor {
	if !r.room(n, minTensorLen, "tensors") {
		return nil
	}
	list := make([]Tensor, n)
	for i := range list {
		r.tensor(&list[i])
		if r.err != nil {
			return nil
		}
	}
	return list
}

func (r *reader) tensor(t *Tensor) {
	t.Name = string(r.take(int(r.u16("name length")), "tensor name"))
	t.DType = r.repeated(int(r.u8("type length")), "element type")
	if rank := int(r.u8("rank")); r.room(rank, 8, "dimensions") {
		t.Shape = make([]uint64, rank)
	}
	for i := range t.Shape {
		t.Shape[i] = r.u64("dimension")
	}
	t.Offset = r.u64("tensor offset")
	t.Length = r.u64("tensor length")
}
