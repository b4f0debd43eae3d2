package codec_test

import (
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/codec"
)

// benchSet is longer than the caches, so that plain bytes come from memory as
// they do in use. The figure to look at is the ratio to BenchmarkMemcpy of the
// same run: the speed itself is that of a machine.
const benchSet = 64 << 20

// pieces cuts b into chunks of the greatest length.
func pieces(b []byte) [][]byte {
	var p [][]byte
	for ; len(b) > 0; b = b[chunker.MaxSize:] {
		p = append(p, b[:chunker.MaxSize])
	}
	return p
}

func BenchmarkMemcpy(b *testing.B) {
	src, dst := pieces(noise(benchSet)), pieces(noise(benchSet))
	b.SetBytes(chunker.MaxSize)
	for i := 0; b.Loop(); i++ {
		copy(dst[i%len(dst)], src[i%len(src)])
	}
}

func BenchmarkEncode(b *testing.B) {
	for _, t := range tensors {
		b.Run(t.name, func(b *testing.B) {
			src := pieces(t.make(benchSet))
			dst := make([][]byte, len(src))
			total := 0
			for i := range dst {
				dst[i] = codec.Append(make([]byte, 0, codec.MaxEncoded(chunker.MaxSize)), src[i], t.dtype)
				total += len(dst[i])
			}
			b.SetBytes(chunker.MaxSize)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				k := i % len(src)
				dst[k] = codec.Append(dst[k][:0], src[k], t.dtype)
			}
			b.ReportMetric(float64(total)/benchSet, "stored/raw")
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, t := range tensors {
		b.Run(t.name, func(b *testing.B) {
			var enc [][]byte
			for _, p := range pieces(t.make(benchSet)) {
				enc = append(enc, codec.Append(nil, p, t.dtype))
			}
			dst := pieces(make([]byte, benchSet))
			b.SetBytes(chunker.MaxSize)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				k := i % len(enc)
				if _, err := codec.Decode(dst[k], enc[k]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkCheck is what a scrub of stored chunks costs.
func BenchmarkCheck(b *testing.B) {
	var enc [][]byte
	for _, p := range pieces(gaussBF16(benchSet)) {
		enc = append(enc, codec.Append(nil, p, chunker.BF16))
	}
	b.SetBytes(chunker.MaxSize)
	for i := 0; b.Loop(); i++ {
		if err := codec.Check(enc[i%len(enc)]); err != nil {
			b.Fatal(err)
		}
	}
}
