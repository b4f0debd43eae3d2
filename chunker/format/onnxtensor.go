package format

import (
	"fmt"
	"math"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/ingot-ml/ingot/chunker"
)

// onnxTypes are the element types by their number: ONNX's word, what it means,
// and its bits. Complex numbers are two floats; types of less than a byte are
// packed.
var onnxTypes = [...]struct {
	word string
	elem chunker.DType
	bits uint64
}{
	1:  {"FLOAT", chunker.F32, 32},
	2:  {"UINT8", chunker.U8, 8},
	3:  {"INT8", chunker.I8, 8},
	4:  {"UINT16", chunker.U16, 16},
	5:  {"INT16", chunker.I16, 16},
	6:  {"INT32", chunker.I32, 32},
	7:  {"INT64", chunker.I64, 64},
	8:  {"STRING", chunker.Opaque, 0},
	9:  {"BOOL", chunker.Bool, 8},
	10: {"FLOAT16", chunker.F16, 16},
	11: {"DOUBLE", chunker.F64, 64},
	12: {"UINT32", chunker.U32, 32},
	13: {"UINT64", chunker.U64, 64},
	14: {"COMPLEX64", chunker.F32, 64},
	15: {"COMPLEX128", chunker.F64, 128},
	16: {"BFLOAT16", chunker.BF16, 16},
	17: {"FLOAT8E4M3FN", chunker.F8E4M3, 8},
	18: {"FLOAT8E4M3FNUZ", chunker.Untyped, 8},
	19: {"FLOAT8E5M2", chunker.F8E5M2, 8},
	20: {"FLOAT8E5M2FNUZ", chunker.Untyped, 8},
	21: {"UINT4", chunker.U8, 4},
	22: {"INT4", chunker.U8, 4},
	23: {"FLOAT4E2M1", chunker.U8, 4},
	24: {"FLOAT8E8M0", chunker.Untyped, 8},
	25: {"UINT2", chunker.U8, 2},
	26: {"INT2", chunker.U8, 2},
	27: {"FLOAT6E2M3", chunker.U8, 6},
	28: {"FLOAT6E3M2", chunker.U8, 6},
}

// onnxTensor is what a TensorProto says.
type onnxTensor struct {
	Tensor
	met      once
	kind     uint64           // of the elements
	field    protowire.Number // that holds the data; 0 for none
	parts    int              // of that field
	packed   bool             // the last of them is a run of bytes
	data     span             // of the last
	raw      bool             // there is raw_data, perhaps of no bytes
	external bool
	elsewhere
}

// elsewhere is what external_data says: texts, by their known keys.
type elsewhere struct{ location, offset, length *string }

// tensor reads a TensorProto at path, notes where its bytes lie, and returns its
// full name.
func (m *onnxModel) tensor(f wireField, path string) (string, error) {
	var t onnxTensor
	err := m.message(f, func(f wireField) error { return m.tensorField(&t, f) })
	t.Name = join(path, t.Name)
	if err == nil {
		err = m.place(&t)
	}
	if err != nil {
		return "", fmt.Errorf("tensor %.120q: %w", t.Name, err)
	}
	return t.Name, nil
}

// tensorField visits a field of a TensorProto.
func (m *onnxModel) tensorField(t *onnxTensor, f wireField) (err error) {
	switch f.number {
	case 2, 8, 9, 14:
		if err := t.met.meet(f); err != nil {
			return err
		}
	}
	switch f.number {
	case 1:
		return m.dims(t, f)
	case 2:
		t.kind = f.value
		return f.want(protowire.VarintType)
	case 3: // segment: a part of a tensor, which no reader knows
		return errBeyond
	case 8:
		t.Name, err = m.text(f)
	case 4, 5, 6, 7, 9, 10, 11:
		return t.holds(f)
	case 13:
		return m.entry(&t.elsewhere, f)
	case 14:
		if f.value > 1 {
			return errBeyond
		}
		t.external = f.value == 1
		return f.want(protowire.VarintType)
	}
	return err
}

// dims adds to the shape: one number, or a run of them.
func (m *onnxModel) dims(t *onnxTensor, f wireField) error {
	if err := f.want(protowire.VarintType, protowire.BytesType); err != nil {
		return err
	}
	for pos := f.body.start; pos < f.body.end; {
		if len(t.Shape) == maxRank {
			return errBeyond
		}
		dim, next, err := m.varint(pos, f.body.end)
		if err != nil {
			return err
		}
		t.Shape = append(t.Shape, dim)
		pos = next
	}
	return nil
}

