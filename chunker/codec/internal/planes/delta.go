package planes

// Difference writes to z the distance of every element of x from that of base,
// width bytes each: the difference of the two, modulo their range and read as a
// signed number, folded so that small distances in both directions have zeros in
// all bytes but the lowest. X and base are as long as z.
func Difference(z, x, base []byte, width int) {
	x, base = x[:len(z):len(x)], base[:len(z):len(base)]
	done := difference(z, x, base, width)
	differenceGo(z[done:], x[done:], base[done:], width)
}

// Apply undoes Difference: it writes to x the elements that are as far from those
// of base as z says. X may be z or base.
func Apply(x, z, base []byte, width int) {
	z, base = z[:len(x):len(z)], base[:len(x):len(base)]
	done := apply(x, z, base, width)
	applyGo(x[done:], z[done:], base[done:], width)
}

// Retract writes to base the elements from which those of x are as far as z says.
// Base may be z or x.
func Retract(base, z, x []byte, width int) {
	z, x = z[:len(base):len(z)], x[:len(base):len(x)]
	done := retract(base, z, x, width)
	retractGo(base[done:], z[done:], x[done:], width)
}

func fold[S int8 | int16 | int32 | int64](d S, sign uint) S { return d<<1 ^ d>>sign }

func unfold[U uint8 | uint16 | uint32 | uint64](z U) U { return z>>1 ^ -(z & 1) }

func differenceGo(z, x, base []byte, width int) {
	switch width {
	case 1:
		for i := range z {
			z[i] = byte(fold(int8(x[i]-base[i]), 7))
		}
	case 2:
		for i := 0; i < len(z); i += 2 {
			le.PutUint16(z[i:], uint16(fold(int16(le.Uint16(x[i:])-le.Uint16(base[i:])), 15)))
		}
	case 4:
		for i := 0; i < len(z); i += 4 {
			le.PutUint32(z[i:], uint32(fold(int32(le.Uint32(x[i:])-le.Uint32(base[i:])), 31)))
		}
	case 8:
		for i := 0; i < len(z); i += 8 {
			le.PutUint64(z[i:], uint64(fold(int64(le.Uint64(x[i:])-le.Uint64(base[i:])), 63)))
		}
	}
}

func applyGo(x, z, base []byte, width int) {
	switch width {
	case 1:
		for i := range x {
			x[i] = base[i] + unfold(z[i])
		}
	case 2:
		for i := 0; i < len(x); i += 2 {
			le.PutUint16(x[i:], le.Uint16(base[i:])+unfold(le.Uint16(z[i:])))
		}
	case 4:
		for i := 0; i < len(x); i += 4 {
			le.PutUint32(x[i:], le.Uint32(base[i:])+unfold(le.Uint32(z[i:])))
		}
	case 8:
		for i := 0; i < len(x); i += 8 {
			le.PutUint64(x[i:], le.Uint64(base[i:])+unfold(le.Uint64(z[i:])))
		}
	}
}

func retractGo(base, z, x []byte, width int) {
	switch width {
	case 1:
		for i := range base {
			base[i] = x[i] - unfold(z[i])
		}
	case 2:
		for i := 0; i < len(base); i += 2 {
			le.PutUint16(base[i:], le.Uint16(x[i:])-unfold(le.Uint16(z[i:])))
		}
	case 4:
		for i := 0; i < len(base); i += 4 {
			le.PutUint32(base[i:], le.Uint32(x[i:])-unfold(le.Uint32(z[i:])))
		}
	case 8:
		for i := 0; i < len(base); i += 8 {
			le.PutUint64(base[i:], le.Uint64(x[i:])-unfold(le.Uint64(z[i:])))
		}
	}
}
