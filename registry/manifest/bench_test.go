package manifest_test

import (
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/registry/manifest"
)

// The benchmarks work on the document of a 140 GB model. BenchmarkCopy gives
// the scale: copying its bytes once.

func BenchmarkCopy(b *testing.B) {
	doc := encode(b, llama(b, 30, nil))
	dst := make([]byte, len(doc))
	b.SetBytes(int64(len(doc)))
	for b.Loop() {
		copy(dst, doc)
	}
}

func BenchmarkBuild(b *testing.B) {
	m := llama(b, 30, nil)
	refs := make([][]chunker.Ref, len(m.Files))
	for i := range m.Files {
		for _, c := range m.Files[i].Chunks {
			refs[i] = append(refs[i], m.Chunks[c])
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		builder := manifest.NewBuilder()
		for i, f := range m.Files {
			builder.Add(f, refs[i])
		}
		if _, err := builder.Build(chunker.Digest{}, nil); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	m := llama(b, 30, nil)
	b.SetBytes(int64(len(encode(b, m))))
	b.ReportAllocs()
	for b.Loop() {
		encode(b, m)
	}
}

func BenchmarkParse(b *testing.B) {
	doc := encode(b, llama(b, 30, nil))
	b.SetBytes(int64(len(doc)))
	b.ReportAllocs()
	for b.Loop() {
		parse(b, doc)
	}
}

func BenchmarkCompare(b *testing.B) {
	x := llama(b, 30, nil)
	y := llama(b, 30, func(layer int) bool { return layer%8 == 0 })
	b.ReportAllocs()
	for b.Loop() {
		manifest.Compare(x, y)
	}
}