// holds notes a field of data.
func (t *onnxTensor) holds(f wireField) error {
	if f.number == 9 {
		t.raw = true
		if err := f.want(protowire.BytesType); err != nil {
			return err
		}
		if t.field == 0 {
			t.data = f.body
		}
	}
	if f.body.length() == 0 {
		return nil
	}
	if t.field != 0 && t.field != f.number {
		return malformedf("data in field %d and in field %d", t.field, f.number)
	}
	t.field, t.data, t.packed = f.number, f.body, f.kind == protowire.BytesType
	t.parts++
	return nil
}

// entry reads a StringStringEntryProto of external_data. Keys that say nothing
// of the place are skipped.
func (m *onnxModel) entry(e *elsewhere, f wireField) error {
	var key, value string
	var met once
	err := m.message(f, func(f wireField) (err error) {
		if f.number > 2 {
			return nil
		}
		if err := met.meet(f); err != nil {
			return err
		}
		switch f.number {
		case 1:
			key, err = m.text(f)
		case 2:
			value, err = m.text(f)
		}
		return err
	})
	if err != nil {
		return err
	}
	known := map[string]**string{"location": &e.location, "offset": &e.offset, "length": &e.length}[key]
	if known == nil {
		return nil
	}
	if *known != nil {
		return malformedf("external_data has %s twice", key)
	}
	*known = &value
	return nil
}

// place adds t to the tensors, or to those of another file, when its bytes are
// numbers that lie there as they are.
func (m *onnxModel) place(t *onnxTensor) error {
	for _, dim := range t.Shape {
		if dim > math.MaxInt64 {
			return malformedf("dimension %d", int64(dim))
		}
	}
	inside := t.raw && t.field == 0 || t.packed && t.parts == 1 && (t.field == 9 || t.field == 4 || t.field == 10)
	if !t.external && !inside {
		return nil // other fields have numbers of varying length, or texts
	}
	if err := m.spend(costTensor + len(t.Name) + 8*len(t.Shape)); err != nil || len(t.Name) > maxName {
		return errBeyond
	}
	if t.external {
		return m.placeOutside(t)
	}
	if t.field == 4 && t.kind != 1 && t.kind != 14 || t.field == 10 && t.kind != 11 && t.kind != 15 {
		return malformedf("data_type %d in field %d", t.kind, t.field)
	}
	t.Offset, t.Length = t.data.start, t.data.length()
	if err := t.describe(); err != nil {
		return err
	}
	m.tensors = append(m.tensors, t.Tensor)
	return nil
}

func (m *onnxModel) placeOutside(t *onnxTensor) (err error) {
	if t.location == nil || *t.location == "" {
		return malformedf("external_data without a location")
	}
	if t.Offset, err = decimal("offset", t.offset, 0); err != nil {
		return err
	}
	if t.Length, err = decimal("length", t.length, -1); err != nil {
		return err
	}
	if err := t.describe(); err != nil {
		return err
	}
	if t.Length > math.MaxInt64-t.Offset {
		return malformedf("%d bytes at %d of %.120q", t.Length, t.Offset, *t.location)
	}
	if m.external == nil {
		m.external = map[string][]Tensor{}
	}
	m.external[*t.location] = append(m.external[*t.location], t.Tensor)
	return m.spend(len(*t.location))
}

// decimal reads a number of external_data; none when it is not there.
func decimal(key string, text *string, none int64) (int64, error) {
	if text == nil {
		return none, nil
	}
	n, err := strconv.ParseUint(*text, 10, 63)
	if err != nil {
		return 0, malformedf("external_data: %s %.40q is not an integer of 0 to 2^63-1", key, *text)
	}
	return int64(n), nil
}

// describe sets the element type of t, and its length when that is -1, after it
// checked them against its shape.
func (t *onnxTensor) describe() error {
	if t.kind == 0 || t.kind == 8 || t.kind > math.MaxInt32 {
		return malformedf("raw data of data_type %d", int64(t.kind))
	}
	if t.kind >= uint64(len(onnxTypes)) {
		if t.Length < 0 {
			return errBeyond
		}
		t.DType, t.Elem = strconv.FormatUint(t.kind, 10), chunker.Untyped
		return nil
	}
	known := onnxTypes[t.kind]
	t.DType, t.Elem = known.word, known.elem
	n, err := packedLength(t.Shape, known.bits)
	if err != nil {
		return err
	}
	if t.Length < 0 {
		t.Length = n
	}
	if t.Length != n {
		return malformedf("shape %v of %s takes %d bytes, there are %d", t.Shape, t.DType, n, t.Length)
	}
	return nil
}

// packedLength returns the bytes that elements of width bits take, the last of
// which may be filled up.
func packedLength(shape []uint64, width uint64) (int64, error) {
	total, err := arraySize(shape, width)
	if err == nil && total > math.MaxInt64-7 {
		err = malformedf("shape %v overflows", shape)
	}
	return int64((total + 7) / 8), err
}
