package main

import (
	"slices"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/registry/manifest"
)

// news knows which bytes of version b lie in chunks that version a lacks.
type news struct {
	b     *manifest.Manifest
	fresh []bool // for every chunk of b
	files map[string]fileNews
}

// fileNews is the news of one file. Before offsets[i], where its chunk i starts,
// there are sums[i] new bytes; the last entry is the end of the file.
type fileNews struct {
	offsets, sums []uint64
	tensors       map[string]*manifest.Tensor
}

func findNews(a, b *manifest.Manifest) *news {
	known := make(map[chunker.Digest]bool, len(a.Chunks))
	for _, c := range a.Chunks {
		known[c.Digest] = true
	}
	n := &news{b: b, fresh: make([]bool, len(b.Chunks)), files: map[string]fileNews{}}
	for i, c := range b.Chunks {
		n.fresh[i] = !known[c.Digest]
	}
	return n
}

// of returns the news of the file at path, which b has.
func (n *news) of(path string) fileNews {
	if f, ok := n.files[path]; ok {
		return f
	}
	file := n.b.File(path)
	if file == nil {
		return fileNews{}
	}
	f := fileNews{offsets: []uint64{0}, sums: []uint64{0}, tensors: make(map[string]*manifest.Tensor, len(file.Tensors))}
	var sum uint64
	for offset, c := range n.b.Extents(file) {
		size := uint64(n.b.Chunks[c].Size)
		if n.fresh[c] {
			sum += size
		}
		f.offsets, f.sums = append(f.offsets, offset+size), append(f.sums, sum)
	}
	for i := range file.Tensors {
		f.tensors[file.Tensors[i].Name] = &file.Tensors[i]
	}
	n.files[path] = f
	return f
}

// file returns the new bytes of a file.
func (n *news) file(path string) int64 {
	f := n.of(path)
	if len(f.sums) == 0 {
		return 0
	}
	return int64(f.sums[len(f.sums)-1])
}

// tensor returns the new bytes of a tensor.
func (n *news) tensor(path, name string) int64 {
	f := n.of(path)
	t := f.tensors[name]
	if t == nil {
		return 0
	}
	return int64(f.before(t.Offset+t.Length) - f.before(t.Offset))
}

// before returns the new bytes before offset. Asking twice costs less than
// visiting the chunks of a tensor, which may overlap others.
func (f fileNews) before(offset uint64) uint64 {
	i, exact := slices.BinarySearch(f.offsets, offset)
	if exact || i == len(f.offsets) {
		return f.sums[min(i, len(f.sums)-1)]
	}
	sum := f.sums[i-1]
	if f.sums[i] > sum {
		sum += offset - f.offsets[i-1]
	}
	return sum
}
