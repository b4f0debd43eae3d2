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

// tail returns what follows the bytes of a plain chunk of that checksum.
func tail(sum uint32) [tailLen]byte {
	var t [tailLen]byte
	copy(t[:], tailMagic)
	binary.LittleEndian.PutUint32(t[4:], sum)
	return t
}
