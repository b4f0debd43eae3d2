package planes

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
)

var widths = []int{1, 2, 4, 8}

// TestDistances holds the kernels to their twins, and both to what a distance is.
func TestDistances(t *testing.T) {
	for _, width := range widths {
		for _, n := range lengths {
			t.Run(fmt.Sprintf("%d/%d", width, n), func(t *testing.T) {
				x, base := random(1, width*n+1)[1:], random(2, width*n+3)[3:]
				for i := 0; i < len(x); i += 3 * width {
					copy(x[i:], base[i:i+width]) // some that are the same
				}
				got, want := guarded(width*n), guarded(width*n)
				Difference(got[:width*n], x, base, width)
				differenceGo(want[:width*n], x, base, width)
				if !bytes.Equal(got, want) {
					t.Fatal("difference differs from the twin's")
				}
				z := got[:width*n]
				for name, f := range map[string]func(to []byte){
					"apply":      func(to []byte) { Apply(to, z, base, width) },
					"apply twin": func(to []byte) { applyGo(to, z, base, width) },
				} {
					to := guarded(width * n)
					f(to[:width*n])
					if !bytes.Equal(to[:width*n], x) || !bytes.Equal(to[width*n:], guarded(0)) {
						t.Fatalf("%s does not undo difference", name)
					}
				}
				for name, f := range map[string]func(to []byte){
					"retract":      func(to []byte) { Retract(to, z, x, width) },
					"retract twin": func(to []byte) { retractGo(to, z, x, width) },
				} {
					to := guarded(width * n)
					f(to[:width*n])
					if !bytes.Equal(to[:width*n], base) || !bytes.Equal(to[width*n:], guarded(0)) {
						t.Fatalf("%s does not give the base", name)
					}
				}
				place := slices.Clone(base)
				Apply(place, z, place, width)
				if !bytes.Equal(place, x) {
					t.Fatal("apply in place of the base")
				}
				Retract(place, z, place, width)
				if !bytes.Equal(place, base) {
					t.Fatal("retract in place of the result")
				}
				Apply(z, z, base, width)
				if !bytes.Equal(z, x) {
					t.Fatal("apply in place of the distances")
				}
			})
		}
	}
}

func guarded(n int) []byte { return bytes.Repeat([]byte{0xa5}, n+guard) }

// TestFolding pins the distances of 16-bit elements, all of them, by the formula of
// the format.
func TestFolding(t *testing.T) {
	const n = 1 << 16
	x, base, z := make([]byte, 2*n), bytes.Repeat([]byte{0x34, 0x12}, n), make([]byte, 2*n)
	for v := range n {
		le.PutUint16(x[2*v:], uint16(v))
	}
	Difference(z, x, base, 2)
	for v := range n {
		want := 0 // even for above, odd for below
		if d := int(int16(v - 0x1234)); d >= 0 {
			want = 2 * d
		} else {
			want = -2*d - 1
		}
		if got := int(le.Uint16(z[2*v:])); got != want {
			t.Fatalf("%#x from 0x1234: got %d, want %d", v, got, want)
		}
	}
}

// TestPack holds the kernels to their twins on planes from empty to full.
func TestPack(t *testing.T) {
	for _, n := range lengths {
		for _, full := range []int{0, 1, 30, 128, 220, 256} {
			t.Run(fmt.Sprintf("%d/%d", n, full), func(t *testing.T) {
				p := sparsePlane(n, full)
				mask, packed := guarded(MaskLen(n)), guarded(n+Slack)
				mask2, packed2 := slices.Clone(mask), slices.Clone(packed)
				count := Pack(mask[:MaskLen(n)], packed[:n+Slack], p)
				count2 := packGo(mask2[:MaskLen(n)], packed2, p)
				if count != count2 || !bytes.Equal(mask, mask2) || !bytes.Equal(packed[:count], packed2[:count]) {
					t.Fatal("pack differs from the twin's")
				}
				if count != Count(mask[:MaskLen(n)]) || count != n-bytes.Count(p, []byte{0}) {
					t.Fatalf("count is %d", count)
				}
				if !bytes.Equal(packed[n+Slack:], guarded(0)) {
					t.Fatal("pack wrote behind what it was given")
				}
				back, back2 := guarded(n), guarded(n)
				q, q2 := Packed{mask, packed[:count+Slack]}, Packed{mask, packed}
				q.Unpack(back[:n])
				unpackGo(back2[:n], &q2)
				if len(q.Bytes) != Slack || len(packed)-len(q2.Bytes) != count {
					t.Fatalf("unpack left %d and %d", len(q.Bytes), len(q2.Bytes))
				}
				if !bytes.Equal(back, back2) || !bytes.Equal(back[:n], p) || !bytes.Equal(back[n:], guarded(0)) {
					t.Fatal("unpack does not undo pack")
				}
			})
		}
	}
}

