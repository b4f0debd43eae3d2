package deltas

import (
	"math"
	"slices"

	"github.com/ingot-ml/ingot/registry/internal/placement"
)

// MaxDepth is how many bases a stored chunk may need.
const MaxDepth = 2

// Whole is what Choose returns for a chunk that is to be stored whole.
const Whole = -1

// Chain lists what a chunk may be stored as a delta of: the related chunk of the version
// before, and then what that one needs, nearest first. All lie in one namespace. The last
// is whole, an anchor, and every other one is a delta of the one behind it.
type Chain []placement.Entry

// ChainOf returns the chain of a related chunk that e places.
func ChainOf(e *placement.Entry) Chain {
	nearest := *e
	nearest.Closure, nearest.Spent = nil, 0
	return append(Chain{nearest}, e.Closure...)
}

// Sizer tells how many bytes a chunk takes as a delta of the i-th of its chain. ok is
// false when that are more than limit, which may be 0 or less.
type Sizer func(i, limit int) (size int, ok bool, err error)

// Choose says of which of the chain a chunk is to be stored as a delta, or Whole. whole
// is about how many bytes it takes as that.
//
// A middle gets steps for as long as all of them together cost no more than another
// middle does, and an anchor gets middles until they have cost as much as another anchor.
// A hundred checkpoints, in each of which 2 % of the values change, then take some 6
// times the plain bytes of one.
func Choose(chain Chain, whole int, size Sizer) (base int, err error) {
	limit := whole - whole/16 // or a delta is not worth its base
	base, anchor, middle := Whole, len(chain)-1, len(chain)-2
	if middle >= 0 {
		step, ok, err := size(middle, limit)
		if err != nil {
			return Whole, err
		}
		if ok {
			base, limit = middle, min(limit, int(chain[middle].Spent)+step-1)
		}
	}
	if anchor < 0 {
		return Whole, nil
	}
	fresh, ok, err := size(anchor, limit)
	switch {
	case err != nil:
		return Whole, err
	case !ok:
		return base, nil
	case int(chain[anchor].Spent)+fresh > whole:
		return Whole, nil
	}
	return anchor, nil
}

// Closure returns the closure of a chunk that was stored as a delta of the base-th of
// the chain in size bytes.
func (c Chain) Closure(base, size int) []placement.Entry {
	closure := slices.Clone(c[base:])
	closure[0].Spent = uint32(min(uint64(closure[0].Spent)+uint64(size), math.MaxUint32))
	return closure
}
