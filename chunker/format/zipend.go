package format

import (
	"bytes"
	"encoding/binary"
	"io"
	"math"
)

// maxZipEntries bounds, with maxParsedHeader, the memory for a zip.
const maxZipEntries = 1 << 17

// The records at the end of a zip: the end itself, with a comment behind it, and
// in front of it, where 32 bits might not do, the locator of the zip64 end.
const (
	endLen       = 22
	endSignature = "PK\x05\x06"
	maxComment   = math.MaxUint16

	locatorLen       = 20
	locatorSignature = "PK\x06\x07"
	end64Len         = 56
	end64Signature   = "PK\x06\x06"
)

// findDirectory reads the end of a zip of size bytes, which has at least those of
// an end record. It returns the directory's place when that is in the file and
// may be read into memory.
func findDirectory(r io.ReaderAt, size int64) (directory, error) {
	tail := make([]byte, min(size, locatorLen+endLen+maxComment))
	start := size - int64(len(tail))
	if err := readFull(r, tail, start); err != nil {
		return directory{}, err
	}
	end := bytes.LastIndex(tail[:len(tail)-endLen+len(endSignature)], []byte(endSignature))
	if end < 0 || len(tail)-end-endLen != int(binary.LittleEndian.Uint16(tail[end+20:])) {
		return directory{}, malformedf("no directory at the end of the zip")
	}
	record, stop := parseEnd(tail[end:]), start+int64(end)
	if locator := tail[:end]; len(locator) >= locatorLen {
		locator = locator[len(locator)-locatorLen:]
		if string(locator[:4]) == locatorSignature {
			return findDirectory64(r, record, locator, stop-locatorLen)
		}
	}
	return record.directory(stop)
}

// endRecord is what either end of a zip says.
type endRecord struct {
	disk, dirDisk, diskCount, count, size, offset uint64
}

func parseEnd(b []byte) endRecord {
	le := binary.LittleEndian
	return endRecord{
		disk: uint64(le.Uint16(b[4:])), dirDisk: uint64(le.Uint16(b[6:])),
		diskCount: uint64(le.Uint16(b[8:])), count: uint64(le.Uint16(b[10:])),
		size: uint64(le.Uint32(b[12:])), offset: uint64(le.Uint32(b[16:])),
	}
}

// findDirectory64 reads the zip64 end, which must lie right before its locator
// at stop, and say what the short end says where that has room for it.
func findDirectory64(r io.ReaderAt, short endRecord, locator []byte, stop int64) (directory, error) {
	le := binary.LittleEndian
	stop -= end64Len
	if stop < 0 || le.Uint64(locator[8:]) != uint64(stop) {
		return directory{}, malformedf("zip64 end is not before its locator")
	}
	var b [end64Len]byte
	if err := readFull(r, b[:], stop); err != nil {
		return directory{}, err
	}
	if string(b[:4]) != end64Signature || le.Uint64(b[4:]) != end64Len-12 {
		return directory{}, malformedf("zip64 end is not before its locator")
	}
	e := endRecord{
		disk: uint64(le.Uint32(b[16:])), dirDisk: uint64(le.Uint32(b[20:])),
		diskCount: le.Uint64(b[24:]), count: le.Uint64(b[32:]),
		size: le.Uint64(b[40:]), offset: le.Uint64(b[48:]),
	}
	if short.disagrees(e) {
		return directory{}, malformedf("the two ends of the zip differ")
	}
	return e.directory(stop)
}

// disagrees reports whether e, a short end, says something else than wide.
func (e endRecord) disagrees(wide endRecord) bool {
	differ := func(short, wide, most uint64) bool { return short != wide && short != most }
	return differ(e.count, wide.count, math.MaxUint16) || differ(e.size, wide.size, math.MaxUint32) || differ(e.offset, wide.offset, math.MaxUint32)
}

// directory checks e, which starts at stop, where the directory must end.
func (e endRecord) directory(stop int64) (directory, error) {
	switch {
	case e.offset > uint64(stop) || e.size != uint64(stop)-e.offset:
		return directory{}, malformedf("directory of %d bytes at %d does not end at %d", e.size, e.offset, stop)
	case e.disk != 0 || e.dirDisk != 0 || e.diskCount != e.count:
		return directory{}, errBeyond // a part of a split zip
	case e.count > e.size/recordLen:
		return directory{}, malformedf("directory of %d entries in %d bytes", e.count, e.size)
	case e.size > maxParsedHeader || e.count > maxZipEntries:
		return directory{}, errBeyond
	}
	return directory{int64(e.offset), int64(e.size), e.count}, nil
}

// appendEnd appends to a directory the end of a zip that has nothing else.
func (d directory) appendEnd(b []byte) []byte {
	le := binary.LittleEndian
	b = le.AppendUint64(append(b, end64Signature...), end64Len-12)
	b = append(b, make([]byte, 12)...) // versions and disks
	b = le.AppendUint64(le.AppendUint64(b, d.count), d.count)
	b = le.AppendUint64(le.AppendUint64(b, uint64(d.size)), 0)
	b = append(b, locatorSignature+"\x00\x00\x00\x00"...)
	b = le.AppendUint32(le.AppendUint64(b, uint64(d.size)), 1)
	b = append(b, endSignature+"\x00\x00\x00\x00"...)
	return append(b, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00"...) // see the other end
}
