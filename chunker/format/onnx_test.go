package format_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/format"
)

// everywhere is a model with a tensor in every place that may have one. Each of
// their bytes says which it is.
func everywhere() []byte {
	one := func(name string, id byte) []byte { return tensorOf(name, 2, []uint64{3}, []byte{id, id, id}) }
	sparse := func(name string, id byte) []byte {
		return pb(sub(1, one(name, id)), sub(2, one("", id+1)), num(3, 100))
	}
	inner := pb(initializer(one("w", 'a')), node("n", attr("value", sub(5, one("", 'b')))))
	graph := pb(
		node("if", attr("then", sub(6, inner)), attr("all", sub(11, inner[:0]))),
		node("", attr("value", sub(5, one("", 'c')))),
		node("list", attr("values", sub(10, one("x", 'd')), sub(10, one("x", 'e')))),
		node("sparse", attr("one", sub(22, sparse("", 'f'))), attr("more", sub(23, sparse("y", 'h')))),
		txt(2, "graph"),
		initializer(one("weight", 'j')),
		sub(15, sparse("thin", 'k')),
	)
	training := sub(20, pb(sub(1, initializer(one("w", 'm'))), sub(2, initializer(one("w", 'n')))))
	function := sub(25, pb(txt(1, "gelu"), sub(7, pb(txt(3, "n"), attr("value", sub(5, one("", 'o'))))),
		sub(11, pb(txt(1, "scale"), sub(5, one("", 'p'))))))
	return pb(irVersion, sub(7, graph), training, function)
}

func TestONNX(t *testing.T) {
	b := everywhere()
	want := map[byte]string{
		'a': "if/then/w", 'b': "if/then/n/value", 'c': "out/value", 'd': "list/values/x",
		'f': "sparse/one", 'g': "sparse/one/indices", 'h': "sparse/more/y", 'i': "sparse/more/y/indices",
		'j': "weight", 'k': "thin", 'l': "thin/indices", 'm': "initialization/w", 'n': "algorithm/w",
		'o': "gelu/n/value", 'p': "gelu/scale",
	}
	want['e'] = fmt.Sprintf("list/values/x@%d", within(t, b, []byte("eee")))
	f := mustOpen(t, format.ONNX, b)
	if len(f.Tensors) != len(want) {
		t.Errorf("%d tensors, want %d", len(f.Tensors), len(want))
	}
	for _, tensor := range f.Tensors {
		data := b[tensor.Offset:][:tensor.Length]
		if tensor.Name != want[data[0]] || tensor.Length != 3 || data[1] != data[0] || data[2] != data[0] {
			t.Errorf("%q is %q, want %q", data, tensor.Name, want[data[0]])
		}
		if tensor.DType != "UINT8" || tensor.Elem != chunker.U8 || !slices.Equal(tensor.Shape, []uint64{3}) {
			t.Errorf("got %+v", tensor)
		}
	}
}

