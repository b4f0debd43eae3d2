package manifest

import (
	"strings"

	"github.com/ingot-ml/ingot/chunker"
)

// otherWords are the words of containers that do not spell types as chunker does: those
// of ONNX, and of NumPy without the byte order.
var otherWords = map[string]chunker.DType{
	"FLOAT": chunker.F32, "FLOAT16": chunker.F16, "BFLOAT16": chunker.BF16, "DOUBLE": chunker.F64,
	"INT8": chunker.I8, "INT16": chunker.I16, "INT32": chunker.I32, "INT64": chunker.I64,
	"UINT8": chunker.U8, "UINT16": chunker.U16, "UINT32": chunker.U32, "UINT64": chunker.U64,
	"FLOAT8E4M3FN": chunker.F8E4M3, "FLOAT8E5M2": chunker.F8E5M2,
	"f2": chunker.F16, "f4": chunker.F32, "f8": chunker.F64,
	"i1": chunker.I8, "i2": chunker.I16, "i4": chunker.I32, "i8": chunker.I64,
	"u1": chunker.U8, "u2": chunker.U16, "u4": chunker.U32, "u8": chunker.U64,
}

// elementOf returns what a container's word for a type means to an encoder, which looks
// at the numbers itself when nobody can tell.
func elementOf(word string) chunker.DType {
	if t, ok := chunker.ParseDType(word); ok {
		return t
	}
	if t, ok := otherWords[strings.TrimLeft(word, "<|")]; ok {
		return t
	}
	return chunker.Untyped
}

// Types returns the element type of each chunk of m, as an encoder wants it: that of the
// tensor that the chunk starts in, where it is used first in one. What no tensor covers
// is Opaque.
func (m *Manifest) Types() []chunker.DType {
	types := make([]chunker.DType, len(m.Chunks))
	for i := range m.Files {
		f := &m.Files[i]
		last, end := -1, uint64(0) // the tensor before offset that reaches furthest, and how far
		next := 0
		for offset, c := range m.Extents(f) {
			for ; next < len(f.Tensors) && f.Tensors[next].Offset <= offset; next++ {
				if t := &f.Tensors[next]; t.Offset+t.Length > end {
					last, end = next, t.Offset+t.Length
				}
			}
			if offset < end && types[c] == chunker.Opaque {
				types[c] = elementOf(f.Tensors[last].DType)
			}
		}
	}
	return types
}
