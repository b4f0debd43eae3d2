package ptx

import "encoding/binary"

var le = binary.LittleEndian

// Merge2 puts two byte planes together into elements of 2 bytes, low byte first. It
// does as many elements as low has bytes.
func Merge2(dst, low, high []byte) {
	for i, l := range low {
		dst[2*i], dst[2*i+1] = l, high[i]
	}
}

// MergeBF16 puts the planes of bfloat16 numbers together: sign and mantissa in low,
// the exponent in high.
func MergeBF16(dst, low, high []byte) {
	for i, l := range low {
		le.PutUint16(dst[2*i:], uint16(l&0x80)<<8|uint16(high[i])<<7|uint16(l&0x7f))
	}
}

// Delta16 adds a delta of 2-byte elements to base. It does as many elements as base
// holds; dst may be base or delta.
func Delta16(dst, base, delta []byte) {
	for i := 0; i+1 < len(base); i += 2 {
		z := le.Uint16(delta[i:])
		le.PutUint16(dst[i:], le.Uint16(base[i:])+(z>>1^-(z&1)))
	}
}

// Sum64 returns the checksum of a run of bytes as it lies in memory. It is to find
// damage, not intent: whoever may write the bytes can make others of the same sum.
//
// The run is taken as 64-bit words, the last one filled up with zero bytes, and its
// length is a word before them. Each word, with its place mixed in, is scrambled, and
// all are added up: the order of adding does not matter.
func Sum64(from []byte) uint64 {
	sum := mix(uint64(len(from)))
	place := uint64(step)
	for ; len(from) >= 8; from = from[8:] {
		sum += mix(le.Uint64(from) + place)
		place += step
	}
	if len(from) > 0 {
		var last [8]byte
		copy(last[:], from)
		sum += mix(le.Uint64(last[:]) + place)
	}
	return sum
}

// step is what two words with the same bits differ in for each place between them.
const step = 0x9e3779b97f4a7c15

// mix is the last step of splitmix64.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
