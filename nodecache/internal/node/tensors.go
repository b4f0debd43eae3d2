package node

import (
	"cmp"
	"slices"

	"github.com/ingot-ml/ingot/registry/manifest"
)

// tensors finds the chunks of a version's tensors.
type tensors struct {
	m *manifest.Manifest
	// begins is, for each file, where each of its chunks begins, in bytes.
	begins [][]uint64
}

func newTensors(m *manifest.Manifest) tensors {
	t := tensors{m: m, begins: make([][]uint64, len(m.Files))}
	for i := range m.Files {
		begins := make([]uint64, 0, len(m.Files[i].Chunks))
		for offset := range m.Extents(&m.Files[i]) {
			begins = append(begins, offset)
		}
		t.begins[i] = begins
	}
	return t
}

// inOrder returns all tensors, the named ones before the others.
func (t tensors) inOrder(first []string) []Arrival {
	rank := make(map[string]int, len(first))
	for i, name := range first {
		if _, ok := rank[name]; !ok {
			rank[name] = i
		}
	}
	at := func(a Arrival) int {
		if r, ok := rank[t.m.Files[a.File].Tensors[a.Tensor].Name]; ok {
			return r
		}
		return len(first)
	}
	var all []Arrival
	for f := range t.m.Files {
		for i := range t.m.Files[f].Tensors {
			all = append(all, Arrival{File: f, Tensor: i})
		}
	}
	slices.SortStableFunc(all, func(a, b Arrival) int { return cmp.Compare(at(a), at(b)) })
	return all
}

// chunks returns the chunks that a tensor lies in, in order.
func (t tensors) chunks(a Arrival) []uint32 {
	f := &t.m.Files[a.File]
	tensor, begins := f.Tensors[a.Tensor], t.begins[a.File]
	if tensor.Length == 0 {
		return nil
	}
	from, found := slices.BinarySearch(begins, tensor.Offset)
	if !found {
		from--
	}
	to, _ := slices.BinarySearch(begins, tensor.Offset+tensor.Length)
	return f.Chunks[from:to]
}
