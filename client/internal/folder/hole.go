package folder

import "bytes"

// leastHole is the least number of zero bytes that a hole is made for. Below it
// writing them is as fast, and takes one block.
const leastHole = 64 << 10

// zeros is what holes read as.
var zeros [leastHole]byte

// allZero reports whether b holds nothing but zeros. It ends at the first piece
// that does, which for weights is the first one.
func allZero(b []byte) bool {
	for len(b) > len(zeros) {
		if !bytes.Equal(b[:len(zeros)], zeros[:]) {
			return false
		}
		b = b[len(zeros):]
	}
	return bytes.Equal(b, zeros[:len(b)])
}
