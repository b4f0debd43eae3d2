package manifest

import "slices"

// maxVisits bounds how often comparing tensors looks at each chunk index.
// Tensors may overlap, so without it two small documents could cost hours. Tied
// weights need a visit for each name.
const maxVisits = 64

// span is a tensor and the chunks that it overlaps.
type span struct {
	Placed
	chunks []uint32 // part of the file's list
	skip   uint64   // bytes of the first chunk before the tensor
	next   int      // the following unpaired span with the same name, or -1
	paired bool
}

func (c *comparison) tensors() {
	d := &c.diff.Tensors
	olds, news := spans(c.a), spans(c.b)
	pairs := pairSpans(olds, news)
	for i := range c.b.Files {
		c.visits += maxVisits * len(c.b.Files[i].Chunks)
	}
	for i := range news {
		switch old := pairs[i]; {
		case old == nil:
			d.Added = append(d.Added, news[i].Placed)
		case c.sameTensor(old, &news[i]):
			d.Same = append(d.Same, news[i].Placed)
		default:
			d.Changed = append(d.Changed, news[i].Placed)
		}
	}
	for i := range olds {
		if !olds[i].paired {
			d.Removed = append(d.Removed, olds[i].Placed)
		}
	}
}

// sameTensor reports whether type, shape and bytes are certainly equal.
func (c *comparison) sameTensor(old, now *span) bool {
	a, b := old.Tensor, now.Tensor
	if a.DType != b.DType || !slices.Equal(a.Shape, b.Shape) || a.Length != b.Length || old.skip != now.skip {
		return false
	}
	c.visits -= len(now.chunks)
	return c.visits >= 0 && c.sameChunks(old.chunks, now.chunks)
}

// spans returns the tensors of m, in order.
func spans(m *Manifest) []span {
	var list []span
	var ends []uint64 // of the file's chunks, as offsets in the file
	for i := range m.Files {
		f := &m.Files[i]
		if len(f.Tensors) == 0 {
			continue
		}
		ends = slices.Grow(ends[:0], len(f.Chunks))
		for offset, chunk := range m.Extents(f) {
			ends = append(ends, offset+uint64(m.Chunks[chunk].Size))
		}
		list = slices.Grow(list, len(f.Tensors))
		for j := range f.Tensors {
			list = append(list, newSpan(f, &f.Tensors[j], ends))
		}
	}
	return list
}

func newSpan(f *File, t *Tensor, ends []uint64) span {
	s := span{Placed: Placed{f, t}}
	if t.Length == 0 {
		return s
	}
	first, _ := slices.BinarySearch(ends, t.Offset+1)
	last, _ := slices.BinarySearch(ends, t.Offset+t.Length)
	s.chunks = f.Chunks[first : last+1]
	s.skip = t.Offset
	if first > 0 {
		s.skip -= ends[first-1]
	}
	return s
}

// pairSpans returns for each new tensor the old one to compare it with, or nil.
// Both lists are sorted by path, so one pass over them pairs equal paths, and a
// second what is left.
func pairSpans(olds, news []span) []*span {
	pairs := make([]*span, len(news))
	heads := unpaired(olds)
	for i := range news {
		name, path := news[i].Tensor.Name, news[i].File.Path
		at := follow(heads, name)
		for at >= 0 && olds[at].File.Path < path {
			at = olds[at].next
		}
		if at >= 0 && olds[at].File.Path == path {
			pairs[i] = take(olds, at)
			at = olds[at].next
		}
		heads[name] = at
	}
	heads = unpaired(olds)
	for i := range news {
		if at := follow(heads, news[i].Tensor.Name); pairs[i] == nil && at >= 0 {
			pairs[i] = take(olds, at)
			heads[news[i].Tensor.Name] = olds[at].next
		}
	}
	return pairs
}

// unpaired links the spans that have no partner by name and returns the first
// of each name.
func unpaired(list []span) map[string]int {
	heads := make(map[string]int)
	for i := len(list) - 1; i >= 0; i-- {
		if !list[i].paired {
			list[i].next = follow(heads, list[i].Tensor.Name)
			heads[list[i].Tensor.Name] = i
		}
	}
	return heads
}

// follow returns the head for name, or -1.
func follow(heads map[string]int, name string) int {
	if at, ok := heads[name]; ok {
		return at
	}
	return -1
}

func take(list []span, at int) *span {
	list[at].paired = true
	return &list[at]
}
