package planes

import "math/bits"

// Slack is how many bytes more than it uses the packed side of Pack and Unpack
// has, for they take eight at a time.
const Slack = 8

// MaskLen returns the length of the mask of n bytes.
func MaskLen(n int) int { return (n + 7) / 8 }

// Pack takes the bytes of p that are not zero to the front of packed, in their
// order, and returns how many they are. Bit i%8 of byte i/8 of mask says whether
// byte i of p is one of them. Mask has MaskLen(len(p)) bytes, packed Slack more
// than p.
func Pack(mask, packed, p []byte) int {
	mask, packed = mask[:MaskLen(len(p))], packed[:len(p)+Slack:len(packed)]
	done, n := pack(mask, packed, p)
	return n + packGo(mask[done/8:], packed[n:], p[done:])
}

func packGo(mask, packed, p []byte) (n int) {
	clear(mask)
	for i, v := range p {
		if v != 0 {
			mask[i/8] |= 1 << (i % 8)
			packed[n] = v
			n++
		}
	}
	return n
}

// Packed is what is left of a packed plane. Bytes has Slack more than the mask has
// bits that are set.
type Packed struct{ Mask, Bytes []byte }

// Unpack makes the next bytes of the plane: a multiple of eight, or all there are.
// Bits of the mask behind the last byte are not looked at.
func (q *Packed) Unpack(p []byte) {
	q.check(len(p))
	done := unpack(p, q)
	unpackGo(p[done:], q)
}

// check panics unless q has the next n bytes. It does not count where there is one
// for every bit.
func (q *Packed) check(n int) {
	mask := q.Mask[:MaskLen(n):len(q.Mask)]
	if len(q.Bytes) < 8*len(mask)+Slack {
		_ = q.Bytes[: Count(mask)+Slack : len(q.Bytes)]
	}
}

// skip goes on by n bytes of the plane, of which used were not zero.
func (q *Packed) skip(n, used int) {
	q.Mask, q.Bytes = q.Mask[MaskLen(n):], q.Bytes[used:]
}

func unpackGo(p []byte, q *Packed) {
	clear(p)
	used := 0
	for i, m := range q.Mask[:MaskLen(len(p))] {
		for ; m != 0; m &= m - 1 {
			if at := 8*i + bits.TrailingZeros8(m); at < len(p) {
				p[at] = q.Bytes[used]
				used++
			}
		}
	}
	q.skip(len(p), used)
}

// Count returns how many bits of mask are set.
func Count(mask []byte) int {
	var n [4]int
	for ; len(mask) >= 32; mask = mask[32:] {
		m := (*[32]byte)(mask)
		n[0] += bits.OnesCount64(le.Uint64(m[0:]))
		n[1] += bits.OnesCount64(le.Uint64(m[8:]))
		n[2] += bits.OnesCount64(le.Uint64(m[16:]))
		n[3] += bits.OnesCount64(le.Uint64(m[24:]))
	}
	for _, m := range mask {
		n[0] += bits.OnesCount8(m)
	}
	return n[0] + n[1] + n[2] + n[3]
}

// Patch does at once what Unpack, Merge2 and Apply do, which spares most of what a
// small change costs: it writes to x the elements that are as far from those of base
// as the packed planes say, a multiple of eight of them or all there are. Elements
// have two bytes, or one when hi is nil. X may be base.
func Patch(x, base []byte, lo, hi *Packed) {
	base = base[:len(x):len(base)]
	lo.check(elements(x, hi))
	if hi != nil {
		hi.check(elements(x, hi))
	}
	done := patch(x, base, lo, hi)
	patchGo(x[done:], base[done:], lo, hi)
}

// elements returns how many elements x has.
func elements(x []byte, hi *Packed) int {
	if hi == nil {
		return len(x)
	}
	return len(x) / 2
}

// patchLen is how many elements patchGo does at a time.
const patchLen = 256

func patchGo(x, base []byte, lo, hi *Packed) {
	var z, high [patchLen]byte
	for left := elements(x, hi); left > 0; left -= patchLen {
		n := min(left, patchLen)
		unpackGo(z[:n], lo)
		if hi == nil {
			applyGo(x[:n], z[:n], base[:n], 1)
			x, base = x[n:], base[n:]
			continue
		}
		unpackGo(high[:n], hi)
		for i := range n {
			d := unfold(uint16(z[i]) | uint16(high[i])<<8)
			le.PutUint16(x[2*i:], le.Uint16(base[2*i:])+d)
		}
		x, base = x[2*n:], base[2*n:]
	}
}
