package manifest

import "slices"

// Diff says how version b differs from version a. Pointers lead into the
// compared manifests. Lists are in the order of the version they come from.
type Diff struct {
	Files        Delta[*File]  // matched by path
	Tensors      Delta[Placed] // matched by name, wherever in the version they lie
	ChunksShared int           // distinct chunks of b that a has
	ChunksNew    int           // distinct chunks of b that a lacks
	BytesShared  uint64        // plain bytes of ChunksShared
	BytesNew     uint64        // plain bytes of ChunksNew
}

// Delta sorts the things of two versions by what became of them. Removed ones
// are a's, all others b's.
type Delta[T any] struct {
	Added, Removed, Changed, Same []T
}

// Placed is a tensor and the file it lies in.
type Placed struct {
	File   *File
	Tensor *Tensor
}

// Compare returns how b differs from a, both valid. It reads no weights: "same"
// is certain, while "changed" may be wrong for bytes that are cut otherwise, as a
// small tensor is when one that shares its chunk has changed. Files are the same
// when their bytes are. Tensors are the same when type, shape and bytes are; of
// several with one name, those in files of the same path are compared, and the
// rest in order.
func Compare(a, b *Manifest) Diff {
	c := comparison{a: a, b: b, diff: &Diff{}}
	c.chunks()
	c.files()
	c.tensors()
	return *c.diff
}

// comparison is the state of one Compare.
type comparison struct {
	a, b   *Manifest
	inA    []uint32 // for every chunk of b its index in a, or absent
	visits int      // chunk comparisons that tensors may still cost
	diff   *Diff
}

const absent = ^uint32(0)

func (c *comparison) chunks() {
	known := newIndex(len(c.a.Chunks))
	for i := range c.a.Chunks {
		known.add(c.a.Chunks, i)
	}
	c.inA = make([]uint32, len(c.b.Chunks))
	for i := range c.b.Chunks {
		chunk := &c.b.Chunks[i]
		if place, ok := known.find(c.a.Chunks, &chunk.Digest); ok {
			c.inA[i] = place
			c.diff.ChunksShared++
			c.diff.BytesShared += uint64(chunk.Size)
			continue
		}
		c.inA[i] = absent
		c.diff.ChunksNew++
		c.diff.BytesNew += uint64(chunk.Size)
	}
}

// sameChunks reports whether the chunks listA of a are the chunks listB of b.
func (c *comparison) sameChunks(listA, listB []uint32) bool {
	return slices.EqualFunc(listA, listB, func(x, y uint32) bool { return c.inA[y] == x })
}

func (c *comparison) files() {
	d := &c.diff.Files
	for i := range c.b.Files {
		f := &c.b.Files[i]
		switch old := c.a.File(f.Path); {
		case old == nil:
			d.Added = append(d.Added, f)
		case c.sameChunks(old.Chunks, f.Chunks):
			d.Same = append(d.Same, f)
		default:
			d.Changed = append(d.Changed, f)
		}
	}
	for i := range c.a.Files {
		if f := &c.a.Files[i]; c.b.File(f.Path) == nil {
			d.Removed = append(d.Removed, f)
		}
	}
}
