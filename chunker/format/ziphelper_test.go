package format_test

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"slices"
	"strings"
	"testing"
)

// member is a file to be put into a zip, as it is.
type member struct {
	name   string
	data   []byte
	method uint16
	flags  uint16
	extra  []byte // in its local header
	size   uint64 // claimed, unless it is 0
}

// packer writes a zip.
type packer struct {
	t   testing.TB
	buf bytes.Buffer
	w   *zip.Writer
}

func newPacker(t testing.TB) *packer {
	p := &packer{t: t}
	p.w = zip.NewWriter(&p.buf)
	return p
}

// add writes m and returns its header, for the directory.
func (p *packer) add(m member) *zip.FileHeader {
	p.t.Helper()
	h := &zip.FileHeader{
		Name: m.name, Method: m.method, Flags: m.flags, Extra: m.extra,
		CRC32: crc32.ChecksumIEEE(m.data), CompressedSize64: uint64(len(m.data)), UncompressedSize64: uint64(len(m.data)),
	}
	if m.size != 0 {
		h.UncompressedSize64 = m.size
	}
	if m.size > math.MaxUint32 {
		h.Extra = binary.LittleEndian.AppendUint64([]byte{1, 0, 8, 0}, m.size)
	}
	w, err := p.w.CreateRaw(h)
	if err != nil {
		p.t.Fatal(err)
	}
	if _, err := w.Write(m.data); err != nil {
		p.t.Fatal(err)
	}
	h.Extra = nil // the directory has none
	return h
}

// pos returns where the next entry goes.
func (p *packer) pos() int {
	if err := p.w.Flush(); err != nil {
		p.t.Fatal(err)
	}
	return p.buf.Len()
}

func (p *packer) close() []byte {
	if err := p.w.Close(); err != nil {
		p.t.Fatal(err)
	}
	return p.buf.Bytes()
}

// pack makes a zip of these members.
func pack(t testing.TB, members ...member) []byte {
	t.Helper()
	p := newPacker(t)
	for _, m := range members {
		p.add(m)
	}
	return p.close()
}

// torchFile makes a checkpoint as torch.save does: sizes behind the data, which
// starts at a multiple of 64, and two ends.
func torchFile(t testing.TB, weights []weight) []byte {
	t.Helper()
	members := []member{{name: "data.pkl", data: []byte("\x80\x02}q\x00.")}, {name: "byteorder", data: []byte("little")}}
	for i, w := range weights {
		members = append(members, member{name: fmt.Sprintf("data/%d", i), data: w.data})
	}
	members = append(members, member{name: "version", data: []byte("3\n")}, member{name: ".data/serialization_id", data: []byte("0123456789")})
	p := newPacker(t)
	after := 0 // bytes that follow the data of the entry before
	for _, m := range members {
		m.name = "archive/" + m.name
		m.flags = 1<<3 | 1<<11
		pad := (64 - (p.pos()+after+30+len(m.name)+4)%64) % 64
		after = 16
		m.extra = append([]byte{'F', 'B', byte(pad), 0}, strings.Repeat("Z", pad)...)
		p.add(m)
	}
	return withEnd64(p.close())
}

// npzFile makes what numpy.savez does: 64-bit sizes in each local header.
func npzFile(t testing.TB, weights []weight) []byte {
	t.Helper()
	p := newPacker(t)
	var at []int
	for _, w := range weights {
		b := array(w)
		extra := binary.LittleEndian.AppendUint64([]byte{1, 0, 16, 0}, uint64(len(b)))
		extra = binary.LittleEndian.AppendUint64(extra, uint64(len(b)))
		at = append(at, p.pos())
		p.add(member{name: w.name + ".npy", data: b, extra: extra})
	}
	b := p.close()
	for _, at := range at {
		copy(b[at+18:], "\xff\xff\xff\xff\xff\xff\xff\xff")
	}
	return b
}

// withEnd64 puts a zip64 end and its locator before the end of a zip.
func withEnd64(b []byte) []byte {
	le := binary.LittleEndian
	end := b[len(b)-22:]
	count, size, offset := uint64(le.Uint16(end[10:])), uint64(le.Uint32(end[12:])), uint64(le.Uint32(end[16:]))
	wide := append([]byte("PK\x06\x06"), 44, 0, 0, 0, 0, 0, 0, 0, 45, 0, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	for _, n := range []uint64{count, count, size, offset} {
		wide = le.AppendUint64(wide, n)
	}
	wide = append(wide, "PK\x06\x07\x00\x00\x00\x00"...)
	wide = le.AppendUint64(wide, uint64(len(b)-22))
	wide = le.AppendUint32(wide, 1)
	return slices.Concat(b[:len(b)-22], wide, end)
}

// Places in a zip of few bytes: of local header i, of record i in the directory,
// and of the end.
func localAt(b []byte, i int) int  { return nth(b, "PK\x03\x04", i) }
func recordAt(b []byte, i int) int { return nth(b, "PK\x01\x02", i) }
func endAt(b []byte) int           { return nth(b, "PK\x05\x06", 0) }

func nth(b []byte, signature string, i int) int {
	at := bytes.Index(b, []byte(signature))
	for ; i > 0; i-- {
		at += 4 + bytes.Index(b[at+4:], []byte(signature))
	}
	return at
}

// put overwrites bytes of b from at.
func put(b []byte, at int, with string) []byte {
	b = slices.Clone(b)
	copy(b[at:], with)
	return b
}

// insert puts more bytes into b at a place; nothing in b follows.
func insert(b []byte, at int, more string) []byte {
	return slices.Concat(b[:at], []byte(more), b[at:])
}

func u16(n int) string { return string(binary.LittleEndian.AppendUint16(nil, uint16(n))) }
func u32(n int) string { return string(binary.LittleEndian.AppendUint32(nil, uint32(n))) }

func u64(n int64) string { return string(binary.LittleEndian.AppendUint64(nil, uint64(n))) }
