package manifest

import (
	"hash/maphash"
	"math"
	"slices"
	"sort"
	"strings"
	"sync"
)

// Kin finds, in one version, the chunks that are related to those of another: what a
// delta is worth trying against. It pairs tensors, wherever they lie, and then the chunks
// that start at the same place of a pair. A pair is a guess, which nothing depends on, so
// a tensor of the base may be paired with several.
//
// Its methods are safe for concurrent use, and take time in proportion to what they are
// given, whoever wrote it.
type Kin struct {
	base    *Manifest
	tensors []origin
	starts  [][]uint64 // for each file: where its chunks start
	names   []int32    // tensors by name, then in order
	chunks  *index     // by digest

	once  sync.Once // makes what only renamed tensors need
	tails [maxDropped]map[string]int32
	forms map[form][]int32 // tensors that look alike, in order
	seed  maphash.Seed
}

// origin is a tensor of the base.
type origin struct {
	*Tensor
	file int32
}

// NewKin returns what finds related chunks in base, which must be valid.
func NewKin(base *Manifest) *Kin {
	k := &Kin{base: base, starts: make([][]uint64, len(base.Files)), chunks: newIndex(len(base.Chunks))}
	for i := range base.Chunks {
		k.chunks.add(base.Chunks, i)
	}
	for i := range base.Files {
		f := &base.Files[i]
		starts := make([]uint64, 0, len(f.Chunks))
		for offset := range base.Extents(f) {
			starts = append(starts, offset)
		}
		k.starts[i] = starts
		for j := range f.Tensors {
			k.names = append(k.names, int32(len(k.tensors)))
			k.tensors = append(k.tensors, origin{&f.Tensors[j], int32(i)})
		}
	}
	slices.SortStableFunc(k.names, func(a, b int32) int { return strings.Compare(k.tensors[a].Name, k.tensors[b].Name) })
	return k
}

// Of pairs the chunks of m: for each, the index of the related chunk of the base, or -1.
// A chunk that the base has too is its own kin.
func (k *Kin) Of(m *Manifest) []int32 {
	kin := make([]int32, len(m.Chunks))
	for c := range m.Chunks {
		kin[c] = -1
		if own, ok := k.chunks.find(k.base.Chunks, &m.Chunks[c].Digest); ok {
			kin[c] = int32(own)
		}
	}
	var all []placed
	for i := range m.Files {
		all = appendPlaced(all, k.file(m.Files[i].Path), m.Files[i].Tensors)
	}
	k.pair(all)
	for i := range m.Files {
		f := &m.Files[i]
		file := k.found(f.Path, all[:len(f.Tensors)])
		all = all[len(f.Tensors):]
		for offset, c := range m.Extents(f) {
			if kin[c] >= 0 {
				continue
			}
			if related, ok := file.At(offset, uint64(m.Chunks[c].Size)); ok {
				kin[c] = int32(related)
			}
		}
	}
	return kin
}

// File pairs the tensors of one file, sorted by offset, while what its chunks are is not
// known yet. Renamed tensors are found by what this file alone tells.
func (k *Kin) File(path string, tensors []Tensor) *KinFile {
	list := appendPlaced(nil, k.file(path), tensors)
	k.pair(list)
	return k.found(path, list)
}

// Likeness counts the tensors of m that the base has by name, type and shape.
func (k *Kin) Likeness(m *Manifest) int {
	n := 0
	for i := range m.Files {
		file := k.file(m.Files[i].Path)
		for j := range m.Files[i].Tensors {
			t := &m.Files[i].Tensors[j]
			if at := k.named(t.Name, file); at >= 0 && k.tensors[at].like(t) {
				n++
			}
		}
	}
	return n
}

// like reports whether t and u have the same type and shape.
func (t *Tensor) like(u *Tensor) bool {
	return t.DType == u.DType && slices.Equal(t.Shape, u.Shape)
}

// grown reports whether t and u are alike but for the number of rows.
func (t *Tensor) grown(u *Tensor) bool {
	return t.DType == u.DType && len(t.Shape) == len(u.Shape) &&
		(len(t.Shape) == 0 || slices.Equal(t.Shape[1:], u.Shape[1:]))
}

// file returns the index of the base's file of that path, or -1.
func (k *Kin) file(path string) int32 {
	i := sort.Search(len(k.base.Files), func(i int) bool { return k.base.Files[i].Path >= path })
	if i == len(k.base.Files) || k.base.Files[i].Path != path {
		return -1
	}
	return int32(i)
}

// named returns the base's tensor of that name: the one in that file if it is there,
// else the first, or -1.
func (k *Kin) named(name string, file int32) int32 {
	find := func(file int32) int {
		return sort.Search(len(k.names), func(i int) bool {
			t := &k.tensors[k.names[i]]
			return t.Name > name || t.Name == name && t.file >= file
		})
	}
	has := func(i int) bool { return i < len(k.names) && k.tensors[k.names[i]].Name == name }
	if i := find(file); has(i) && k.tensors[k.names[i]].file == file {
		return k.names[i]
	}
	if i := find(0); has(i) {
		return k.names[i]
	}
	return -1
}

// KinFile is a file whose tensors are paired with those of a base.
type KinFile struct {
	kin  *Kin
	file int32  // of the base at the same path, or -1
	head uint64 // where the first tensor starts
	runs []run  // by offset, apart from each other
}

// run is a run of bytes that lie at another place of the base.
type run struct {
	start, end uint64
	file       int32
	at         uint64
}

// found makes runs of the pairs of a file.
func (k *Kin) found(path string, tensors []placed) *KinFile {
	f := &KinFile{kin: k, file: k.file(path), head: math.MaxUint64}
	if len(tensors) > 0 {
		f.head = tensors[0].Offset
	}
	end := uint64(0)
	for _, t := range tensors {
		if t.kin < 0 {
			continue
		}
		b := &k.tensors[t.kin]
		start, stop := max(end, t.Offset), t.Offset+min(t.Length, b.Length)
		if start >= stop {
			continue
		}
		f.runs = append(f.runs, run{start, stop, b.file, b.Offset + (start - t.Offset)})
		end = stop
	}
	return f
}

// At returns the base's chunk that is related to length bytes at offset of the file: the
// one that starts at the same place of the paired tensor, or, before all tensors, at the
// same place of the file with the same path. One that is less than half as long is none.
func (f *KinFile) At(offset, length uint64) (chunk uint32, ok bool) {
	i := sort.Search(len(f.runs), func(i int) bool { return f.runs[i].end > offset })
	if i < len(f.runs) && f.runs[i].start <= offset {
		r := &f.runs[i]
		return f.starting(r.file, r.at+(offset-r.start), length)
	}
	if f.file < 0 || offset >= f.head {
		return 0, false
	}
	return f.starting(f.file, offset, length)
}

// starting returns the chunk that starts at offset of a file of the base.
func (f *KinFile) starting(file int32, offset, length uint64) (chunk uint32, ok bool) {
	i, ok := slices.BinarySearch(f.kin.starts[file], offset)
	if !ok {
		return 0, false
	}
	chunk = f.kin.base.Files[file].Chunks[i]
	return chunk, uint64(f.kin.base.Chunks[chunk].Size) >= length/2
}
