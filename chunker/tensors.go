package chunker

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// ErrExtent reports tensors that overlap or do not lie inside their file.
var ErrExtent = errors.New("invalid tensor extent")

// Extent is the place of one tensor in a file, in bytes. TypeName is the
// container's word for the element type: only tensors of one word are gathered,
// since a container may have types that DType does not tell apart.
type Extent struct {
	Offset, Length int64
	DType          DType
	TypeName       string
}

// CutTensors cuts a file of size bytes along its tensors, which may come in any
// order and are not changed. The cuts cover the file in order, each byte once:
//
//   - a tensor of OwnSize or more starts a chunk, and is cut every MaxSize bytes
//     from its own start;
//   - shorter tensors that touch and have one type are gathered, whole, into
//     chunks of up to MaxSize;
//   - what no tensor covers (header, padding, trailer) is cut every MaxSize bytes
//     from where it starts.
//
// It fails with ErrExtent, naming the extent by its place in tensors. The result
// takes 24 bytes for each cut, so callers bound size first.
func CutTensors(size int64, tensors []Extent) ([]Cut, error) {
	order, err := sortExtents(size, tensors)
	if err != nil {
		return nil, err
	}
	c := cutter{cuts: make([]Cut, 0, expectedCuts(size, len(order)))}
	for _, i := range order {
		c.grid(tensors[i].Offset, Opaque)
		c.tensor(&tensors[i])
	}
	c.grid(size, Opaque)
	return c.cuts, nil
}

// expectedCuts guesses the capacity for a file of size bytes; small tensors
// share cuts, so half of them is plenty.
func expectedCuts(size int64, tensors int) int64 {
	return min(size/MaxSize, 1<<16) + int64(tensors)/2 + 2
}

// sortExtents returns the indexes of the tensors that have bytes, by offset,
// after it made sure that they lie inside size and apart from each other.
func sortExtents(size int64, tensors []Extent) ([]int, error) {
	if size < 0 {
		return nil, fmt.Errorf("file of %d bytes: %w", size, ErrExtent)
	}
	order := make([]int, 0, len(tensors))
	for i, t := range tensors {
		// No overflow: the subtraction happens between 0 and size.
		if t.Offset < 0 || t.Length < 0 || t.Offset > size || t.Length > size-t.Offset {
			return nil, fmt.Errorf("extent %d: %d bytes at %d leave the file's %d bytes: %w", i, t.Length, t.Offset, size, ErrExtent)
		}
		if t.Length > 0 {
			order = append(order, i)
		}
	}
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(tensors[a].Offset, tensors[b].Offset), cmp.Compare(a, b))
	})
	for n := 1; n < len(order); n++ {
		a, b := order[n-1], order[n]
		if tensors[a].Offset+tensors[a].Length > tensors[b].Offset {
			return nil, fmt.Errorf("extents %d and %d overlap at %d: %w", a, b, tensors[b].Offset, ErrExtent)
		}
	}
	return order, nil
}

// cutter cuts a file from its start to its end.
type cutter struct {
	cuts []Cut
	pos  int64 // end of the last cut

	// gathered is the type name that the last cut gathers; open says that it may
	// still grow.
	gathered string
	open     bool
}

// grid cuts from pos to end, every MaxSize bytes. It does nothing when there is
// no byte between them, and then a gathering goes on.
func (c *cutter) grid(end int64, t DType) {
	for c.pos < end {
		c.add(min(end-c.pos, MaxSize), t)
		c.open = false
	}
}

// tensor cuts t, which starts at pos.
func (c *cutter) tensor(t *Extent) {
	if t.Length >= OwnSize {
		c.grid(t.Offset+t.Length, t.DType)
		return
	}
	if c.gathers(t) {
		c.cuts[len(c.cuts)-1].Length += int(t.Length)
		c.pos += t.Length
		return
	}
	c.add(t.Length, t.DType)
	c.gathered, c.open = t.TypeName, true
}

// gathers reports whether t still fits the last cut.
func (c *cutter) gathers(t *Extent) bool {
	if !c.open || c.gathered != t.TypeName {
		return false
	}
	last := c.cuts[len(c.cuts)-1]
	return last.DType == t.DType && int64(last.Length)+t.Length <= MaxSize
}

func (c *cutter) add(length int64, t DType) {
	c.cuts = append(c.cuts, Cut{Offset: c.pos, Length: int(length), DType: t})
	c.pos += length
}
