package format_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/format"
)

// at is a tensor at a place.
func at(name string, offset, length int64) format.Tensor {
	return format.Tensor{Name: name, DType: "UINT8", Elem: chunker.U8, Offset: offset, Length: length}
}

func TestAlong(t *testing.T) {
	const size = 100
	for name, tt := range map[string]struct {
		tensors []format.Tensor
		want    string // names in order
	}{
		"none":            {nil, ""},
		"one":             {[]format.Tensor{at("a", 0, size)}, "a"},
		"gaps":            {[]format.Tensor{at("b", 50, 10), at("a", 10, 10)}, "a b"},
		"touching":        {[]format.Tensor{at("b", 50, 50), at("a", 0, 50)}, "a b"},
		"the same bytes":  {[]format.Tensor{at("b", 8, 8), at("a", 8, 8), at("c", 8, 8)}, "a"},
		"no bytes":        {[]format.Tensor{at("a", 0, 8), at("b", 4, 0), at("c", 8, 0), at("d", 8, 8), at("e", size, 0)}, "a b c d e"},
		"a name, twice":   {[]format.Tensor{at("a", 8, 8), at("a", 0, 8)}, "a a@8"},
		"a name, for two": {[]format.Tensor{at("a", 8, 8), at("a", 8, 8)}, "a"},
	} {
		t.Run(name, func(t *testing.T) {
			for range 8 {
				rand.Shuffle(len(tt.tensors), func(i, j int) { tt.tensors[i], tt.tensors[j] = tt.tensors[j], tt.tensors[i] })
				was := slices.Clone(tt.tensors)
				f, err := format.Along(size, tt.tensors)
				if err != nil || f.Format != format.ONNXData || f.Size != size {
					t.Fatalf("got %+v, %v", f, err)
				}
				var names []string
				for i, tensor := range f.Tensors {
					names = append(names, tensor.Name)
					if tt.tensors[i].Name != was[i].Name {
						t.Error("the argument was changed")
					}
				}
				if got := strings.Join(names, " "); got != tt.want {
					t.Errorf("got %q, want %q", got, tt.want)
				}
				checkTensors(t, f, cutAll(t, f, make([]byte, size)))
			}
		})
	}
}

func TestAlongRefuses(t *testing.T) {
	for name, tt := range map[string]struct {
		tensors []format.Tensor
		says    string
	}{
		"past the end":     {[]format.Tensor{at("a", 99, 2)}, `tensor "a": 2 bytes at 99 leave the file's 100 bytes`},
		"behind the end":   {[]format.Tensor{at("a", 101, 0)}, `0 bytes at 101 leave`},
		"far out of range": {[]format.Tensor{at("a", math.MaxInt64, 1)}, "leave the file's"},
		"overflow":         {[]format.Tensor{at("a", 50, math.MaxInt64)}, "leave the file's"},
		"negative offset":  {[]format.Tensor{at("a", -1, 2)}, "2 bytes at -1 leave"},
		"negative length":  {[]format.Tensor{at("a", 1, -1)}, "-1 bytes at 1 leave"},
		"overlap":          {[]format.Tensor{at("b", 7, 8), at("a", 0, 8)}, `tensor "b": 8 bytes at 7 overlap tensor "a"`},
		"one in the other": {[]format.Tensor{at("a", 0, 100), at("n", 1, 0), at("b", 3, 4)}, `tensor "b": 4 bytes at 3 overlap tensor "a"`},
		"the same start":   {[]format.Tensor{at("a", 8, 8), at("b", 8, 9)}, `tensor "b": 9 bytes at 8 overlap tensor "a"`},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := format.Along(100, tt.tensors)
			if !errors.Is(err, format.ErrMalformed) || f != nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %+v, %v, want %q", f, err, tt.says)
			}
		})
	}
}

func TestAlongOpaque(t *testing.T) {
	for name, tt := range map[string]struct {
		size    int64
		tensors []format.Tensor
	}{
		"no bytes":        {0, []format.Tensor{at("a", 0, 1)}},
		"4 TiB":           {4<<40 + 1, []format.Tensor{at("a", 0, 1)}},
		"name of a place": {100, []format.Tensor{at("a@2", 0, 1), at("a", 1, 1), at("a", 2, 1)}},
	} {
		if f, err := format.Along(tt.size, tt.tensors); err != nil || f.Format != format.Opaque || len(f.Tensors) > 0 {
			t.Errorf("%s: %+v, %v, want opaque", name, f, err)
		}
	}
}
