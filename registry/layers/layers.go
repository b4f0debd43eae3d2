// Package layers owns how people are shown the inside of a model: which tensors make up
// a layer, in which order layers come, and which bytes are whose.
//
// Laws:
//   - Every byte of a version's files is in one part of one layer. Of tensors that
//     overlap, the first has the bytes.
//   - Names are taken as they are found, from whoever wrote them. The work is in
//     proportion to what there is, and the number of layers and parts is bounded.
package layers

import (
	"cmp"
	"slices"
	"strings"

	"github.com/ingot-ml/ingot/registry/manifest"
)

// Kind says what a layer is in a model.
type Kind string

// The kinds, in the order in which their layers come.
const (
	Embedding Kind = "embedding"
	Numbered  Kind = "layer" // one of a row of them
	Other     Kind = "other"
	Norm      Kind = "norm"
	Head      Kind = "head"
	File      Kind = "file" // bytes of a file outside of all tensors
)

var order = []Kind{Embedding, Numbered, Other, Norm, Head, File}

// Limits bound a Layout. What is beyond them is gathered in one layer or part more.
type Limits struct {
	Layers int
	Parts  int // of a layer
	Files  int
	Name   int // bytes of a name that is shown
}

// rest is the name of what gathers the others.
const rest = "…"

// Layer is a layer and its parts.
type Layer struct {
	Name    string
	Kind    Kind
	Index   int64 // of a Numbered one
	Tensors int
	Parts   []Part // none of a File

	stem  string // what is before the number
	parts map[string]int
}

// Part is the tensors of a layer whose names differ only by numbers.
type Part struct {
	Name    string
	DType   string   // empty if they have several
	Shape   []uint64 // nil if they have several
	Tensors int
}

// Place is a part of a layer, by their indexes. The part is -1 in a file.
type Place struct{ Layer, Part int }

// Layout is how a version is divided.
type Layout struct {
	Layers []Layer
	// Rest is how many tensors lie in the layer that gathers what is beyond the limit.
	Rest int

	limits Limits
	byName map[string]int
	of     *manifest.Manifest
	places [][]Place // of the tensors, by file
	files  []int     // layer of each file's other bytes
	moved  []int     // where a layer has come by sorting
}

// Of divides a version.
func Of(m *manifest.Manifest, limits Limits) *Layout {
	l := &Layout{limits: limits, byName: map[string]int{}, of: m, places: make([][]Place, len(m.Files)), files: make([]int, len(m.Files))}
	for i := range m.Files {
		f := &m.Files[i]
		l.places[i] = make([]Place, len(f.Tensors))
		for j := range f.Tensors {
			l.places[i][j] = l.tensor(&f.Tensors[j])
		}
	}
	for i := range m.Files {
		l.files[i] = l.file(i, m.Files[i].Path)
	}
	l.sort()
	return l
}

// tensor finds the place of a tensor, which it makes if need be.
func (l *Layout) tensor(t *manifest.Tensor) Place {
	n := parse(t.Name)
	at, known := l.byName[n.layer]
	if !known && len(l.byName) >= l.limits.Layers {
		l.Rest++
		n = parsed{layer: "\x00", shown: rest, part: n.part, kind: Other}
		at, known = l.byName[n.layer]
	}
	if !known {
		at = len(l.Layers)
		l.byName[n.layer] = at
		l.Layers = append(l.Layers, Layer{
			Name: l.short(cmp.Or(n.shown, n.layer)), Kind: n.kind, Index: n.index, stem: n.stem, parts: map[string]int{},
		})
	}
	layer := &l.Layers[at]
	layer.Tensors++
	return Place{at, layer.part(n.part, t, l.limits.Parts, l.short)}
}

// part finds the part of a tensor in its layer.
func (y *Layer) part(name string, t *manifest.Tensor, most int, short func(string) string) int {
	at, known := y.parts[name]
	if !known && len(y.Parts) >= most {
		name = rest
		at, known = y.parts[name]
	}
	if !known {
		at = len(y.Parts)
		y.parts[name] = at
		y.Parts = append(y.Parts, Part{Name: short(name), DType: t.DType, Shape: t.Shape})
	}
	p := &y.Parts[at]
	p.Tensors++
	if p.DType != t.DType {
		p.DType = ""
	}
	if !slices.Equal(p.Shape, t.Shape) {
		p.Shape = nil
	}
	return at
}

// file makes the layer of a file's bytes outside of tensors.
func (l *Layout) file(i int, path string) int {
	if i >= l.limits.Files {
		path = rest
	}
	if i > l.limits.Files {
		return l.files[i-1]
	}
	l.Layers = append(l.Layers, Layer{Name: l.short(path), Kind: File})
	return len(l.Layers) - 1
}

// short cuts a name that is too long to be shown, between two letters.
func (l *Layout) short(name string) string {
	if len(name) <= l.limits.Name {
		return name
	}
	return strings.ToValidUTF8(name[:l.limits.Name], "") + rest
}

// sort puts the layers into the order of a model: those of a row by number, files as
// they come, all else by name.
func (l *Layout) sort() {
	from := make([]int, len(l.Layers))
	for i := range from {
		from[i] = i
	}
	slices.SortStableFunc(from, func(a, b int) int {
		x, y := &l.Layers[a], &l.Layers[b]
		if c := cmp.Compare(slices.Index(order, x.Kind), slices.Index(order, y.Kind)); c != 0 || x.Kind == File {
			return c
		}
		return cmp.Or(strings.Compare(x.stem, y.stem), cmp.Compare(x.Index, y.Index), strings.Compare(x.Name, y.Name))
	})
	sorted := make([]Layer, len(from))
	l.moved = make([]int, len(from))
	for to, i := range from {
		sorted[to], l.moved[i] = l.Layers[i], to
		sorted[to].parts = nil
	}
	l.Layers, l.byName = sorted, nil
}

// Each calls f for all bytes of the version, in the order of its files: with the part
// and the chunk in which so many bytes lie. A part that has several runs in one chunk
// is told of each.
func (l *Layout) Each(f func(at Place, chunk uint32, bytes uint64)) {
	for i := range l.of.Files {
		l.eachOf(i, f)
	}
}

// eachOf walks over the chunks of a file and the tensors in it, both in order.
func (l *Layout) eachOf(i int, f func(Place, uint32, uint64)) {
	file := &l.of.Files[i]
	outside := Place{l.moved[l.files[i]], -1}
	next := 0 // the first tensor that reaches behind offset
	for offset, chunk := range l.of.Extents(file) {
		stop := offset + uint64(l.of.Chunks[chunk].Size)
		for offset < stop {
			for next < len(file.Tensors) && reach(&file.Tensors[next]) <= offset {
				next++
			}
			at, until := outside, stop
			if next < len(file.Tensors) {
				t := &file.Tensors[next]
				if t.Offset <= offset {
					at = Place{l.moved[l.places[i][next].Layer], l.places[i][next].Part}
					until = min(stop, reach(t))
				} else {
					until = min(stop, t.Offset)
				}
			}
			f(at, chunk, until-offset)
			offset = until
		}
	}
}

func reach(t *manifest.Tensor) uint64 { return t.Offset + t.Length }