func TestONNXLegal(t *testing.T) {
	many := func(n int) []byte { return make([]byte, n) }
	packed := sub(1, protowire.AppendVarint(protowire.AppendVarint(nil, 2), 3))
	for name, tt := range map[string]struct {
		tensor []byte
		word   string
		elem   chunker.DType
		length int64
	}{
		"FLOAT":          {tensorOf("x", 1, []uint64{2}, many(8)), "FLOAT", chunker.F32, 8},
		"UINT8":          {tensorOf("x", 2, []uint64{2}, many(2)), "UINT8", chunker.U8, 2},
		"INT8":           {tensorOf("x", 3, []uint64{2}, many(2)), "INT8", chunker.I8, 2},
		"UINT16":         {tensorOf("x", 4, []uint64{2}, many(4)), "UINT16", chunker.U16, 4},
		"INT16":          {tensorOf("x", 5, []uint64{2}, many(4)), "INT16", chunker.I16, 4},
		"INT32":          {tensorOf("x", 6, []uint64{2}, many(8)), "INT32", chunker.I32, 8},
		"INT64":          {tensorOf("x", 7, []uint64{2}, many(16)), "INT64", chunker.I64, 16},
		"BOOL":           {tensorOf("x", 9, []uint64{2}, many(2)), "BOOL", chunker.Bool, 2},
		"FLOAT16":        {tensorOf("x", 10, []uint64{2}, many(4)), "FLOAT16", chunker.F16, 4},
		"DOUBLE":         {tensorOf("x", 11, []uint64{2}, many(16)), "DOUBLE", chunker.F64, 16},
		"UINT32":         {tensorOf("x", 12, []uint64{2}, many(8)), "UINT32", chunker.U32, 8},
		"UINT64":         {tensorOf("x", 13, []uint64{2}, many(16)), "UINT64", chunker.U64, 16},
		"COMPLEX64":      {tensorOf("x", 14, []uint64{2}, many(16)), "COMPLEX64", chunker.F32, 16},
		"COMPLEX128":     {tensorOf("x", 15, []uint64{2}, many(32)), "COMPLEX128", chunker.F64, 32},
		"BFLOAT16":       {tensorOf("x", 16, []uint64{2}, many(4)), "BFLOAT16", chunker.BF16, 4},
		"FLOAT8E4M3FN":   {tensorOf("x", 17, []uint64{2}, many(2)), "FLOAT8E4M3FN", chunker.F8E4M3, 2},
		"FLOAT8E4M3FNUZ": {tensorOf("x", 18, []uint64{2}, many(2)), "FLOAT8E4M3FNUZ", chunker.Untyped, 2},
		"FLOAT8E5M2":     {tensorOf("x", 19, []uint64{2}, many(2)), "FLOAT8E5M2", chunker.F8E5M2, 2},
		"FLOAT8E5M2FNUZ": {tensorOf("x", 20, []uint64{2}, many(2)), "FLOAT8E5M2FNUZ", chunker.Untyped, 2},
		"UINT4":          {tensorOf("x", 21, []uint64{3}, many(2)), "UINT4", chunker.U8, 2},
		"INT4":           {tensorOf("x", 22, []uint64{4}, many(2)), "INT4", chunker.U8, 2},
		"FLOAT4E2M1":     {tensorOf("x", 23, []uint64{3}, many(2)), "FLOAT4E2M1", chunker.U8, 2},
		"FLOAT8E8M0":     {tensorOf("x", 24, []uint64{2}, many(2)), "FLOAT8E8M0", chunker.Untyped, 2},
		"UINT2":          {tensorOf("x", 25, []uint64{5}, many(2)), "UINT2", chunker.U8, 2},
		"INT2":           {tensorOf("x", 26, []uint64{5}, many(2)), "INT2", chunker.U8, 2},
		"FLOAT6E2M3":     {tensorOf("x", 27, []uint64{4}, many(3)), "FLOAT6E2M3", chunker.U8, 3},
		"FLOAT6E3M2":     {tensorOf("x", 28, []uint64{5}, many(4)), "FLOAT6E3M2", chunker.U8, 4},
		"newer type":     {tensorOf("x", 1000, []uint64{math.MaxInt64, math.MaxInt64}, many(7)), "1000", chunker.Untyped, 7},
		"scalar":         {tensorOf("x", 1, nil, many(4)), "FLOAT", chunker.F32, 4},
		"no elements":    {tensorOf("x", 1, []uint64{math.MaxInt64, 0, math.MaxInt64}, nil), "FLOAT", chunker.F32, 0},
		"packed dims":    {pb(packed, num(2, 3), txt(8, "x"), sub(9, many(6))), "INT8", chunker.I8, 6},
		"any order":      {pb(sub(9, many(6)), txt(8, "x"), num(2, 3), packed), "INT8", chunker.I8, 6},
		"float_data":     {pb(dims(2), num(2, 1), sub(4, many(8)), txt(8, "x")), "FLOAT", chunker.F32, 8},
		"complex floats": {pb(dims(1), num(2, 14), sub(4, many(8)), txt(8, "x")), "COMPLEX64", chunker.F32, 8},
		"double_data":    {pb(dims(2), num(2, 11), txt(8, "x"), sub(10, many(16))), "DOUBLE", chunker.F64, 16},
		"extra fields":   {pb(tensorOf("x", 2, []uint64{1}, many(1)), txt(12, "doc"), sub(16, txt(1, "k")), txt(99, "new"), num(98, 1)), "UINT8", chunker.U8, 1},
	} {
		t.Run(name, func(t *testing.T) {
			f := mustOpen(t, format.ONNX, modelOf(initializer(tt.tensor)))
			if len(f.Tensors) != 1 {
				t.Fatalf("got %+v", f)
			}
			if got := f.Tensors[0]; got.DType != tt.word || got.Elem != tt.elem || got.Length != tt.length || got.Name != "x" {
				t.Errorf("got %+v", got)
			}
		})
	}
}

