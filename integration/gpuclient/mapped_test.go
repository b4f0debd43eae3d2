package gpuclient

import (
	"errors"
	"testing"

	"github.com/ingot-ml/ingot/openapi"
)

// TestImagesThatBreakTheRules has images that nobody may map.
func TestImagesThatBreakTheRules(t *testing.T) {
	m := newMapped(nil, nil)
	m.handles[1], m.handles[2] = handle{size: granule}, handle{size: 3 * granule}
	one, two := openapi.LeaseSlab{ID: 1, Size: granule}, openapi.LeaseSlab{ID: 2, Size: 3 * granule}
	at := func(offset, bytes int64) openapi.ImageTensor {
		return openapi.ImageTensor{Name: "w", Offset: offset, Bytes: bytes}
	}
	image := func(size, reserve int64, slabs []openapi.LeaseSlab, tensors ...openapi.ImageTensor) *openapi.LeaseImage {
		return &openapi.LeaseImage{Size: size, Reserve: reserve, Slabs: slabs, Tensors: tensors}
	}
	both := []openapi.LeaseSlab{one, two}
	if err := m.judge(image(4*granule, 4*granule, both, at(512, 4*granule-512), at(0, 0), at(0, 512))); err != nil {
		t.Errorf("an image that keeps the rules: %v", err)
	}
	if err := m.judge(image(2*granule, 2*granule, []openapi.LeaseSlab{one, one})); err != nil {
		t.Errorf("an image that has a slab twice: %v", err)
	}
	for what, i := range map[string]*openapi.LeaseImage{
		"an unknown slab":           image(granule, granule, []openapi.LeaseSlab{{ID: 3, Size: granule}}),
		"a slab of another size":    image(2*granule, 2*granule, []openapi.LeaseSlab{{ID: 1, Size: 2 * granule}}),
		"a size that is not theirs": image(3*granule, 4*granule, both),
		"too few addresses":         image(4*granule, 3*granule, both),
		"a tensor out of line":      image(4*granule, 4*granule, both, at(256, 256)),
		"tensors that overlap":      image(4*granule, 4*granule, both, at(0, 513), at(512, 512)),
		"a tensor beyond the end":   image(4*granule, 4*granule, both, at(4*granule-512, 513)),
		"a tensor before the begin": image(4*granule, 4*granule, both, at(-512, 512)),
	} {
		if err := m.judge(i); !errors.Is(err, ErrRules) {
			t.Errorf("%s: %v, want ErrRules", what, err)
		}
	}
	for what, s := range map[string]openapi.LeaseSlab{
		"a slab that has changed": {ID: 1, Size: 2 * granule},
		"a slab without a name":   {Size: granule},
		"a slab of an odd size":   {ID: 3, Size: granule + 1},
		"a slab that is too big":  {ID: 3, Size: largest + granule},
		"a slab of nothing":       {ID: 3},
	} {
		if err := m.take(s, nil); !errors.Is(err, ErrRules) {
			t.Errorf("%s: %v, want ErrRules", what, err)
		}
	}
}
