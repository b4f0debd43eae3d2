package format

import (
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

const (
	// maxMessages is how deep every reader of protocol buffers goes.
	maxMessages = 100
	// maxText bounds the names and paths that are read, in bytes.
	maxText = minWindow
)

// wire walks the messages of a protocol buffer, which may be larger than memory:
// it sees them through a window, and jumps over what nobody asks for. All its
// errors wrap ErrMalformed or errBeyond, or are those of r.
type wire struct {
	window
	depth int
}

// wireField is a field of a message.
type wireField struct {
	number protowire.Number
	kind   protowire.Type
	value  uint64 // of a varint
	body   span   // of the value's bytes
}

// span is a run of bytes of the file.
type span struct{ start, end int64 }

func (s span) length() int64 { return s.end - s.start }

// message calls visit for each field of the message that f holds.
func (w *wire) message(f wireField, visit func(f wireField) error) error {
	if err := f.want(protowire.BytesType); err != nil {
		return err
	}
	if w.depth == maxMessages {
		return malformedf("byte %d: messages nested more than %d deep", f.body.start, maxMessages)
	}
	w.depth++
	defer func() { w.depth-- }()
	for pos := f.body.start; pos < f.body.end; {
		field, err := w.field(pos, f.body.end)
		if err != nil {
			return err
		}
		if err := visit(field); err != nil {
			return err
		}
		pos = field.body.end
	}
	return nil
}

// want returns an error unless f is of one of the kinds.
func (f wireField) want(kinds ...protowire.Type) error {
	for _, k := range kinds {
		if f.kind == k {
			return nil
		}
	}
	return malformedf("byte %d: field %d has wire type %d", f.body.start, f.number, f.kind)
}

// once holds the fields of a message that were there, of those below 64. Readers
// differ in what they make of a second one.
type once uint64

// meet returns an error when f is there for the second time.
func (o *once) meet(f wireField) error {
	bit := once(1) << f.number
	if *o&bit != 0 {
		return malformedf("byte %d: field %d is there twice", f.body.start, f.number)
	}
	*o |= bit
	return nil
}

// field reads the field at pos of a message that ends at end.
func (w *wire) field(pos, end int64) (f wireField, err error) {
	tag, pos, err := w.varint(pos, end)
	if err != nil {
		return f, err
	}
	f.number, f.kind = protowire.DecodeTag(tag)
	if !f.number.IsValid() {
		return f, malformedf("byte %d: no field has number %d", pos, tag>>3)
	}
	length := uint64(0)
	switch f.kind {
	case protowire.VarintType:
		start := pos
		f.value, pos, err = w.varint(pos, end)
		f.body = span{start, pos}
		return f, err
	case protowire.Fixed32Type:
		length = 4
	case protowire.Fixed64Type:
		length = 8
	case protowire.BytesType:
		length, pos, err = w.varint(pos, end)
	default: // groups, which ONNX never had
		err = malformedf("byte %d: field %d has wire type %d", pos, f.number, f.kind)
	}
	if err == nil && length > uint64(end-pos) {
		err = malformedf("byte %d: field %d of %d bytes leaves the %d that there are", pos, f.number, length, end-pos)
	}
	f.body = span{pos, pos + int64(length)}
	return f, err
}

// varint reads the number at pos, and returns where it ends.
func (w *wire) varint(pos, end int64) (v uint64, next int64, err error) {
	b, err := w.at(pos, min(end-pos, 10))
	if err != nil {
		return 0, pos, err
	}
	v, n := protowire.ConsumeVarint(b)
	if n < 0 {
		return 0, pos, malformedf("byte %d: no number ends here", pos)
	}
	return v, pos + int64(n), nil
}

// text reads the text that f holds.
func (w *wire) text(f wireField) (string, error) {
	if err := f.want(protowire.BytesType); err != nil {
		return "", err
	}
	if f.body.length() > maxText {
		return "", errBeyond
	}
	b, err := w.at(f.body.start, f.body.length())
	if err != nil {
		return "", err
	}
	if !utf8.Valid(b) {
		return "", malformedf("byte %d: %.120q is not UTF-8", f.body.start, b)
	}
	return string(b), nil
}