// TestONNXGaps has tensors whose bytes are no run of numbers.
func TestONNXGaps(t *testing.T) {
	floats := protowire.AppendFixed32(protowire.AppendTag(nil, 4, protowire.Fixed32Type), 1)
	for name, tensor := range map[string][]byte{
		"int32_data":          pb(dims(2), num(2, 6), sub(5, []byte{1, 2}), txt(8, "x")),
		"int64_data":          pb(dims(2), num(2, 7), sub(7, []byte{1, 2}), txt(8, "x")),
		"uint64_data":         pb(dims(2), num(2, 13), sub(11, []byte{1, 2}), txt(8, "x")),
		"string_data":         pb(dims(2), num(2, 8), txt(6, "a"), txt(6, "b"), txt(8, "x")),
		"unpacked":            pb(dims(2), num(2, 1), floats, floats, txt(8, "x")),
		"one unpacked":        pb(dims(1), num(2, 1), floats, txt(8, "x")),
		"packed in parts":     pb(dims(2), num(2, 1), sub(4, make([]byte, 4)), sub(4, make([]byte, 4)), txt(8, "x")),
		"raw of no bytes":     pb(dims(1), num(2, 7), sub(7, []byte{1}), txt(8, "x"), sub(9, nil)),
		"no data":             pb(num(2, 7), txt(8, "x")),
		"nothing of a tensor": nil,
	} {
		t.Run(name, func(t *testing.T) {
			if f := mustOpen(t, format.ONNX, modelOf(initializer(tensor))); len(f.Tensors) > 0 {
				t.Errorf("got %+v", f.Tensors)
			}
		})
	}
}

// nested puts a graph into n graphs.
func nested(n int) []byte {
	graph := initializer(tensorOf("w", 2, []uint64{1}, []byte{1}))
	for range n {
		graph = node("n", attr("g", sub(6, graph)))
	}
	return modelOf(graph)
}

