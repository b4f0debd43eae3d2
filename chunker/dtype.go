package chunker

// DType is the type of the numbers in a run of bytes, as far as cutting and
// encoding care. Containers spell types differently; chunker/format maps their
// spellings to these.
type DType uint8

// The element types. Opaque is the zero value: bytes that are no numbers, or of no
// known structure.
const (
	Opaque DType = iota
	Bool
	U8
	I8
	F8E4M3
	F8E5M2
	F16
	BF16
	I16
	U16
	F32
	I32
	U32
	F64
	I64
	U64

	// Untyped is numbers of a type that nobody named: the codec looks at them.
	Untyped
)

// dtypes holds each type's canonical name and its width in bytes.
var dtypes = [...]struct {
	name  string
	width int
}{
	Opaque: {"opaque", 1},
	Bool:   {"BOOL", 1},
	U8:     {"U8", 1},
	I8:     {"I8", 1},
	F8E4M3: {"F8_E4M3", 1},
	F8E5M2: {"F8_E5M2", 1},
	F16:    {"F16", 2},
	BF16:   {"BF16", 2},
	I16:    {"I16", 2},
	U16:    {"U16", 2},
	F32:    {"F32", 4},
	I32:    {"I32", 4},
	U32:    {"U32", 4},
	F64:    {"F64", 8},
	I64:    {"I64", 8},
	U64:    {"U64", 8},

	Untyped: {"untyped", 1},
}

// ParseDType returns the type with that canonical name; ok is false for any
// other text, and the type is then Opaque.
func ParseDType(name string) (t DType, ok bool) {
	for i, d := range dtypes[:Untyped] {
		if d.name == name && DType(i) != Opaque {
			return DType(i), true
		}
	}
	return Opaque, false
}

// String returns the canonical name, which is the one safetensors uses.
func (t DType) String() string {
	if int(t) >= len(dtypes) {
		return "opaque"
	}
	return dtypes[t].name
}

// Width returns the bytes of one element; 1 for Opaque and Untyped.
func (t DType) Width() int {
	if int(t) >= len(dtypes) {
		return 1
	}
	return dtypes[t].width
}
