package disk

import (
	"encoding/binary"
	"hash/crc32"
)

// tailLen is the bytes behind those of a plain chunk: what they are, and their
// checksum. They are behind, so that the chunk begins at a block.
const tailLen = 8

const tailMagic = "IGp1"

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// tail returns what follows the bytes of a plain chunk.
func tail(plain []byte) [tailLen]byte {
	var t [tailLen]byte
	copy(t[:], tailMagic)
	binary.LittleEndian.PutUint32(t[4:], crc32.Checksum(plain, castagnoli))
	return t
}
