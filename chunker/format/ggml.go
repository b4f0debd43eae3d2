package format

import (
	"fmt"
	"math"
	"slices"

	"github.com/ingot-ml/ingot/chunker"
)

// ggmlType is an element type of ggml. A row of a tensor is a whole number of
// blocks of that many elements, each of size bytes; block is 0 where the type
// does not tell. Blocks mix scales with packed numbers, so the codec is left to find
// what suits their bytes.
type ggmlType struct {
	word        string
	elem        chunker.DType
	block, size uint64
}

// ggmlTypes are the types by their number in files. Those without blocks were
// removed before long, but for Q8_1: 36 bytes to some readers, 40 to others. No
// known model has any of them.
var ggmlTypes = [...]ggmlType{
	0:  {"F32", chunker.F32, 1, 4},
	1:  {"F16", chunker.F16, 1, 2},
	2:  {"Q4_0", chunker.Untyped, 32, 18},
	3:  {"Q4_1", chunker.Untyped, 32, 20},
	4:  {"Q4_2", chunker.Untyped, 0, 0},
	5:  {"Q4_3", chunker.Untyped, 0, 0},
	6:  {"Q5_0", chunker.Untyped, 32, 22},
	7:  {"Q5_1", chunker.Untyped, 32, 24},
	8:  {"Q8_0", chunker.Untyped, 32, 34},
	9:  {"Q8_1", chunker.Untyped, 0, 0},
	10: {"Q2_K", chunker.Untyped, 256, 84},
	11: {"Q3_K", chunker.Untyped, 256, 110},
	12: {"Q4_K", chunker.Untyped, 256, 144},
	13: {"Q5_K", chunker.Untyped, 256, 176},
	14: {"Q6_K", chunker.Untyped, 256, 210},
	15: {"Q8_K", chunker.Untyped, 256, 292},
	16: {"IQ2_XXS", chunker.Untyped, 256, 66},
	17: {"IQ2_XS", chunker.Untyped, 256, 74},
	18: {"IQ3_XXS", chunker.Untyped, 256, 98},
	19: {"IQ1_S", chunker.Untyped, 256, 50},
	20: {"IQ4_NL", chunker.Untyped, 32, 18},
	21: {"IQ3_S", chunker.Untyped, 256, 110},
	22: {"IQ2_S", chunker.Untyped, 256, 82},
	23: {"IQ4_XS", chunker.Untyped, 256, 136},
	24: {"I8", chunker.I8, 1, 1},
	25: {"I16", chunker.I16, 1, 2},
	26: {"I32", chunker.I32, 1, 4},
	27: {"I64", chunker.I64, 1, 8},
	28: {"F64", chunker.F64, 1, 8},
	29: {"IQ1_M", chunker.Untyped, 256, 56},
	30: {"BF16", chunker.BF16, 1, 2},
	31: {"Q4_0_4_4", chunker.Untyped, 0, 0},
	32: {"Q4_0_4_8", chunker.Untyped, 0, 0},
	33: {"Q4_0_8_8", chunker.Untyped, 0, 0},
	34: {"TQ1_0", chunker.Untyped, 256, 54},
	35: {"TQ2_0", chunker.Untyped, 256, 66},
	36: {"IQ4_NL_4_4", chunker.Untyped, 0, 0},
	37: {"IQ4_NL_4_8", chunker.Untyped, 0, 0},
	38: {"IQ4_NL_8_8", chunker.Untyped, 0, 0},
	39: {"MXFP4", chunker.Untyped, 32, 17},
	40: {"NVFP4", chunker.Untyped, 64, 36},
	41: {"Q1_0", chunker.Untyped, 128, 18},
	42: {"Q2_0", chunker.Untyped, 64, 18},
}

// ggmlTypeOf returns the type of that number. One that is not known yet has a
// word too, and no blocks.
func ggmlTypeOf(number uint32) (ggmlType, error) {
	switch {
	case number > math.MaxInt32:
		return ggmlType{}, malformedf("element type %d", int32(number))
	case number >= uint32(len(ggmlTypes)):
		return ggmlType{word: fmt.Sprintf("ggml_type_%d", number), elem: chunker.Untyped}, nil
	}
	return ggmlTypes[number], nil
}

// length returns the bytes of a tensor, -1 when its type does not tell. The
// dimensions are in the order of the file, which starts with that of a row.
func (k ggmlType) length(dims []uint64) (int64, error) {
	if i := slices.IndexFunc(dims, func(n uint64) bool { return n > math.MaxInt64 }); i >= 0 {
		return 0, malformedf("dimension %d of %d elements", i, dims[i])
	}
	if k.block == 0 {
		if slices.Contains(dims, 0) {
			return 0, nil
		}
		return -1, nil
	}
	blocks := append([]uint64{1}, dims...)
	row := min(1, len(dims))
	if blocks[row]%k.block != 0 {
		return 0, malformedf("rows of %d elements, %s has blocks of %d", blocks[row], k.word, k.block)
	}
	blocks[row] /= k.block
	n, err := arraySize(blocks, k.size)
	if err == nil && n > math.MaxInt64 {
		err = malformedf("shape %v overflows", dims)
	}
	return int64(n), err
}
