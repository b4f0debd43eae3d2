package deltas_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/codec"
	"github.com/ingot-ml/ingot/registry/internal/blobs"
	"github.com/ingot-ml/ingot/registry/internal/deltas"
	"github.com/ingot-ml/ingot/registry/internal/placement"
)

// weights makes n bfloat16 numbers as models have them.
func weights(r *rand.Rand, n int) []byte {
	var b []byte
	for range n {
		b = binary.LittleEndian.AppendUint16(b, uint16(math.Float32bits(float32(r.NormFloat64()*0.02))>>16))
	}
	return b
}

// trained changes a fifth of the numbers a little.
func trained(r *rand.Rand, b []byte) []byte {
	b = bytes.Clone(b)
	for i := 0; i < len(b); i += 2 {
		if r.IntN(5) == 0 {
			b[i] += byte(1 + r.IntN(3))
		}
	}
	return b
}

// BenchmarkTake does what a registry does with a delta that comes in: it reads the base,
// decodes and verifies the chunk, and encodes it as it is to be stored. bases is how many
// the chunk needs of which it is a delta.
func BenchmarkTake(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	store, plain := blobs.NewMemory(), weights(r, chunker.MaxSize/2)
	e := placement.Entry{Object: "c/0", Length: uint32(put(b, store, "c/0", codec.Append(nil, plain, chunker.BF16)))}
	for bases := range 3 {
		next := trained(r, plain)
		enc, ok := codec.AppendDelta(nil, next, plain, chunker.Sum(plain), chunker.BF16, len(next))
		if !ok {
			b.Fatal("no delta")
		}
		b.Run(fmt.Sprintf("bases=%d", bases), func(b *testing.B) { take(b, store, &e, plain, next, enc) })
		name := fmt.Sprintf("c/%d", bases+1)
		e = placement.Entry{Object: name, Length: uint32(put(b, store, name, enc)), Closure: deltas.ChainOf(&e)}
		plain = next
	}
}

func put(b *testing.B, store blobs.Store, name string, enc []byte) int {
	if err := store.Put(b.Context(), name, enc); err != nil {
		b.Fatal(err)
	}
	return len(enc)
}

func take(b *testing.B, store blobs.Store, e *placement.Entry, base, plain, enc []byte) {
	desks, name, stored := deltas.NewDesks(1), chunker.Sum(base), 0
	b.SetBytes(int64(len(plain)))
	for b.Loop() {
		desk, err := desks.Take(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		if err := desk.Open(b.Context(), store, deltas.ChainOf(e), name); err != nil {
			b.Fatal(err)
		}
		got, err := desk.Decode(enc)
		if err != nil || chunker.Sum(got) != chunker.Sum(plain) {
			b.Fatal(err)
		}
		stored = len(desk.Encode(got, chunker.BF16, enc).Bytes)
		desks.Return(desk)
	}
	b.ReportMetric(float64(stored)/float64(len(plain)), "stored/raw")
}
