package gpu

import (
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/registry/manifest"
)

const (
	// align is what the offset of every tensor is a multiple of, in bytes: what the
	// kernels of engines load at a time, and what allocators of GPUs give.
	align = 512
	// leastAlias is the size from which on tensors of the same bytes are one. Smaller
	// ones take no room that matters, and an accident such as two norms of ones must
	// not make the layouts of two variants differ.
	leastAlias = 256 << 10
)

// cut says how large slabs are. A slab ends at the first layer that makes it least
// bytes long, and in the middle of a layer when it has most.
// Its size is a multiple of unit, as the driver wants it.
type cut struct{ least, most, unit int64 }

var defaultCut = cut{least: 64 << 20, most: 512 << 20, unit: 2 << 20}

// extent is bytes of a chunk that lie together in a slab.
type extent struct {
	offset int64 // in the slab
	chunk  chunker.Digest
	at     int64 // in the chunk
	length int64
}

// recipe is what a slab holds. Everything between the extents is zero.
type recipe struct {
	size    int64
	extents []extent // by offset
	name    chunker.Digest
}

// spot is a tensor of a version and where it lies in the image.
type spot struct {
	file   string
	tensor *manifest.Tensor
	offset int64
}

// layout is where the tensors of a version lie, a function of its manifest alone:
// versions with the same tensors have the same.
type layout struct {
	spots []spot // in the order of their names
	slabs []*recipe
	size  int64 // bytes of all slabs
	bytes int64 // of the tensors, each once
}

// newLayout lays the tensors of a version out.
func newLayout(m *manifest.Manifest, c cut) *layout {
	l := &layout{}
	b := slabber{cut: c}
	known := map[string]int64{} // offset by content
	list := tensorsOf(m)
	for i, t := range list {
		if i == 0 || t.layer != list[i-1].layer {
			b.layer(layerSize(list[i:]))
		}
		parts := t.parts(m)
		content := contentOf(t, parts)
		at, there := known[content]
		if !there {
			at = b.add(parts)
			l.bytes += int64(t.tensor.Length)
			known[content] = at
		}
		l.spots = append(l.spots, spot{t.file.Path, t.tensor, at})
	}
	l.slabs = b.finish()
	for _, r := range l.slabs {
		l.size += r.size
	}
	return l
}

// contentOf names what is never two in one image.
func contentOf(t tensor, parts []extent) string {
	if t.tensor.Length < leastAlias {
		return t.place()
	}
	var key []byte
	for _, p := range parts {
		key = append(key, p.chunk[:]...)
		key = binary.LittleEndian.AppendUint64(key, uint64(p.at))
		key = binary.LittleEndian.AppendUint64(key, uint64(p.length))
	}
	return string(key)
}

// layerSize is how many bytes the tensors of the first layer of the list take.
func layerSize(list []tensor) (n int64) {
	for _, t := range list {
		if t.layer != list[0].layer {
			break
		}
		n += up(int64(t.tensor.Length), align)
	}
	return n
}

// like reports whether the tensors of two versions lie in the same way, so that one
// can come over the other.
func (l *layout) like(o *layout) bool {
	return slices.EqualFunc(l.slabs, o.slabs, func(a, b *recipe) bool { return a.size == b.size }) &&
		slices.EqualFunc(l.spots, o.spots, func(a, b spot) bool {
			return a.offset == b.offset && a.tensor.Name == b.tensor.Name && a.tensor.DType == b.tensor.DType &&
				a.tensor.Length == b.tensor.Length && slices.Equal(a.tensor.Shape, b.tensor.Shape)
		})
}

// slabber fills slabs, one behind the other.
type slabber struct {
	cut
	slabs []*recipe
	used  int64 // of the last slab; its size is set when it ends
	base  int64 // bytes of the slabs before it
}

// layer is told how long the layer is that begins.
func (b *slabber) layer(n int64) {
	if b.used >= b.least || b.used > 0 && b.used+n > b.most {
		b.end()
	}
}

// end makes what comes next begin a slab.
func (b *slabber) end() {
	last := b.slabs[len(b.slabs)-1]
	last.size = up(b.used, b.unit)
	b.base += last.size
	b.used = 0
}

// add places a tensor and returns where. One that does not fit into a slab goes on
// in the next, which follows at once.
func (b *slabber) add(parts []extent) (at int64) {
	b.used = up(b.used, align)
	if b.used >= b.most {
		b.end()
	}
	at = b.base + b.used
	for _, p := range parts {
		for p.length > 0 {
			if b.used == b.most {
				b.end()
			}
			if b.used == 0 {
				b.slabs = append(b.slabs, &recipe{})
			}
			last := b.slabs[len(b.slabs)-1]
			n := min(p.length, b.most-b.used)
			last.extents = append(last.extents, extent{b.used, p.chunk, p.at, n})
			b.used, p.at, p.length = b.used+n, p.at+n, p.length-n
		}
	}
	return at
}

func (b *slabber) finish() []*recipe {
	if b.used > 0 {
		b.end()
	}
	for _, r := range b.slabs {
		r.name = r.sum()
	}
	return b.slabs
}

// sum names a recipe by all that it says.
func (r *recipe) sum() chunker.Digest {
	doc := append(make([]byte, 0, 16+len(r.extents)*56), "ingot slab 1\n"...)
	doc = binary.LittleEndian.AppendUint64(doc, uint64(r.size))
	for _, e := range r.extents {
		doc = binary.LittleEndian.AppendUint64(doc, uint64(e.offset))
		doc = append(doc, e.chunk[:]...)
		doc = binary.LittleEndian.AppendUint64(doc, uint64(e.at))
		doc = binary.LittleEndian.AppendUint64(doc, uint64(e.length))
	}
	return chunker.Sum(doc)
}

// gaps yields what is not of any extent.
func (r *recipe) gaps(yield func(offset, length int64) bool) {
	at := int64(0)
	for _, e := range r.extents {
		if e.offset > at && !yield(at, e.offset-at) {
			return
		}
		at = e.offset + e.length
	}
	if at < r.size {
		yield(at, r.size-at)
	}
}

// has reports whether the recipe has the same bytes at the same place.
func (r *recipe) has(e extent) bool {
	i, ok := slices.BinarySearchFunc(r.extents, e.offset, func(x extent, at int64) int { return cmp.Compare(x.offset, at) })
	return ok && r.extents[i] == e
}

func up(n, to int64) int64 { return (n + to - 1) / to * to }
