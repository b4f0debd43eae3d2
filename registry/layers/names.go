package layers

import (
	"iter"
	"slices"
	"strconv"
	"strings"
)

// parsed is what the name of a tensor tells.
type parsed struct {
	layer string // with its number
	shown string // instead of it, if that is not for people
	stem  string // before the number
	index int64
	kind  Kind
	part  string // behind the layer, numbers folded
}

// maxDigits is how long the number of a layer may be.
const maxDigits = 9

// parse takes the name of a tensor apart: "model.layers.3.mlp.experts.7.up_proj.weight"
// is layer "model.layers.3", part "mlp.experts.*.up_proj.weight". A name without a number
// loses only its last part, as in "model.norm.weight".
func parse(name string) parsed {
	at := 0
	for word := range words(name) {
		if n, ok := numberOf(word); ok && at+len(word) < len(name) {
			return parsed{
				layer: name[:at+len(word)], stem: name[:at+len(word)-len(strconv.FormatInt(n, 10))], index: n, kind: Numbered,
				part: fold(name[at+len(word)+1:]),
			}
		}
		at += len(word) + 1
	}
	p := parsed{layer: name, part: name}
	if i := strings.LastIndexAny(name, "./"); i > 0 && i+1 < len(name) {
		p.layer, p.part = name[:i], name[i+1:]
	}
	p.kind = kindOf(p.layer)
	return p
}

// words yields the parts of a name that dots and slashes separate, empty ones too.
func words(name string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for {
			i := strings.IndexAny(name, "./")
			if i < 0 {
				yield(name)
				return
			}
			if !yield(name[:i]) {
				return
			}
			name = name[i+1:]
		}
	}
}

// numberOf reads the number of a layer: "3", or "layer_3" as some write it.
func numberOf(word string) (int64, bool) {
	if i := strings.LastIndexByte(word, '_'); i > 0 {
		word = word[i+1:]
	}
	if word == "" || len(word) > maxDigits || len(word) > 1 && word[0] == '0' {
		return 0, false
	}
	n, err := strconv.ParseUint(word, 10, 32)
	return int64(n), err == nil
}

// fold puts a star for every number in a name.
func fold(name string) string {
	if !strings.ContainsAny(name, "0123456789") {
		return name
	}
	var b strings.Builder
	at := 0
	for word := range words(name) {
		if _, ok := numberOf(word); ok && !strings.Contains(word, "_") {
			b.WriteByte('*')
		} else {
			b.WriteString(word)
		}
		at += len(word)
		if at < len(name) {
			b.WriteByte(name[at])
			at++
		}
	}
	return b.String()
}

// What the names of layers are called by, beside the words in kindOf.
var (
	embeddings = []string{"wte", "wpe", "shared", "patch_embedding"}
	heads      = []string{"output", "head", "classifier", "score", "cls"}
)

// kindOf guesses what a layer without a number is.
func kindOf(layer string) Kind {
	word := strings.ToLower(layer[strings.LastIndexAny(layer, "./")+1:])
	switch {
	case strings.Contains(word, "norm"), word == "ln", strings.HasPrefix(word, "ln_"):
		return Norm
	case strings.Contains(word, "emb"), slices.Contains(embeddings, word):
		return Embedding
	case strings.HasSuffix(word, "head"), slices.Contains(heads, word):
		return Head
	}
	return Other
}