func TestONNXMalformed(t *testing.T) {
	group := protowire.AppendTag(nil, 90, protowire.StartGroupType)
	group = protowire.AppendTag(group, 90, protowire.EndGroupType)
	tensor := func(fields ...[]byte) []byte { return modelOf(initializer(pb(fields...))) }
	raw := func(shape []uint64, kind uint64, n int) []byte {
		return modelOf(initializer(tensorOf("x", kind, shape, make([]byte, n))))
	}
	outside := func(entries ...string) []byte {
		return modelOf(initializer(external("x", 2, []uint64{4}, entries...)))
	}
	sound := tensorOf("x", 2, []uint64{1}, []byte{1})
	for name, tt := range map[string]struct {
		b    []byte
		says string
	}{
		"one byte":                {[]byte{8}, "1 bytes, too short"},
		"text":                    {[]byte("version https://git-lfs.github.com/spec/v1\n"), `starts with "ve"`},
		"zeros":                   {make([]byte, 100), "want the version of an ONNX model"},
		"version 0":               {pb(num(1, 0), sub(7, nil)), "want the version"},
		"version 128":             {pb(num(1, 128), sub(7, nil)), "want the version"},
		"version is a text":       {pb(txt(1, "10"), sub(7, nil)), "want the version"},
		"version alone":           {irVersion, "no graph"},
		"no graph":                {pb(irVersion, txt(2, "x")), "no graph"},
		"two graphs":              {pb(irVersion, sub(7, nil), sub(7, nil)), "field 7 is there twice"},
		"graph is a number":       {pb(irVersion, num(7, 1)), "field 7 has wire type 0"},
		"producer is a number":    {pb(irVersion, num(2, 1), sub(7, nil)), "field 2 has wire type 0"},
		"version again, a text":   {pb(irVersion, sub(7, nil), txt(1, "x")), "field 1 has wire type 2"},
		"functions are numbers":   {pb(irVersion, sub(7, nil), num(25, 1)), "field 25 has wire type 0"},
		"group":                   {pb(irVersion, sub(7, nil), group), "field 90 has wire type 3"},
		"end of a group":          {pb(irVersion, sub(7, nil), group[len(group)/2:]), "field 90 has wire type 4"},
		"group in a graph":        {modelOf(group), "field 90 has wire type 3"},
		"wire type 6":             {pb(irVersion, sub(7, nil), []byte{0x16}), "field 2 has wire type 6"},
		"field 0":                 {pb(irVersion, sub(7, nil), []byte{0x02, 0}), "no field has number 0"},
		"field 2^61":              {pb(irVersion, sub(7, nil), protowire.AppendVarint(nil, math.MaxUint64)), "no field has number"},
		"tag ends early":          {pb(irVersion, sub(7, nil), []byte{0x80}), "no number ends here"},
		"number ends early":       {pb(irVersion, sub(7, nil), []byte{0x28, 0x80, 0x80}), "no number ends here"},
		"number of 11 bytes":      {pb(irVersion, sub(7, nil), []byte{0x28}, bytes.Repeat([]byte{0x80}, 10), []byte{1}), "no number ends here"},
		"number of 65 bits":       {pb(irVersion, sub(7, nil), []byte{0x28}, bytes.Repeat([]byte{0xff}, 9), []byte{2}), "no number ends here"},
		"length past the end":     {pb(irVersion, sub(7, nil), []byte{0x12, 5}), "field 2 of 5 bytes leaves the 0 that there are"},
		"length of 2^64-1":        {pb(irVersion, []byte{0x3a}, protowire.AppendVarint(nil, math.MaxUint64)), "field 7 of 18446744073709551615 bytes leaves"},
		"length past the message": {modelOf([]byte{0x2a, 30}), "field 5 of 30 bytes leaves the 0"},
		"fixed32 past the end":    {pb(irVersion, sub(7, nil), []byte{0x15, 0, 0}), "field 2 of 4 bytes leaves the 2"},
		"fixed64 past the end":    {pb(irVersion, sub(7, nil), []byte{0x11, 0, 0}), "field 2 of 8 bytes leaves the 2"},
		"garbage after the graph": {pb(modelOf(), []byte{0xff}), "no number ends here"},
		"nested":                  {nested(33), "nested more than 100 deep"},
		"node is a number":        {modelOf(num(1, 7)), "field 1 has wire type 0"},
		"initializer is a number": {modelOf(num(5, 7)), "field 5 has wire type 0"},
		"name twice in a tensor":  {tensor(txt(8, "x"), txt(8, "y")), `tensor "x": byte 17: field 8 is there twice`},
		"name is a number":        {tensor(num(8, 1)), "field 8 has wire type 0"},
		"name is not UTF-8":       {tensor(txt(8, "\xff")), `"\xff" is not UTF-8`},
		"data_type twice":         {tensor(txt(8, "x"), num(2, 1), num(2, 1)), "field 2 is there twice"},
		"data_type is a text":     {tensor(txt(2, "1")), "field 2 has wire type 2"},
		"no data_type":            {raw([]uint64{1}, 0, 1), `tensor "x": raw data of data_type 0`},
		"strings are raw":         {raw([]uint64{1}, 8, 1), "raw data of data_type 8"},
		"data_type -1":            {raw([]uint64{1}, math.MaxUint64, 1), "raw data of data_type -1"},
		"raw_data twice":          {tensor(sound, sub(9, []byte{1})), "field 9 is there twice"},
		"empty raw_data twice":    {tensor(sound, sub(9, nil)), "field 9 is there twice"},
		"raw_data is a number":    {tensor(num(2, 2), num(9, 1)), "field 9 has wire type 0"},
		"raw_data and floats":     {tensor(dims(1), num(2, 1), sub(4, make([]byte, 4)), sub(9, make([]byte, 4))), "data in field 4 and in field 9"},
		"numbers and raw_data":    {tensor(dims(1), num(2, 1), sub(9, make([]byte, 4)), num(5, 1)), "data in field 9 and in field 5"},
		"floats of doubles":       {tensor(dims(1), num(2, 11), sub(4, make([]byte, 8))), "data_type 11 in field 4"},
		"doubles of floats":       {tensor(dims(2), num(2, 1), sub(10, make([]byte, 8))), "data_type 1 in field 10"},
		"half a float":            {tensor(dims(1), num(2, 1), sub(4, make([]byte, 3))), "takes 4 bytes, there are 3"},
		"negative dimension":      {raw([]uint64{math.MaxUint64}, 2, 1), `tensor "x": dimension -1`},
		"negative packed":         {tensor(txt(8, "x"), sub(1, protowire.AppendVarint(nil, math.MaxUint64-1))), `tensor "x": dimension -2`},
		"truncated packed":        {tensor(sub(1, []byte{0x80})), "no number ends here"},
		"dims are fixed":          {tensor(protowire.AppendFixed32(protowire.AppendTag(nil, 1, protowire.Fixed32Type), 1)), "field 1 has wire type 5"},
		"shape overflows":         {raw([]uint64{1 << 32, 1 << 32}, 2, 1), "shape [4294967296 4294967296] overflows"},
		"bits overflow":           {raw([]uint64{1 << 60}, 1, 1), "overflows"},
		"huge":                    {raw([]uint64{1 << 50}, 2, 1), "takes 1125899906842624 bytes, there are 1"},
		"too few bytes":           {raw([]uint64{3}, 1, 11), "shape [3] of FLOAT takes 12 bytes, there are 11"},
		"too many bytes":          {raw([]uint64{3}, 1, 13), "there are 13"},
		"too many half bytes":     {raw([]uint64{3}, 22, 3), "shape [3] of INT4 takes 2 bytes, there are 3"},
		"elements, no bytes":      {raw([]uint64{3}, 1, 0), "takes 12 bytes, there are 0"},
		"no elements, bytes":      {raw([]uint64{0}, 1, 4), "takes 0 bytes, there are 4"},
		"duplicated":              {modelOf(initializer(sound), initializer(sound)), `tensor "x" is there twice`},
		"duplicated, sparse":      {modelOf(initializer(sound), sub(15, sub(1, sound))), `tensor "x" is there twice`},
		"duplicated, no data":     {modelOf(initializer(sound), initializer(txt(8, "x"))), `tensor "x" is there twice`},
		"values twice":            {modelOf(sub(15, pb(sub(1, sound), sub(1, sound)))), "field 1 is there twice"},
		"indices twice":           {modelOf(sub(15, pb(sub(2, sound), sub(2, sound)))), "field 2 is there twice"},
		"data_location twice":     {modelOf(initializer(pb(num(14, 0), num(14, 1)))), "field 14 is there twice"},
		"tensor twice in one":     {modelOf(node("n", attr("a", sub(5, sound), sub(5, sound)))), "field 5 is there twice"},
		"graph twice in one":      {modelOf(node("n", attr("a", sub(6, nil), sub(6, nil)))), "field 6 is there twice"},
		"training twice":          {pb(modelOf(), sub(20, pb(sub(1, nil), sub(1, nil)))), "field 1 is there twice"},
		"key twice in an entry":   {modelOf(initializer(sub(13, pb(txt(1, "location"), txt(1, "x"))))), "field 1 is there twice"},
		"location is missing":     {outside("offset", "0"), `tensor "x": external_data without a location`},
		"location is empty":       {outside("location", ""), "external_data without a location"},
		"location twice":          {outside("location", "a", "location", "b"), "external_data has location twice"},
		"location is not UTF-8":   {outside("location", "\xff"), "is not UTF-8"},
		"negative offset":         {outside("location", "a", "offset", "-1"), `offset "-1" is not an integer of 0 to 2^63-1`},
		"offset of 2^63":          {outside("location", "a", "offset", "9223372036854775808"), "offset \"9223372036854775808\" is not"},
		"offset is a text":        {outside("location", "a", "offset", "x"), `offset "x" is not`},
		"offset is empty":         {outside("location", "a", "offset", ""), `offset "" is not`},
		"offset twice":            {outside("location", "a", "offset", "0", "offset", "4"), "external_data has offset twice"},
		"offset overflows":        {outside("location", "a", "offset", "9223372036854775806"), `4 bytes at 9223372036854775806 of "a"`},
		"negative length":         {outside("location", "a", "length", "-4"), `length "-4" is not`},
		"length twice":            {outside("location", "a", "length", "4", "length", "4"), "external_data has length twice"},
		"length against shape":    {outside("location", "a", "length", "5"), "shape [4] of UINT8 takes 4 bytes, there are 5"},
		"entry is a number":       {modelOf(initializer(num(13, 1))), "field 13 has wire type 0"},
		"strings are elsewhere":   {modelOf(initializer(external("x", 8, nil, "location", "a"))), "raw data of data_type 8"},
	} {
		t.Run(name, func(t *testing.T) {
			checkMalformed(t, "dir/model.onnx", tt.b, tt.says)
		})
	}
}

