package planes

import "encoding/binary"

var le = binary.LittleEndian

// Split2 splits 2-byte elements into low and high bytes.
func Split2(p *Set, src []byte) {
	q := p.trim(2, len(src)/2)
	done := split2(&q, src)
	q = q.from(2, done)
	split2Go(&q, src[2*done:])
}

// Merge2 undoes Split2 into dst.
func Merge2(dst []byte, p *Set) {
	q := p.trim(2, len(dst)/2)
	done := merge2(dst, &q)
	q = q.from(2, done)
	merge2Go(dst[2*done:], &q)
}

// SplitBF16 splits bfloat16 elements into sign<<7|mantissa and exponent.
func SplitBF16(p *Set, src []byte) {
	q := p.trim(2, len(src)/2)
	done := splitBF16(&q, src)
	q = q.from(2, done)
	splitBF16Go(&q, src[2*done:])
}

// MergeBF16 undoes SplitBF16 into dst.
func MergeBF16(dst []byte, p *Set) {
	q := p.trim(2, len(dst)/2)
	done := mergeBF16(dst, &q)
	q = q.from(2, done)
	mergeBF16Go(dst[2*done:], &q)
}

func split2Go(p *Set, src []byte) {
	hi := p[1]
	for i := range p[0] {
		v := le.Uint16(src[2*i:])
		p[0][i], hi[i] = byte(v), byte(v>>8)
	}
}

func merge2Go(dst []byte, p *Set) {
	hi := p[1]
	for i, lo := range p[0] {
		le.PutUint16(dst[2*i:], uint16(lo)|uint16(hi[i])<<8)
	}
}

func splitBF16Go(p *Set, src []byte) {
	exp := p[1]
	for i := range p[0] {
		v := le.Uint16(src[2*i:])
		p[0][i], exp[i] = byte(v>>8&0x80|v&0x7f), byte(v>>7)
	}
}

func mergeBF16Go(dst []byte, p *Set) {
	exp := p[1]
	for i, sm := range p[0] {
		le.PutUint16(dst[2*i:], uint16(sm&0x80)<<8|uint16(exp[i])<<7|uint16(sm&0x7f))
	}
}
