package planes

// Split4 splits 4-byte elements into their bytes.
func Split4(p *Set, src []byte) {
	q := p.trim(4, len(src)/4)
	done := split4(&q, src)
	q = q.from(4, done)
	split4Go(&q, src[4*done:])
}

// Merge4 undoes Split4 into dst.
func Merge4(dst []byte, p *Set) {
	q := p.trim(4, len(dst)/4)
	done := merge4(dst, &q)
	q = q.from(4, done)
	merge4Go(dst[4*done:], &q)
}

// SplitF32 splits float32 elements into two bytes of mantissa,
// sign<<7|mantissa's top, and exponent. The word is not rotated: a sign in the
// lowest plane would spoil planes that are constant in a widened bfloat16.
func SplitF32(p *Set, src []byte) {
	q := p.trim(4, len(src)/4)
	done := splitF32(&q, src)
	q = q.from(4, done)
	splitF32Go(&q, src[4*done:])
}

// MergeF32 undoes SplitF32 into dst.
func MergeF32(dst []byte, p *Set) {
	q := p.trim(4, len(dst)/4)
	done := mergeF32(dst, &q)
	q = q.from(4, done)
	mergeF32Go(dst[4*done:], &q)
}

// signDown moves the sign of a float32 to just under its exponent.
func signDown(v uint32) uint32 { return v<<1&0xff000000 | v>>8&0x00800000 | v&0x007fffff }

// signUp undoes signDown.
func signUp(v uint32) uint32 { return v>>1&0x7f800000 | v<<8&0x80000000 | v&0x007fffff }

func split4Go(p *Set, src []byte) {
	p1, p2, p3 := p[1], p[2], p[3]
	for i := range p[0] {
		v := le.Uint32(src[4*i:])
		p[0][i], p1[i], p2[i], p3[i] = byte(v), byte(v>>8), byte(v>>16), byte(v>>24)
	}
}

func merge4Go(dst []byte, p *Set) {
	p1, p2, p3 := p[1], p[2], p[3]
	for i, b := range p[0] {
		le.PutUint32(dst[4*i:], uint32(b)|uint32(p1[i])<<8|uint32(p2[i])<<16|uint32(p3[i])<<24)
	}
}

func splitF32Go(p *Set, src []byte) {
	p1, p2, p3 := p[1], p[2], p[3]
	for i := range p[0] {
		v := signDown(le.Uint32(src[4*i:]))
		p[0][i], p1[i], p2[i], p3[i] = byte(v), byte(v>>8), byte(v>>16), byte(v>>24)
	}
}

func mergeF32Go(dst []byte, p *Set) {
	p1, p2, p3 := p[1], p[2], p[3]
	for i, b := range p[0] {
		v := uint32(b) | uint32(p1[i])<<8 | uint32(p2[i])<<16 | uint32(p3[i])<<24
		le.PutUint32(dst[4*i:], signUp(v))
	}
}