func TestONNXTruncated(t *testing.T) {
	b := pb(irVersion, sub(7, pb(initializer(tensorOf("x", 2, []uint64{5}, []byte("bytes"))), node("n", attr("a", sub(5, nil))))))
	mustOpen(t, format.ONNX, b)
	for n := 1; n < len(b); n++ {
		checkMalformed(t, "model.onnx", b[:n], "")
	}
}

func TestONNXBeyond(t *testing.T) {
	long := strings.Repeat("x", 1025)
	var many []byte
	for i := range 200_000 {
		many = append(many, initializer(tensorOf(strconv.Itoa(i), 2, nil, []byte{1}))...)
	}
	for name, b := range map[string][]byte{
		"name":          modelOf(initializer(tensorOf(long, 2, []uint64{1}, []byte{1}))),
		"path":          modelOf(node(long, attr("a", sub(5, tensorOf("", 2, []uint64{1}, []byte{1}))))),
		"deep path":     modelOf(node(long, attr("g", sub(6, node("n", attr("a", sub(5, tensorOf("", 2, nil, []byte{1})))))))),
		"text":          modelOf(node(strings.Repeat("x", 5000))),
		"rank":          modelOf(initializer(tensorOf("x", 2, slices.Repeat([]uint64{1}, 33), []byte{1}))),
		"segment":       modelOf(initializer(pb(tensorOf("x", 2, []uint64{2}, []byte{1}), sub(3, num(2, 1))))),
		"data_location": modelOf(initializer(pb(tensorOf("x", 2, []uint64{1}, []byte{1}), num(14, 2)))),
		"newer type":    modelOf(initializer(external("x", 1000, []uint64{1}, "location", "a"))),
		"tensors":       modelOf(many),
		"name of a place": func() []byte {
			at := func(name string) []byte {
				return modelOf(initializer(tensorOf(name, 2, nil, []byte{1})),
					node("n", attr("a", sub(10, tensorOf("x", 2, nil, []byte("!"))), sub(10, tensorOf("x", 2, nil, []byte("?"))))))
			}
			b := at("n/a/x@00")
			return at(fmt.Sprintf("n/a/x@%d", within(t, b, []byte("?"))))
		}(),
	} {
		t.Run(name, func(t *testing.T) { checkOpaque(t, "model.onnx", b) })
	}
	mustOpen(t, format.ONNX, nested(32))
}

