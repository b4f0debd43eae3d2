package planes

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
)

// kinds lists every pair of functions with its twins in plain Go.
var kinds = []struct {
	name    string
	width   int
	split   func(*Set, []byte)
	merge   func([]byte, *Set)
	splitGo func(*Set, []byte)
	mergeGo func([]byte, *Set)
}{
	{"2", 2, Split2, Merge2, split2Go, merge2Go},
	{"BF16", 2, SplitBF16, MergeBF16, splitBF16Go, mergeBF16Go},
	{"4", 4, Split4, Merge4, split4Go, merge4Go},
	{"F32", 4, SplitF32, MergeF32, splitF32Go, mergeF32Go},
	{"8", 8, Split8, Merge8, Split8, Merge8},
}

var lengths = []int{0, 1, 2, 3, 7, 15, 31, 32, 33, 63, 64, 65, 95, 96, 97, 1000, 4096, 65535}

// set returns planes of n bytes filled with b, each followed by a guard.
func set(width, n int, b byte) (p Set) {
	for i := range width {
		p[i] = slices.Repeat([]byte{b}, n+guard)
	}
	return p
}

const guard = 64

func random(seed uint64, n int) []byte {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	b := make([]byte, n)
	_, _ = rand.NewChaCha8(key).Read(b)
	return b
}

// TestTwins holds every kernel to its twin, on lengths that end in the middle of
// a kernel's step and at addresses that no vector is aligned to. Neither may
// write outside its run.
func TestTwins(t *testing.T) {
	requireKernels(t)
	for _, k := range kinds {
		for _, n := range lengths {
			t.Run(fmt.Sprintf("%s/%d", k.name, n), func(t *testing.T) {
				src := random(uint64(n), k.width*n+1)[1:]
				got, want := set(k.width, n, 0xa5), set(k.width, n, 0xa5)
				k.split(&got, src)
				exact := want.trim(k.width, n)
				k.splitGo(&exact, src)
				for i := range k.width {
					if !bytes.Equal(got[i], want[i]) {
						t.Fatalf("plane %d differs from the twin's", i)
					}
				}
				back := slices.Repeat([]byte{0x5a}, k.width*n+guard)
				twin := slices.Clone(back)
				k.merge(back[:k.width*n], &got)
				k.mergeGo(twin[:k.width*n], &exact)
				if !bytes.Equal(back, twin) {
					t.Fatal("merge differs from the twin's")
				}
				if !bytes.Equal(back[:k.width*n], src) {
					t.Fatal("merge does not undo split")
				}
			})
		}
	}
}

// requireKernels skips where there is nothing to compare the twins with.
func requireKernels(t *testing.T) {
	t.Helper()
	if Accelerated {
		return
	}
	if slices.Contains(strings.Split(os.Getenv("INGOT_TEST_REQUIRE"), ","), "asm") {
		t.Fatal("kernels in assembly are required and not in use")
	}
	t.Skip("needs kernels in assembly: AVX2, and no purego build tag")
}

// TestMergeUndoesSplit runs whatever this machine uses over every 16-bit
// pattern, at each place of a word.
func TestMergeUndoesSplit(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			src := make([]byte, k.width<<16)
			for at := 0; at < k.width; at += 2 {
				copy(src, random(uint64(at), len(src)))
				for v := range 1 << 16 {
					le.PutUint16(src[k.width*v+at:], uint16(v))
				}
				p := set(k.width, 1<<16, 0)
				k.split(&p, src)
				back := make([]byte, len(src))
				k.merge(back, &p)
				if !bytes.Equal(back, src) {
					t.Fatalf("patterns at byte %d of the element do not survive", at)
				}
			}
		})
	}
}

// TestPlanes pins what the planes are, by hand.
func TestPlanes(t *testing.T) {
	tests := []struct {
		name  string
		split func(*Set, []byte)
		elem  []byte
		want  []byte
	}{
		{"2", Split2, []byte{0x34, 0x12}, []byte{0x34, 0x12}},
		{"BF16 -1.5", SplitBF16, le.AppendUint16(nil, 0xbfc0), []byte{0xc0, 0x7f}},
		{"4", Split4, []byte{1, 2, 3, 4}, []byte{1, 2, 3, 4}},
		{"F32 -1.5", SplitF32, le.AppendUint32(nil, 0xbfc00000), []byte{0, 0, 0xc0, 0x7f}},
		{"F32 smallest", SplitF32, le.AppendUint32(nil, 1), []byte{1, 0, 0, 0}},
		{"8", Split8, []byte{1, 2, 3, 4, 5, 6, 7, 8}, []byte{1, 2, 3, 4, 5, 6, 7, 8}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			const n = 33 // one step of a kernel, and one element after it
			p := set(len(tt.want), n, 0)
			tt.split(&p, bytes.Repeat(tt.elem, n))
			for i, b := range tt.want {
				if want := bytes.Repeat([]byte{b}, n); !bytes.Equal(p[i][:n], want) {
					t.Errorf("plane %d is %x, want all %02x", i, p[i][:n], b)
				}
			}
		})
	}
}

// TestShortPlane shows that a length that is wrong stops before any write.
func TestShortPlane(t *testing.T) {
	p := set(2, 0, 0)
	p[1] = p[1][:8]
	defer func() {
		if recover() == nil {
			t.Error("a plane shorter than the run was accepted")
		}
		if !bytes.Equal(p[0], make([]byte, guard)) {
			t.Error("the first plane was written")
		}
	}()
	Split2(&p, random(1, 2*guard))
}

func BenchmarkPlanes(b *testing.B) {
	const n = 2 << 20
	src, dst := random(1, n), make([]byte, n)
	for _, k := range kinds {
		p := set(k.width, n/k.width, 0)
		for _, f := range []struct {
			name string
			do   func()
		}{
			{"split", func() { k.split(&p, src) }},
			{"merge", func() { k.merge(dst, &p) }},
			{"splitGo", func() { q := p.trim(k.width, n/k.width); k.splitGo(&q, src) }},
			{"mergeGo", func() { q := p.trim(k.width, n/k.width); k.mergeGo(dst, &q) }},
		} {
			b.Run(k.name+"/"+f.name, func(b *testing.B) {
				b.SetBytes(n)
				for b.Loop() {
					f.do()
				}
			})
		}
	}
	b.Run("copy", func(b *testing.B) {
		b.SetBytes(n)
		for b.Loop() {
			copy(dst, src)
		}
	})
}