// sparsePlane has full bytes of 256 that are not zero.
func sparsePlane(n, full int) []byte {
	p := random(3, n)
	for i, r := range random(4, n) {
		switch {
		case int(r) >= full:
			p[i] = 0
		case p[i] == 0:
			p[i] = 1
		}
	}
	return p
}

// full is a plane of n bytes of which none is zero, with some bytes for it.
func full(n, bytes int) *Packed {
	q := &Packed{make([]byte, MaskLen(n)), make([]byte, bytes)}
	for i := range q.Mask {
		q.Mask[i] = 0xff
	}
	return q
}

// TestPatch holds the kernels to their twin, and both to what they do at once.
func TestPatch(t *testing.T) {
	for _, n := range lengths {
		for _, part := range [][2]int{{0, 0}, {2, 0}, {30, 1}, {128, 30}, {256, 256}} {
			t.Run(fmt.Sprintf("%d/%d", n, part), func(t *testing.T) {
				low, high := sparsePlane(n, part[0]), sparsePlane(n, part[1])
				base := random(7, 2*n+1)[1:]
				p := Set{low, high}
				z := make([]byte, 2*n)
				Merge2(z, &p)
				two, one := make([]byte, 2*n), make([]byte, n)
				applyGo(two, z, base, 2)
				applyGo(one, low, base[:n], 1)
				for name, f := range map[string]func(x, base []byte, lo, hi *Packed){"patch": Patch, "twin": patchGo} {
					x := guarded(2 * n)
					lo, hi := packed(low), packed(high)
					f(x[:2*n], base, lo, hi)
					if !bytes.Equal(x[:2*n], two) || !bytes.Equal(x[2*n:], guarded(0)) {
						t.Fatalf("%s of two bytes", name)
					}
					if len(lo.Bytes) != Slack || len(hi.Bytes) != Slack {
						t.Fatalf("%s left %d and %d", name, len(lo.Bytes), len(hi.Bytes))
					}
					x, lo = guarded(n), packed(low)
					f(x[:n], base, lo, nil)
					if !bytes.Equal(x[:n], one) || !bytes.Equal(x[n:], guarded(0)) || len(lo.Bytes) != Slack {
						t.Fatalf("%s of one byte", name)
					}
					place := slices.Clone(base)
					f(place, place, packed(low), packed(high))
					if !bytes.Equal(place, two) {
						t.Fatalf("%s in place", name)
					}
				}
			})
		}
	}
}

func packed(p []byte) *Packed {
	q := Packed{make([]byte, MaskLen(len(p))), make([]byte, len(p)+Slack)}
	q.Bytes = q.Bytes[:Pack(q.Mask, q.Bytes, p)+Slack]
	return &q
}

// TestUnpackShort stops before anything is read that is not there.
func TestUnpackShort(t *testing.T) {
	for name, f := range map[string]func(){
		"packed": func() { full(64, 64+Slack-1).Unpack(make([]byte, 64)) },
		"mask":   func() { full(56, 100).Unpack(make([]byte, 64)) },
		"patch":  func() { Patch(make([]byte, 64), make([]byte, 64), full(64, 64+Slack-1), nil) },
		"high":   func() { Patch(make([]byte, 64), make([]byte, 64), full(32, 100), full(32, 32+Slack-1)) },
		"base":   func() { Patch(make([]byte, 64), make([]byte, 63), full(64, 100), nil) },
		"pack":   func() { Pack(make([]byte, 8), make([]byte, 64+Slack-1), make([]byte, 64)) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("accepted")
				}
			}()
			f()
		})
	}
}

func BenchmarkDelta(b *testing.B) {
	const n = 1 << 20
	x, base, z := random(1, n), random(2, n), make([]byte, n)
	for _, width := range widths {
		for name, f := range map[string]func(){
			"difference":   func() { Difference(z, x, base, width) },
			"apply":        func() { Apply(x, z, base, width) },
			"differenceGo": func() { differenceGo(z, x, base, width) },
			"applyGo":      func() { applyGo(x, z, base, width) },
		} {
			b.Run(fmt.Sprint(name, width), func(b *testing.B) {
				b.SetBytes(n)
				for b.Loop() {
					f()
				}
			})
		}
	}
	for _, full := range []int{3, 51, 180} {
		p := sparsePlane(n, full)
		mask, packed := make([]byte, MaskLen(n)), make([]byte, n+Slack)
		Pack(mask, packed, p)
		for name, f := range map[string]func(){
			"pack":     func() { Pack(mask, packed, p) },
			"unpack":   func() { (&Packed{mask, packed}).Unpack(p) },
			"patch":    func() { Patch(x, base, &Packed{mask, packed}, nil) },
			"packGo":   func() { packGo(mask, packed, p) },
			"unpackGo": func() { unpackGo(p, &Packed{mask, packed}) },
			"patchGo":  func() { patchGo(x, base, &Packed{mask, packed}, nil) },
		} {
			b.Run(fmt.Sprint(name, full), func(b *testing.B) {
				b.SetBytes(n)
				for b.Loop() {
					f()
				}
			})
		}
	}
}
