package format

import (
	"cmp"
	"io"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

// ONNX is the format of models in the Open Neural Network Exchange.
const ONNX = "onnx"

// maxIRVersion bounds the version of the format, which is 14 today: there is no
// magic number, so that a file's first bytes must be likely.
const maxIRVersion = 127

// costTensor is what a tensor takes in memory beside its texts, in bytes.
const costTensor = 128

// parseONNX reads a file that is one ModelProto of onnx.proto. Its tensors are
// those of the graph, and of the graphs, nodes and functions inside it. What
// counts is where a tensor's bytes lie; whether the graph makes sense is not
// looked at.
func parseONNX(r io.ReaderAt, size int64) (*File, error) {
	if err := checkONNX(r, size); err != nil {
		return nil, err
	}
	m := onnxModel{
		wire:   wire{window: window{r: r, size: size}},
		budget: maxParsedHeader,
		seen:   map[string]bool{},
	}
	whole := wireField{kind: protowire.BytesType, body: span{0, size}}
	if err := m.message(whole, m.model); err != nil {
		return nil, err
	}
	if m.met == 0 {
		return nil, malformedf("no graph")
	}
	sortTensors(m.tensors)
	if err := distinguish(m.tensors); err != nil {
		return nil, err
	}
	return &File{Tensors: m.tensors, External: m.external, scattered: true}, nil
}

// checkONNX looks at the first field, which is ir_version in every known file.
func checkONNX(r io.ReaderAt, size int64) error {
	var head [2]byte
	if size < int64(len(head)) {
		return malformedf("%d bytes, too short for a model", size)
	}
	if err := readFull(r, head[:], 0); err != nil {
		return err
	}
	if head[0] != byte(protowire.EncodeTag(1, protowire.VarintType)) || head[1] == 0 || head[1] > maxIRVersion {
		return malformedf("starts with %q, want the version of an ONNX model", head)
	}
	return nil
}

// onnxModel is what has been learned of a model.
type onnxModel struct {
	wire
	tensors  []Tensor
	external map[string][]Tensor
	budget   int             // bytes that more of them may take
	seen     map[string]bool // names of the main graph's initializers
	met      once            // that has the graph
}

// modelKinds are the fields of a ModelProto.
var modelKinds = map[protowire.Number]protowire.Type{
	1: protowire.VarintType, 2: protowire.BytesType, 3: protowire.BytesType, 4: protowire.BytesType,
	5: protowire.VarintType, 6: protowire.BytesType, 7: protowire.BytesType, 8: protowire.BytesType,
	14: protowire.BytesType, 20: protowire.BytesType, 25: protowire.BytesType, 26: protowire.BytesType,
}

// model visits a field of the ModelProto.
func (m *onnxModel) model(f wireField) error {
	if kind, known := modelKinds[f.number]; known && kind != f.kind {
		return f.want(kind)
	}
	switch f.number {
	case 7: // graph
		if err := m.met.meet(f); err != nil {
			return err
		}
		return m.graph(f, "", m.seen)
	case 20: // training_info
		return m.training(f)
	case 25: // functions
		return m.function(f)
	}
	return nil
}

// training reads a TrainingInfoProto.
func (m *onnxModel) training(f wireField) error {
	var met once
	return m.message(f, func(f wireField) error {
		path := map[protowire.Number]string{1: "initialization", 2: "algorithm"}[f.number]
		if path == "" {
			return nil
		}
		if err := met.meet(f); err != nil {
			return err
		}
		return m.graph(f, path, nil)
	})
}

// function reads a FunctionProto.
func (m *onnxModel) function(f wireField) error {
	var name string
	return m.message(f, func(f wireField) (err error) {
		switch f.number {
		case 1:
			name, err = m.text(f)
		case 7: // node
			return m.node(f, name)
		case 11: // attribute_proto
			return m.attribute(f, name)
		}
		return err
	})
}

// graph reads a GraphProto at path. Its initializers may not be in names, which
// is nil where nothing is known of that.
func (m *onnxModel) graph(f wireField, path string, names map[string]bool) error {
	return m.message(f, func(f wireField) error {
		switch f.number {
		case 1: // node
			return m.node(f, path)
		case 5: // initializer
			return m.initializer(f, path, names, m.tensor)
		case 15: // sparse_initializer
			return m.initializer(f, path, names, m.sparse)
		}
		return nil
	})
}

func (m *onnxModel) initializer(f wireField, path string, names map[string]bool, read func(wireField, string) (string, error)) error {
	name, err := read(f, path)
	if err != nil || names == nil {
		return err
	}
	if names[name] {
		return malformedf("tensor %.120q is there twice", name)
	}
	names[name] = true
	return m.spend(len(name) + costTensor)
}

// node reads a NodeProto at path. Its tensors are under its name, or under its
// first output when it has none.
func (m *onnxModel) node(f wireField, path string) error {
	var name, output string
	return m.message(f, func(f wireField) (err error) {
		switch {
		case f.number == 2 && output == "":
			output, err = m.text(f)
		case f.number == 3:
			name, err = m.text(f)
		case f.number == 5 && name != "":
			return m.attribute(f, join(path, name))
		case f.number == 5:
			return m.attribute(f, join(path, output))
		}
		return err
	})
}

// attribute reads an AttributeProto at path.
func (m *onnxModel) attribute(f wireField, path string) error {
	here := path
	var met once
	return m.message(f, func(f wireField) (err error) {
		switch f.number {
		case 5, 6, 22:
			if err := met.meet(f); err != nil {
				return err
			}
		}
		switch f.number {
		case 1: // name
			var name string
			name, err = m.text(f)
			here = join(path, name)
		case 5, 10: // t, tensors
			_, err = m.tensor(f, here)
		case 6, 11: // g, graphs
			err = m.graph(f, here, nil)
		case 22, 23: // sparse_tensor, sparse_tensors
			_, err = m.sparse(f, here)
		}
		return err
	})
}

// sparse reads a SparseTensorProto at path, and returns the name of its values.
func (m *onnxModel) sparse(f wireField, path string) (name string, err error) {
	var met once
	err = m.message(f, func(f wireField) (err error) {
		if f.number > 2 {
			return nil
		}
		if err := met.meet(f); err != nil {
			return err
		}
		if f.number == 1 {
			name, err = m.tensor(f, path)
			return err
		}
		_, err = m.tensor(f, join(cmp.Or(name, path), "indices"))
		return err
	})
	return name, err
}

// join puts a name below a path; either may be empty. A path that is too long for
// the name of a tensor does not grow further.
func join(path, name string) string {
	if path == "" || name == "" || len(path) > maxName {
		return cmp.Or(path, name)
	}
	return path + "/" + name
}

// spend takes n bytes of memory off what is left.
func (m *onnxModel) spend(n int) error {
	if m.budget -= n; m.budget < 0 {
		return errBeyond
	}
	return nil
}

// distinguish makes the names of sorted tensors distinct: the first of a name
// keeps it, those behind it get their place.
func distinguish(tensors []Tensor) error {
	seen := make(map[string]bool, len(tensors))
	for i := range tensors {
		t := &tensors[i]
		if seen[t.Name] {
			t.Name = strings.Join([]string{t.Name, strconv.FormatInt(t.Offset, 10)}, "@")
		}
		if seen[t.Name] || len(t.Name) > maxName {
			return errBeyond
		}
		seen[t.Name] = true
	}
	return nil
}
