package format_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/format"
)

// weight is a tensor to be put into a file.
type weight struct {
	name, dtype string
	width       int
	data        []byte
}

// randomWeight is a tensor of n bytes that follow from its seed.
func randomWeight(name, dtype string, width, n int, seed uint64) weight {
	b := make([]byte, n)
	r := rand.New(rand.NewPCG(seed, 0))
	for i := range b {
		b[i] = byte(r.Uint64() >> 24)
	}
	return weight{name, dtype, width, b}
}

// build puts weights into a file in that order, with some metadata.
func build(metadata string, weights []weight) []byte {
	header := fmt.Sprintf(`{"__metadata__":{"note":%q}`, metadata)
	offset := 0
	for _, w := range weights {
		end := offset + len(w.data)
		header += fmt.Sprintf(`,%q:{"dtype":%q,"shape":[%d],"data_offsets":[%d,%d]}`, w.name, w.dtype, len(w.data)/w.width, offset, end)
		offset = end
	}
	b := file(header+"}", 0)
	for _, w := range weights {
		b = append(b, w.data...)
	}
	return b
}

// weights has tensors of all kinds that cutting tells apart. Their bytes are made
// once, and may not be changed.
func weights() []weight { return slices.Clone(allWeights()) }

var allWeights = sync.OnceValue(func() []weight {
	return []weight{
		randomWeight("embed", "BF16", 2, 5<<20+34, 1),
		randomWeight("norm", "BF16", 2, 3000, 2),
		randomWeight("bias", "BF16", 2, 500, 3),
		randomWeight("scale", "F32", 4, 400, 4),
		randomWeight("q", "F8_E4M3", 1, 256<<10, 5),
		randomWeight("k", "F8_E4M3", 1, 256<<10-1, 6),
		randomWeight("v", "F8_E4M3", 1, 2<<20-256<<10+1, 7),
		randomWeight("mx", "F8_E8M0", 1, 70, 8),
		randomWeight("z", "C64", 8, 80, 9),
		randomWeight("none", "F32", 4, 0, 10),
		randomWeight("head", "F16", 2, 2<<20, 11),
	}
})

func TestCutsGolden(t *testing.T) {
	checkGolden(t, format.Safetensors, build("golden", weights()))
}

// ownChunks adds the digests of all chunks of tensors of 256 KiB or more in a file
// of any format.
func ownChunks(t *testing.T, b []byte, into map[chunker.Digest]bool) {
	t.Helper()
	f, err := open("file", b)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cutAll(t, f, b) {
		for _, tensor := range f.Tensors {
			if tensor.Length >= chunker.OwnSize && c.Offset >= tensor.Offset && c.Offset < tensor.Offset+tensor.Length {
				into[chunker.Sum(b[c.Offset:c.Offset+int64(c.Length)])] = true
			}
		}
	}
}

func TestCutsSurvive(t *testing.T) {
	base := map[chunker.Digest]bool{}
	ownChunks(t, build("base", weights()), base)
	if len(base) != 3+1+1+1 {
		t.Fatalf("%d chunks of long tensors", len(base))
	}
	reordered, renamed := weights(), weights()
	rand.New(rand.NewPCG(3, 3)).Shuffle(len(reordered), func(i, j int) {
		reordered[i], reordered[j] = reordered[j], reordered[i]
	})
	for i := range renamed {
		renamed[i].name = "model." + renamed[i].name
	}
	all := weights()
	for name, files := range map[string][][]byte{
		"metadata":  {build(strings.Repeat("longer ", 1000), weights())},
		"reordered": {build("base", reordered)},
		"renamed":   {build("base", renamed)},
		"resharded": {build("1", all[:2]), build("2", all[2:6]), build("3", all[6:])},
	} {
		got := map[chunker.Digest]bool{}
		for _, b := range files {
			ownChunks(t, b, got)
		}
		if len(got) != len(base) {
			t.Errorf("%s: %d chunks of long tensors, want %d", name, len(got), len(base))
		}
		for d := range got {
			if !base[d] {
				t.Errorf("%s: chunk %s is new", name, d.Short())
			}
		}
	}
}

func TestCutsOpaque(t *testing.T) {
	b := randomWeight("", "", 1, 5<<20, 12).data
	f, err := open("pytorch_model.bin", b)
	if err != nil {
		t.Fatal(err)
	}
	if cuts := cutAll(t, f, b); len(cuts) < 3 {
		t.Errorf("5 MiB of noise are %d chunks", len(cuts))
	}
	var last error
	for _, err := range f.Cuts(bytes.NewReader(b[:3<<20])) {
		last = err
	}
	if !errors.Is(last, io.ErrUnexpectedEOF) {
		t.Errorf("the file became shorter: %v", last)
	}
	for _, err := range f.Cuts(bytes.NewReader(b)) {
		if err != nil {
			t.Error(err)
		}
		break // the iterator must not go on
	}
}

func TestCutsRefuses(t *testing.T) {
	f := &format.File{Format: format.Safetensors, Size: 10, Tensors: []format.Tensor{{Name: "a", Offset: 5, Length: 6}}}
	for c, err := range f.Cuts(bytes.NewReader(nil)) {
		if !errors.Is(err, chunker.ErrExtent) {
			t.Errorf("cut %v, %v; want %v", c, err, chunker.ErrExtent)
		}
	}
}
