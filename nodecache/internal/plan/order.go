package plan

import (
	"sort"

	"github.com/ingot-ml/ingot/registry/manifest"
)

// order puts the chunks of a manifest in the order in which they are wanted.
type order struct {
	m      *manifest.Manifest
	listed []bool // by chunk
	chunks []uint32
	starts []int // of groups in chunks
	last   place // what the newest group is of
}

// place is a tensor of a manifest, by its indexes. Its zero value is none.
type place struct{ file, tensor int }

func newOrder(m *manifest.Manifest) *order {
	return &order{m: m, listed: make([]bool, len(m.Chunks)), chunks: make([]uint32, 0, len(m.Chunks))}
}

// add lists a chunk, unless it is. of is the tensor that it is a part of and that
// nothing else in it belongs to.
func (o *order) add(c uint32, of place) {
	if o.listed[c] {
		return
	}
	o.listed[c] = true
	if of == (place{}) || of != o.last {
		o.starts = append(o.starts, len(o.chunks))
	}
	o.last = of
	o.chunks = append(o.chunks, c)
}

// groups returns the listed chunks in their runs.
func (o *order) groups() [][]uint32 {
	groups := make([][]uint32, len(o.starts))
	for i, start := range o.starts {
		end := len(o.chunks)
		if i+1 < len(o.starts) {
			end = o.starts[i+1]
		}
		groups[i] = o.chunks[start:end:end]
	}
	return groups
}

// files lists all chunks in the order of the files. A chunk that lies in several
// tensors belongs to the one that reaches furthest.
func (o *order) files() {
	for f := range o.m.Files {
		file := &o.m.Files[f]
		var reaches uint64
		var furthest place
		next := 0
		for offset, c := range o.m.Extents(file) {
			for ; next < len(file.Tensors) && file.Tensors[next].Offset <= offset; next++ {
				if end := file.Tensors[next].Offset + file.Tensors[next].Length; end > reaches {
					reaches, furthest = end, place{f + 1, next + 1}
				}
			}
			of := furthest
			if offset+uint64(o.m.Chunks[c].Size) > reaches {
				of = place{}
			}
			o.add(c, of)
		}
	}
}

// tensors lists the chunks that the named tensors lie in, in the order of the
// names, then of the files.
func (o *order) tensors(names []string) {
	if len(names) == 0 {
		return
	}
	found := make(map[string][]place, len(names))
	for _, n := range names {
		found[n] = nil
	}
	for f := range o.m.Files {
		for t := range o.m.Files[f].Tensors {
			name := o.m.Files[f].Tensors[t].Name
			if at, wanted := found[name]; wanted {
				found[name] = append(at, place{f + 1, t + 1})
			}
		}
	}
	offsets := make(map[int][]uint64)
	for _, n := range names {
		for _, at := range found[n] {
			if offsets[at.file] == nil {
				offsets[at.file] = o.offsets(at.file)
			}
			o.tensor(at, offsets[at.file])
		}
		found[n] = nil // named twice, listed once
	}
}

// offsets returns where each chunk of a file begins, and where the last ends.
func (o *order) offsets(file int) []uint64 {
	f := &o.m.Files[file-1]
	offsets := make([]uint64, 0, len(f.Chunks)+1)
	for offset := range o.m.Extents(f) {
		offsets = append(offsets, offset)
	}
	return append(offsets, f.Size)
}

// tensor lists the chunks that a tensor lies in.
func (o *order) tensor(at place, offsets []uint64) {
	f := &o.m.Files[at.file-1]
	t := &f.Tensors[at.tensor-1]
	if t.Length == 0 {
		return
	}
	end := t.Offset + t.Length
	i := sort.Search(len(f.Chunks), func(i int) bool { return offsets[i+1] > t.Offset })
	for ; i < len(f.Chunks) && offsets[i] < end; i++ {
		of := at
		if offsets[i] < t.Offset || offsets[i+1] > end {
			of = place{}
		}
		o.add(f.Chunks[i], of)
	}
}
