package format

import (
	"archive/zip"
	"bytes"
	"cmp"
	"encoding/binary"
	"io"
	"math"
	"slices"
	"strings"
	"unicode/utf8"
)

const (
	localHeaderLen = 30
	recordLen      = 46 // bytes of an entry in the directory, without its texts
)

// Bits of an entry's flags.
const (
	zipEncrypted  = 1 << 0
	zipSizesAfter = 1 << 3 // the local header may have zeros for the sizes
	zipUTF8       = 1 << 11
	zipMasked     = 1 << 13 // the local header is masked: part of encryption
)

// zipEntry is a file in a zip: where its bytes lie as they are stored.
type zipEntry struct {
	name           string
	offset, length int64
	compressed     bool
}

// readZip returns the entries of a zip by their place. None lies on another or
// on the directory, and each local header says what the directory says, so that
// a reader which believes either finds the same bytes.
//
// Nothing is ever inflated: a bomb is as cheap as any entry.
func readZip(r io.ReaderAt, size int64) ([]zipEntry, error) {
	if err := checkZipStart(r, size); err != nil {
		return nil, err
	}
	dir, err := findDirectory(r, size)
	if err != nil {
		return nil, err
	}
	headers, err := dir.read(r)
	if err != nil {
		return nil, err
	}
	return placeEntries(r, headers, dir.offset)
}

// checkZipStart refuses what does not start with an entry. A zip may have other
// bytes there, but no writer of models leaves any.
func checkZipStart(r io.ReaderAt, size int64) error {
	if size < endLen {
		return malformedf("%d bytes, too short for a zip", size)
	}
	var start [4]byte
	if err := readFull(r, start[:], 0); err != nil {
		return err
	}
	switch string(start[:]) {
	case "PK\x03\x04":
		return nil
	case endSignature: // a zip of nothing is legal
		return errBeyond
	}
	return malformedf("starts with %q, want a zip entry", start)
}

// zipHeader is an entry as the directory has it.
type zipHeader struct {
	*zip.File
	at int64 // of its local header
}

// directory is where the directory of a zip lies, and its number of entries.
type directory struct {
	offset, size int64
	count        uint64
}

// read parses the directory. archive/zip sees the directory alone with an end
// made here, so that nothing it would go and look for can mislead it.
func (d directory) read(r io.ReaderAt) ([]zipHeader, error) {
	b := make([]byte, d.size, d.size+end64Len+locatorLen+endLen)
	if err := readFull(r, b, d.offset); err != nil {
		return nil, err
	}
	b = d.appendEnd(b)
	probe := &placeProbe{ReaderAt: bytes.NewReader(b)}
	zr, err := zip.NewReader(probe, int64(len(b)))
	if err != nil {
		return nil, malformedf("directory of %d entries: %v", d.count, err)
	}
	return d.headers(zr, probe)
}

// headers returns the entries by place, after it made sure that they are as many
// and as long as the end record says.
func (d directory) headers(zr *zip.Reader, probe *placeProbe) ([]zipHeader, error) {
	headers := make([]zipHeader, len(zr.File))
	var length int64
	for i, f := range zr.File {
		headers[i] = zipHeader{f, probe.place(f)}
		length += recordLen + int64(len(f.Name)+len(f.Extra)+len(f.Comment))
	}
	if uint64(len(headers)) != d.count || length != d.size {
		return nil, malformedf("directory of %d entries in %d bytes, its end says %d in %d", len(headers), length, d.count, d.size)
	}
	slices.SortFunc(headers, func(a, b zipHeader) int {
		return cmp.Or(cmp.Compare(a.at, b.at), strings.Compare(a.Name, b.Name))
	})
	return headers, nil
}

// placeProbe notes where it was read last.
type placeProbe struct {
	io.ReaderAt
	at int64
}

func (p *placeProbe) ReadAt(b []byte, offset int64) (int, error) {
	p.at = offset
	return p.ReaderAt.ReadAt(b, offset)
}

// place returns where the local header of f should be. archive/zip keeps that to
// itself, but goes there when it is asked for the data.
func (p *placeProbe) place(f *zip.File) int64 {
	p.at = -1
	_, _ = f.DataOffset() // there is no local header here; what counts is where it looked
	return p.at
}

// placeEntries checks the local header of each entry. end is where the directory
// starts. What lies between the entries is of no concern.
func placeEntries(r io.ReaderAt, headers []zipHeader, end int64) ([]zipEntry, error) {
	entries := make([]zipEntry, len(headers))
	names := make(map[string]struct{}, len(headers))
	var pos int64
	for i, h := range headers {
		if _, twice := names[h.Name]; twice {
			return nil, malformedf("entry %.120q is there twice", h.Name)
		}
		names[h.Name] = struct{}{}
		if h.at < pos {
			return nil, malformedf("entry %.120q at %d overlaps what ends at %d", h.Name, h.at, pos)
		}
		e, err := h.entry(r, end)
		if err != nil {
			return nil, err
		}
		entries[i], pos = e, e.offset+e.length
	}
	return entries, nil
}

