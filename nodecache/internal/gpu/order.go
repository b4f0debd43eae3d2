package gpu

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/ingot-ml/ingot/registry/manifest"
)

// preferred is the format that is taken alone when a version has it: repositories
// often hold the same weights in an older format too.
const preferred = "safetensors"

// tensor is a tensor of a version on its way to a place.
type tensor struct {
	file   *manifest.File
	tensor *manifest.Tensor
	starts []int64 // of the chunks of the file
	layer  string
	key    []string // of the name, for the order
}

// tensorsOf returns the tensors that an image has, in the order of their names,
// where numbers count as numbers: then layers lie together, and it does not matter
// how a version is divided into files.
func tensorsOf(m *manifest.Manifest) (list []tensor) {
	one := slices.ContainsFunc(m.Files, func(f manifest.File) bool { return f.Format == preferred && len(f.Tensors) > 0 })
	for i := range m.Files {
		f := &m.Files[i]
		if one && f.Format != preferred || len(f.Tensors) == 0 {
			continue
		}
		starts := make([]int64, 0, len(f.Chunks))
		for at := range m.Extents(f) {
			starts = append(starts, int64(at))
		}
		for j := range f.Tensors {
			t := &f.Tensors[j]
			key := words(t.Name)
			list = append(list, tensor{f, t, starts, layerOf(key), key})
		}
	}
	slices.SortStableFunc(list, func(a, b tensor) int {
		return cmp.Or(slices.CompareFunc(a.key, b.key, compareWords), strings.Compare(a.file.Path, b.file.Path))
	})
	return list
}

// place names the bytes that a tensor has in its version.
func (t tensor) place() string {
	return fmt.Sprintf("%d %d %s", t.tensor.Offset, t.tensor.Length, t.file.Path)
}

// parts returns what chunks the bytes of the tensor are in; offsets are not set.
func (t tensor) parts(m *manifest.Manifest) (parts []extent) {
	at, left := int64(t.tensor.Offset), int64(t.tensor.Length)
	i, found := slices.BinarySearch(t.starts, at)
	if !found {
		i--
	}
	for ; left > 0; i++ {
		c := m.Chunks[t.file.Chunks[i]]
		skip := at - t.starts[i]
		n := min(int64(c.Size)-skip, left)
		parts = append(parts, extent{chunk: c.Digest, at: skip, length: n})
		at, left = at+n, left-n
	}
	return parts
}

// words cuts a name at dots, and numbers from letters.
func words(name string) (list []string) {
	for part := range strings.SplitSeq(name, ".") {
		for part != "" {
			n := strings.IndexFunc(part, func(r rune) bool { return isDigit(r) != isDigit(rune(part[0])) })
			if n < 0 {
				n = len(part)
			}
			list = append(list, part[:n])
			part = part[n:]
		}
		list = append(list, ".")
	}
	return list[:max(0, len(list)-1)]
}

func isDigit(r rune) bool { return '0' <= r && r <= '9' }

// compareWords compares numbers by their value and everything else by its bytes.
func compareWords(a, b string) int {
	if a != "" && b != "" && isDigit(rune(a[0])) && isDigit(rune(b[0])) {
		x, y := strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
		return cmp.Or(cmp.Compare(len(x), len(y)), strings.Compare(x, y), strings.Compare(a, b))
	}
	return strings.Compare(a, b)
}

// layerOf returns what the tensors of a layer have in common: the name up to the
// first part that is a number, or all of one that has none.
func layerOf(key []string) string {
	for i, w := range key {
		alone := (i == 0 || key[i-1] == ".") && (i+1 == len(key) || key[i+1] == ".")
		if alone && isDigit(rune(w[0])) {
			return strings.Join(key[:i+1], "")
		}
	}
	return strings.Join(key, "")
}
