package planes

// Split8 splits 8-byte elements into their bytes. It has no kernel: such
// elements are rare in models.
func Split8(p *Set, src []byte) {
	q := p.trim(8, len(src)/8)
	for i := range q[0] {
		v := le.Uint64(src[8*i:])
		for j := range q {
			q[j][i] = byte(v >> (8 * j))
		}
	}
}

// Merge8 undoes Split8 into dst.
func Merge8(dst []byte, p *Set) {
	q := p.trim(8, len(dst)/8)
	for i := range q[0] {
		var v uint64
		for j := range q {
			v |= uint64(q[j][i]) << (8 * j)
		}
		le.PutUint64(dst[8*i:], v)
	}
}
