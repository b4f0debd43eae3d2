package format_test

import (
	"bytes"
	"slices"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

// pb makes a message of fields.
func pb(fields ...[]byte) []byte { return slices.Concat(fields...) }

// num, txt and sub make a field.
func num(field protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(nil, field, protowire.VarintType), v)
}

func sub(field protowire.Number, message []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, field, protowire.BytesType), message)
}

func txt(field protowire.Number, s string) []byte { return sub(field, []byte(s)) }

// irVersion is the first field of a model.
var irVersion = num(1, 10)

// modelOf makes a model of a graph.
func modelOf(graph ...[]byte) []byte {
	return pb(irVersion, txt(2, "test"), sub(7, pb(graph...)), sub(8, num(2, 21)))
}

// dims makes a shape.
func dims(shape ...uint64) (b []byte) {
	for _, n := range shape {
		b = append(b, num(1, n)...)
	}
	return b
}

// tensorOf makes the message of a tensor with raw data.
func tensorOf(name string, kind uint64, shape []uint64, raw []byte) []byte {
	return pb(dims(shape...), num(2, kind), txt(8, name), sub(9, raw))
}

// external makes the message of a tensor whose data lies elsewhere. entries are
// keys and values.
func external(name string, kind uint64, shape []uint64, entries ...string) []byte {
	b := pb(dims(shape...), num(2, kind), txt(8, name))
	for i := 0; i < len(entries); i += 2 {
		b = append(b, sub(13, pb(txt(1, entries[i]), txt(2, entries[i+1])))...)
	}
	return append(b, num(14, 1)...)
}

// attr makes an attribute, which goes into a node.
func attr(name string, value ...[]byte) []byte { return sub(5, pb(txt(1, name), pb(value...))) }

// node makes a node of a graph.
func node(name string, attributes ...[]byte) []byte {
	return sub(1, pb(txt(1, "in"), txt(2, "out"), txt(3, name), txt(4, "Op"), pb(attributes...)))
}

// initializer makes an initializer of a graph.
func initializer(tensor []byte) []byte { return sub(5, tensor) }

// within returns where part lies in b, which has it once.
func within(t testing.TB, b, part []byte) int64 {
	t.Helper()
	if bytes.Count(b, part) != 1 {
		t.Fatalf("%q is there %d times", part, bytes.Count(b, part))
	}
	return int64(bytes.Index(b, part))
}

// onnxKinds are the numbers of the types of weights, as safetensors spells them.
var onnxKinds = map[string]uint64{"BF16": 16, "F16": 10, "F32": 1, "F8_E4M3": 17, "F8_E8M0": 24, "C64": 14}

// onnxOf puts weights into a model.
func onnxOf(weights []weight) []byte {
	var graph []byte
	for _, w := range weights {
		graph = append(graph, initializer(tensorOf(w.name, onnxKinds[w.dtype], []uint64{uint64(len(w.data) / w.width)}, w.data))...)
	}
	return modelOf(graph)
}

// sparseModel is a model of one long tensor and a short one behind it, of which
// only what is not zero is held.
type sparseModel struct {
	head, tail []byte
	size       int64
}

func newSparseModel(length int) sparseModel {
	first := pb(dims(uint64(length)), num(2, 2), txt(8, "long"))
	first = protowire.AppendVarint(protowire.AppendTag(first, 9, protowire.BytesType), uint64(length))
	graph := protowire.AppendVarint(protowire.AppendTag(nil, 5, protowire.BytesType), uint64(len(first)+length))
	graph = append(graph, first...)
	tail := initializer(tensorOf("short", 2, []uint64{3}, []byte("end")))
	head := protowire.AppendTag(irVersion[:len(irVersion):len(irVersion)], 7, protowire.BytesType)
	head = append(protowire.AppendVarint(head, uint64(len(graph)+length+len(tail))), graph...)
	return sparseModel{head, tail, int64(len(head) + length + len(tail))}
}

func (m sparseModel) ReadAt(p []byte, off int64) (int, error) {
	clear(p)
	if off < int64(len(m.head)) {
		copy(p, m.head[off:])
	}
	from := m.size - int64(len(m.tail))
	if off+int64(len(p)) > from {
		copy(p[max(0, from-off):], m.tail[max(0, off-from):])
	}
	return len(p), nil
}