func TestONNXExternal(t *testing.T) {
	b := modelOf(
		initializer(external("a", 1, []uint64{2}, "location", "w.data", "offset", "4096", "length", "8", "checksum", "?", "new", "1")),
		initializer(external("b", 22, []uint64{3}, "location", "w.data")),
		initializer(pb(external("c", 2, []uint64{1}, "location", "../../etc/passwd", "length", "1"), sub(9, []byte("ignored")))),
		node("n", attr("v", sub(5, external("", 1000, []uint64{1}, "location", "v", "length", "7")))),
		initializer(tensorOf("in", 2, []uint64{1}, []byte{1})),
	)
	f := mustOpen(t, format.ONNX, b)
	if len(f.Tensors) != 1 || f.Tensors[0].Name != "in" {
		t.Errorf("inside lie %+v", f.Tensors)
	}
	want := map[string][]format.Tensor{
		"w.data": {
			{Name: "a", DType: "FLOAT", Elem: chunker.F32, Shape: []uint64{2}, Offset: 4096, Length: 8},
			{Name: "b", DType: "INT4", Elem: chunker.U8, Shape: []uint64{3}, Length: 2},
		},
		"../../etc/passwd": {{Name: "c", DType: "UINT8", Elem: chunker.U8, Shape: []uint64{1}, Length: 1}},
		"v":                {{Name: "n/v", DType: "1000", Elem: chunker.Untyped, Shape: []uint64{1}, Length: 7}},
	}
	if fmt.Sprint(f.External) != fmt.Sprint(want) {
		t.Errorf("outside lie %+v, want %+v", f.External, want)
	}
}

func TestONNXReadErrors(t *testing.T) {
	b := everywhere()
	for n := range b {
		_, err := format.Open("model.onnx", bytes.NewReader(b[:n]), int64(len(b)))
		if !errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, format.ErrMalformed) {
			t.Fatalf("it became %d bytes long: %v", n, err)
		}
	}
}

