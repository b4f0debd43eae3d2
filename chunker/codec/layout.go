package codec

import (
	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/codec/internal/planes"
)

// layouts holds, for every layout, the bytes of an element, which is also the
// number of planes, the functions that split and merge it, and whether a delta may
// have it. A single plane is the plain bytes and needs no functions.
var layouts = [layoutsKnown]struct {
	width int
	split func(*planes.Set, []byte)
	merge func([]byte, *planes.Set)
	delta bool
}{
	LayoutBytes: {width: 1},
	LayoutOne:   {width: 1, delta: true},
	LayoutTwo:   {2, planes.Split2, planes.Merge2, true},
	LayoutBF16:  {2, planes.SplitBF16, planes.MergeBF16, false},
	LayoutF32:   {4, planes.SplitF32, planes.MergeF32, false},
	LayoutEight: {8, planes.Split8, planes.Merge8, true},
	LayoutFour:  {4, planes.Split4, planes.Merge4, true},
}

// planes returns the number of planes of a known layout.
func (l Layout) planes() int { return layouts[l].width }

// chooseLayout returns the layout for n bytes of type t. Bytes that are not whole
// elements have no planes.
func chooseLayout(t chunker.DType, n int) Layout {
	if t == chunker.Opaque || n%t.Width() != 0 {
		return LayoutBytes
	}
	switch t {
	case chunker.BF16:
		return LayoutBF16
	case chunker.F32:
		return LayoutF32
	}
	switch t.Width() {
	case 2:
		return LayoutTwo
	case 4:
		return LayoutFour
	case 8:
		return LayoutEight
	}
	return LayoutOne
}
