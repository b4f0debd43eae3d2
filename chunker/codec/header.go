package codec

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/ingot-ml/ingot/chunker"
)

// Offsets in the header.
const (
	atVersion  = 2
	atLayout   = 3
	atFlags    = 4
	atPlanes   = 5
	atReserved = 6
	atRawLen   = 8
	atCRC      = 12
)

var le = binary.LittleEndian

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// noChecksum stands for the field of the checksum while that is computed.
var noChecksum [headerLen - atCRC]byte

// frame is a parsed encoded chunk. Its bodies are views of the input.
type frame struct {
	layout Layout
	rawLen int
	delta  bool
	base   chunker.Digest
	planes [maxPlanes]entry
}

// entry is one plane of a frame.
type entry struct {
	mode     Mode
	blockLog uint8
	tables   int
	body     []byte
}

// open parses enc after its checksum proved right. The checksum comes first: a
// flipped bit must read as damage, not as a format from the future.
func open(enc []byte) (f frame, err error) {
	if err := checkPrefix(enc); err != nil {
		return frame{}, err
	}
	if got, want := checksum(enc), le.Uint32(enc[atCRC:]); got != want {
		return frame{}, corrupt("checksum %08x, want %08x", got, want)
	}
	return parse(enc)
}

// checkPrefix checks what every version has in common, so that the rest of the
// header can be read.
func checkPrefix(enc []byte) error {
	switch {
	case len(enc) < headerLen:
		return corrupt("header of %d bytes", len(enc))
	case string(enc[:atVersion]) != magic:
		return corrupt("magic %x", enc[:atVersion])
	case enc[atVersion] != version:
		return unsupported("version %d", enc[atVersion])
	}
	return nil
}

// checksum returns the CRC-32C of enc as if its checksum field were zero.
func checksum(enc []byte) uint32 {
	sum := crc32.Update(0, castagnoli, enc[:atCRC])
	sum = crc32.Update(sum, castagnoli, noChecksum[:])
	return crc32.Update(sum, castagnoli, enc[headerLen:])
}

// parse reads the header and the plane table and finds the bodies. It allocates
// nothing but errors.
func parse(enc []byte) (f frame, err error) {
	if err := checkPrefix(enc); err != nil {
		return frame{}, err
	}
	if f, err = parseHeader(enc); err != nil {
		return frame{}, err
	}
	rest, err := f.parseBase(enc[headerLen:])
	if err != nil {
		return frame{}, err
	}
	if f.delta && len(enc) > f.rawLen {
		return frame{}, corrupt("delta of %d bytes for %d", len(enc), f.rawLen)
	}
	return f, f.parsePlanes(rest)
}

// parseBase reads the name of the base of a delta, which is at the start of rest,
// and returns what follows it.
func (f *frame) parseBase(rest []byte) ([]byte, error) {
	if !f.delta {
		return rest, nil
	}
	if len(rest) < chunker.DigestSize {
		return nil, corrupt("base of %d bytes", len(rest))
	}
	f.base = chunker.Digest(rest[:chunker.DigestSize])
	if f.base.IsZero() {
		return nil, corrupt("base that names nothing")
	}
	return rest[chunker.DigestSize:], nil
}

func parseHeader(enc []byte) (f frame, err error) {
	f.layout = Layout(enc[atLayout])
	flags, rawLen := enc[atFlags], le.Uint32(enc[atRawLen:])
	switch {
	case flags&^flagDelta != 0:
		return f, unsupported("flags %08b", flags)
	case f.layout >= layoutsKnown:
		return f, unsupported("layout %d", f.layout)
	case int(enc[atPlanes]) != f.layout.planes():
		return f, corrupt("%d planes in layout %d", enc[atPlanes], f.layout)
	case le.Uint16(enc[atReserved:]) != 0:
		return f, corrupt("reserved field %#04x", le.Uint16(enc[atReserved:]))
	case rawLen < 1 || rawLen > chunker.MaxSize:
		return f, corrupt("plain length %d", rawLen)
	case int(rawLen)%f.layout.planes() != 0:
		return f, corrupt("plain length %d in layout %d", rawLen, f.layout)
	}
	f.rawLen = int(rawLen)
	f.delta = flags&flagDelta != 0
	if f.delta && !layouts[f.layout].delta {
		return f, unsupported("delta in layout %d", f.layout)
	}
	return f, nil
}

// parsePlanes reads the plane table at the start of rest and divides what
// follows among the planes.
func (f *frame) parsePlanes(rest []byte) error {
	n := f.layout.planes()
	if len(rest) < n*entryLen {
		return corrupt("plane table of %d bytes", len(rest))
	}
	table, bodies := rest[:n*entryLen], rest[n*entryLen:]
	for i := range n {
		e := table[i*entryLen:]
		p := entry{mode: Mode(e[0]), blockLog: e[1], tables: int(le.Uint16(e[2:]))}
		size := le.Uint32(e[4:])
		if uint64(size) > uint64(len(bodies)) {
			return corrupt("plane %d: %d bytes of %d left", i, size, len(bodies))
		}
		p.body, bodies = bodies[:size], bodies[size:]
		if err := p.check(f.rawLen / n); err != nil {
			return fmt.Errorf("plane %d: %w", i, err)
		}
		f.planes[i] = p
	}
	if len(bodies) > 0 {
		return corrupt("%d bytes after the last plane", len(bodies))
	}
	return nil
}

// check judges the entry of a plane of n bytes by what its mode allows. A coded
// plane is shorter than the plane, or it would have been left raw; so no encoded
// chunk is longer than its plain bytes, header and table.
func (p *entry) check(n int) error {
	size := len(p.body)
	switch p.mode {
	case ModeRaw, ModeConst, ModeZstd:
		if p.blockLog != 0 || p.tables != 0 {
			return corrupt("blocks in mode %d", p.mode)
		}
	case ModeSparse, ModeHuff0:
		if p.blockLog != blockLog {
			return unsupported("blocks of 2^%d bytes", p.blockLog)
		}
	default:
		return unsupported("mode %d", p.mode)
	}
	switch {
	case p.mode == ModeRaw && size != n,
		p.mode == ModeConst && size != 1,
		p.mode > ModeConst && (size < 1 || size >= n):
		return corrupt("%d bytes in mode %d for %d", size, p.mode, n)
	}
	return nil
}

// putHeader writes the header of a chunk that is no delta, without the checksum.
func putHeader(enc []byte, l Layout, rawLen int) {
	copy(enc, magic)
	enc[atVersion], enc[atLayout] = version, byte(l)
	enc[atFlags], enc[atPlanes] = 0, byte(l.planes())
	le.PutUint16(enc[atReserved:], 0)
	le.PutUint32(enc[atRawLen:], uint32(rawLen))
	le.PutUint32(enc[atCRC:], 0)
}

// putEntry writes the table entry of a plane whose body has size bytes.
func putEntry(e []byte, mode Mode, tables, size int) {
	e[0], e[1] = byte(mode), 0
	if mode == ModeSparse || mode == ModeHuff0 {
		e[1] = blockLog
	}
	le.PutUint16(e[2:], uint16(tables))
	le.PutUint32(e[4:], uint32(size))
}