// entry checks h and its local header, and that all of it lies before end.
func (h zipHeader) entry(r io.ReaderAt, end int64) (zipEntry, error) {
	if err := h.checkText(); err != nil {
		return zipEntry{}, err
	}
	compressed := h.Method != zip.Store
	if !compressed && h.CompressedSize64 != h.UncompressedSize64 {
		return zipEntry{}, malformedf("entry %.120q: stored as it is, but %d bytes become %d", h.Name, h.CompressedSize64, h.UncompressedSize64)
	}
	local, err := h.readLocal(r, end)
	if err != nil {
		return zipEntry{}, err
	}
	offset := h.at + local.length
	if offset > end || h.CompressedSize64 > uint64(end-offset) {
		return zipEntry{}, malformedf("entry %.120q: %d bytes from %d leave the %d before the directory", h.Name, h.CompressedSize64, offset, end)
	}
	return zipEntry{h.Name, offset, int64(h.CompressedSize64), compressed}, local.check(h)
}

// checkText refuses names that readers decode differently, and what is encrypted.
func (h zipHeader) checkText() error {
	switch {
	case h.Flags&(zipEncrypted|zipMasked) != 0:
		return errBeyond
	case strings.IndexByte(h.Name, 0) >= 0:
		return malformedf("entry %.120q: zero in its name", h.Name)
	case utf8.ValidString(h.Name):
		return nil
	case h.Flags&zipUTF8 != 0:
		return malformedf("entry %.120q: its name is not the UTF-8 that it says", h.Name)
	}
	return errBeyond // some code page
}

// localHeader is what stands in front of an entry's data.
type localHeader struct {
	flags, method uint16
	packed, size  uint64
	length        int64 // bytes of the header itself
}

// readLocal reads the local header of h.
func (h zipHeader) readLocal(r io.ReaderAt, end int64) (localHeader, error) {
	fixed := localHeaderLen + int64(len(h.Name))
	if h.at < 0 || h.at > end-fixed {
		return localHeader{}, malformedf("entry %.120q at %d leaves the %d bytes before the directory", h.Name, h.at, end)
	}
	b := make([]byte, fixed)
	if err := readFull(r, b, h.at); err != nil {
		return localHeader{}, err
	}
	le := binary.LittleEndian
	if string(b[:4]) != "PK\x03\x04" || int(le.Uint16(b[26:])) != len(h.Name) || string(b[localHeaderLen:]) != h.Name {
		return localHeader{}, malformedf("entry %.120q: not at %d, where the directory has it", h.Name, h.at)
	}
	extra := int64(le.Uint16(b[28:]))
	l := localHeader{
		flags:  le.Uint16(b[6:]),
		method: le.Uint16(b[8:]),
		packed: uint64(le.Uint32(b[18:])),
		size:   uint64(le.Uint32(b[22:])),
		length: fixed + extra,
	}
	if extra > end-h.at-fixed || max(l.packed, l.size) < math.MaxUint32 {
		return l, nil
	}
	b = make([]byte, extra)
	if err := readFull(r, b, h.at+fixed); err != nil {
		return l, err
	}
	l.widen(b)
	return l, nil
}

// widen takes the sizes that 32 bits do not hold from the extra field. Where the
// field lacks them they stay, and will not agree with the directory.
func (l *localHeader) widen(extra []byte) {
	le := binary.LittleEndian
	for len(extra) >= 4 {
		tag, n := le.Uint16(extra), int(le.Uint16(extra[2:]))
		extra = extra[4:]
		if n > len(extra) {
			return
		}
		if tag == 1 {
			extra = extra[:n]
			for _, size := range []*uint64{&l.size, &l.packed} {
				if *size == math.MaxUint32 && len(extra) >= 8 {
					*size, extra = le.Uint64(extra), extra[8:]
				}
			}
			return
		}
		extra = extra[n:]
	}
}

// check compares what the directory says.
func (l localHeader) check(h zipHeader) error {
	agrees := func(local, directory uint64) bool {
		return local == directory || local == 0 && l.flags&zipSizesAfter != 0
	}
	switch {
	case l.flags&(zipEncrypted|zipMasked) != 0, l.method != h.Method:
		return malformedf("entry %.120q: its header and the directory differ in how it is stored", h.Name)
	case !agrees(l.packed, h.CompressedSize64), !agrees(l.size, h.UncompressedSize64):
		return malformedf("entry %.120q: its header says %d bytes, the directory %d", h.Name, l.size, h.UncompressedSize64)
	}
	return nil
}