func TestONNXGolden(t *testing.T) { checkGolden(t, format.ONNX, onnxOf(weights())) }

// TestONNXFewChunks has a thousand constants between the nodes of a graph.
func TestONNXFewChunks(t *testing.T) {
	var graph []byte
	for i := range 1000 {
		graph = append(graph, node(strconv.Itoa(i), attr("value", sub(5, tensorOf("", 7, nil, make([]byte, 8)))))...)
	}
	graph = append(graph, initializer(tensorOf("w", 2, []uint64{4096}, make([]byte, 4096)))...)
	b := modelOf(graph)
	f := mustOpen(t, format.ONNX, b)
	if cuts := cutAll(t, f, b); len(f.Tensors) != 1001 || len(cuts) != 3 || cuts[1].Length != 4096 {
		t.Errorf("%d tensors, cut as %v", len(f.Tensors), cuts)
	}
}

// TestONNXDataSharesChunks holds the same tensors beside a model and in
// safetensors.
func TestONNXDataSharesChunks(t *testing.T) {
	want := map[chunker.Digest]bool{}
	ownChunks(t, build("base", weights()), want)
	if got := ownAlong(t, weights()); !maps.Equal(got, want) {
		t.Errorf("%d chunks of long tensors, want the %d of safetensors", len(got), len(want))
	}
}

// ownAlong returns the digests of the chunks of tensors of 256 KiB or more that
// lie in a file of their own, each from a multiple of 4096 on.
func ownAlong(t *testing.T, weights []weight) map[chunker.Digest]bool {
	t.Helper()
	var graph, data []byte
	for _, w := range weights {
		data = append(data, make([]byte, -len(data)&4095)...)
		shape := []uint64{uint64(len(w.data) / w.width)}
		graph = append(graph, initializer(external(w.name, onnxKinds[w.dtype], shape, "location", "w", "offset", strconv.Itoa(len(data))))...)
		data = append(data, w.data...)
	}
	model := mustOpen(t, format.ONNX, modelOf(graph))
	f, err := format.Along(int64(len(data)), model.External["w"])
	if err != nil || f.Format != format.ONNXData || len(f.Tensors) != len(weights) {
		t.Fatalf("Along = %+v, %v", f, err)
	}
	own := map[chunker.Digest]bool{}
	cuts := cutAll(t, f, data)
	checkTensors(t, f, cuts)
	for _, c := range cuts {
		for _, tensor := range f.Tensors {
			if tensor.Length >= chunker.OwnSize && c.Offset >= tensor.Offset && c.Offset < tensor.Offset+tensor.Length {
				own[chunker.Sum(data[c.Offset:][:c.Length])] = true
			}
		}
	}
	return own
}

func TestONNXReadsLittle(t *testing.T) {
	m := newSparseModel(5 << 30)
	r := &countingReader{ReaderAt: m}
	f, err := format.Open("model.onnx", r, m.size)
	if err != nil || f.Format != format.ONNX || len(f.Tensors) != 2 || f.Tensors[1].Offset != m.size-3 {
		t.Fatalf("Open = %+v, %v", f, err)
	}
	if r.asked > 32<<10 {
		t.Errorf("read %d bytes of a model of 5 GiB with two tensors", r.asked)
	}
}

func FuzzONNX(f *testing.F) {
	f.Add(everywhere())
	f.Add(modelOf())
	f.Add(nested(4))
	f.Add(modelOf(initializer(pb(dims(2), num(2, 1), sub(4, make([]byte, 8)), txt(8, "x")))))
	f.Add(modelOf(initializer(tensorOf("x", 1, []uint64{100_000}, make([]byte, 400_000)))))
	f.Add(modelOf(initializer(external("a", 1, []uint64{2}, "location", "w.data", "offset", "4096", "length", "8"))))
	f.Fuzz(func(t *testing.T, b []byte) {
		file := checkAny(t, "x.onnx", b)
		for _, tensors := range file.External {
			along, err := format.Along(1<<16, tensors)
			if err == nil {
				checkTensors(t, along, cutAll(t, along, make([]byte, 1<<16)))
			} else if !errors.Is(err, format.ErrMalformed) {
				t.Fatal(err)
			}
		}
	})
}
