package format_test

import (
	"archive/zip"
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/chunker/format"
)

// pair is a zip of two arrays, a.npy and b.npy, of 81 bytes each.
func pair(t testing.TB) []byte {
	t.Helper()
	data := npy(dict("<f4", "(2,)"), []byte("12345678"))
	return pack(t, member{name: "a.npy", data: data}, member{name: "b.npy", data: data})
}

const (
	huge32 = "\xff\xff\xff\xff"
	huge64 = "\x00\x00\x00\x00\x00\x00\x00\x80" // 2^63
)

// zip64Record makes record 1 of the directory of b have 64 bits for what lies at
// fields: 24 for the size, 20 for the packed size, 42 for the offset.
func zip64Record(b []byte, value string, fields ...int) []byte {
	at, end := recordAt(b, 1), endAt(b)
	for _, field := range fields {
		b = put(b, at+field, huge32)
	}
	b = put(b, at+30, u16(4+len(value)))
	b = put(b, end+12, u32(end+4+len(value)-recordAt(b, 0)))
	return insert(b, at+46+5, "\x01\x00"+u16(len(value))+value)
}

func TestZipLegal(t *testing.T) {
	b := pair(t)
	end := endAt(b)
	moved := func(by int) string { return u32(recordAt(b, 0) + by) }
	gap := insert(put(put(b, recordAt(b, 1)+42, u32(localAt(b, 1)+9)), end+16, moved(9)), localAt(b, 1), "some bytes"[:9])
	for name, b := range map[string][]byte{
		"plain":              b,
		"comment":            append(put(b, end+20, u16(5)), "hello"...),
		"two ends":           withEnd64(b),
		"64 bits only":       put(put(withEnd64(b), end+76+8, huge32+huge32+huge32), end+76+20, "\x00\x00"),
		"bytes between":      gap,
		"offset in 64 bits":  zip64Record(b, u64(int64(localAt(b, 1))), 42),
		"sizes behind":       put(put(b, localAt(b, 0)+6, "\x08\x00"), localAt(b, 0)+18, "\x00\x00\x00\x00\x00\x00\x00\x00"),
		"sizes in both":      put(b, localAt(b, 0)+6, "\x08\x00"),
		"records in reverse": slices.Concat(b[:recordAt(b, 0)], b[recordAt(b, 1):end], b[recordAt(b, 0):recordAt(b, 1)], b[end:]),
	} {
		t.Run(name, func(t *testing.T) {
			if f := mustOpen(t, format.NPZ, b); len(f.Tensors) != 2 {
				t.Errorf("%d tensors, want 2", len(f.Tensors))
			}
			checkWithArchiveZip(t, b)
		})
	}
}

// checkWithArchiveZip fails unless archive/zip finds the tensors in b, which is a
// zip, where they were found here.
func checkWithArchiveZip(t testing.TB, b []byte) {
	t.Helper()
	f, err := open("x.npz", b)
	if err != nil {
		t.Fatal(err)
	}
	zr, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatalf("archive/zip does not read what was accepted: %v", err)
	}
	for _, tensor := range f.Tensors {
		i := slices.IndexFunc(zr.File, func(entry *zip.File) bool {
			if _, inside, _ := strings.Cut(entry.Name, "/"); f.Format == format.Torch {
				return inside == tensor.Name
			}
			return entry.Name == tensor.Name+".npy"
		})
		if i < 0 {
			t.Fatalf("archive/zip has no %q", tensor.Name)
		}
		at, err := zr.File[i].DataOffset()
		if end := at + int64(zr.File[i].CompressedSize64); err != nil || at > tensor.Offset || end != tensor.Offset+tensor.Length {
			t.Errorf("archive/zip has %q at %d..%d, %v; want the end of tensor %+v", tensor.Name, at, end, err, tensor)
		}
	}
}

func TestZipMalformed(t *testing.T) {
	for name, tt := range malformedZips(t) {
		t.Run(name, func(t *testing.T) {
			checkMalformed(t, "dir/x.npz", tt.b, tt.says)
		})
	}
}

// lie is a zip and what is wrong with it.
type lie struct {
	b    []byte
	says string
}

// malformedZips has pair with one lie each.
func malformedZips(t testing.TB) map[string]lie {
	b := pair(t)
	l0, l1, r0, r1, end := localAt(b, 0), localAt(b, 1), recordAt(b, 0), recordAt(b, 1), endAt(b)
	wide := withEnd64(b)
	padded := pack(t, member{name: "a.npy", data: npy(dict("<f4", "()"), make([]byte, 4)), extra: []byte("FB\x04\x00ZZZZ")})
	return map[string]lie{
		"no end":                    {b[:end], "no directory at the end"},
		"end cut short":             {b[:len(b)-1], "no directory at the end"},
		"bytes behind the end":      {append(slices.Clone(b), "more"...), "no directory at the end"},
		"comment past the end":      {put(b, end+20, u16(5)), "no directory at the end"},
		"a second end in a comment": {append(put(b, end+20, u16(26)), string(b[end:])+"more"...), "no directory at the end"},
		"count of one":              {put(b, end+8, u16(1)+u16(1)), "directory of 1 entries"},
		"count of three":            {put(b, end+8, u16(3)+u16(3)), "directory of 3 entries"},
		"count of 65535":            {put(b, end+8, u16(65535)+u16(65535)), "directory of 65535 entries in 102 bytes"},
		"directory too short":       {put(b, end+12, u32(51)), "does not end at"},
		"directory too long":        {put(b, end+12, u32(1<<30)), "does not end at"},
		"directory past the end":    {put(b, end+16, u32(1<<30)), "does not end at"},
		"directory moved":           {put(b, end+16, u32(r0+1)), "does not end at"},
		"directory of entry 2 only": {put(put(put(b, end+16, u32(r1)), end+12, u32(end-r1)), end+8, u16(2)+u16(2)), "directory of 2 entries in 51 bytes"},
		"directory starts early":    {put(put(b, end+16, u32(r0-1)), end+12, u32(end-r0+1)), "directory"},
		"bytes after the directory": {put(insert(b, end, "0123"), end+4+12, u32(end-r0+4)), "its end says 2 in 106"},
		"directory is something":    {put(b, r0, "XXXX"), "directory of 2 entries"},
		"second record is not":      {put(b, r1, "XXXX"), "directory of 2 entries"},
		"record ends early":         {put(b, r1+32, u16(60000)), "directory of 2 entries"},

		"zip64 end elsewhere":        {put(wide, end+56+8, u32(end-1)), "zip64 end is not before its locator"},
		"zip64 end at 2^63":          {put(wide, end+56+8, huge64), "zip64 end is not before its locator"},
		"zip64 end is something":     {put(wide, end, "XXXX"), "zip64 end is not before its locator"},
		"zip64 end of another size":  {put(wide, end+4, "\xff"), "zip64 end is not before its locator"},
		"zip64 count differs":        {put(wide, end+24, "\x03\x00\x00\x00\x00\x00\x00\x00\x03"), "the two ends of the zip differ"},
		"zip64 size differs":         {put(wide, end+40, huge64), "the two ends of the zip differ"},
		"zip64 offset differs":       {put(wide, end+48, huge64), "the two ends of the zip differ"},
		"zip64 count of 2^63":        {put(put(wide, end+24, huge64+huge64), end+76+8, huge32), "directory of 9223372036854775808 entries in 102 bytes"},
		"zip64 size of 2^63":         {put(put(wide, end+40, huge64), end+76+12, huge32), "directory of 9223372036854775808 bytes"},
		"zip64 offset of 2^63":       {put(put(wide, end+48, huge64), end+76+16, huge32), "at 9223372036854775808 does not end at"},
		"zip64 end before the file":  {[]byte("PK\x03\x04PK\x06\x07\x00\x00\x00\x00" + u64(4-56) + "\x01\x00\x00\x00PK\x05\x06" + strings.Repeat("\x00", 18)), "zip64 end is not before its locator"},
		"zip64 locator alone":        {insert(b, end, "PK\x06\x07"+strings.Repeat("\x00", 16)), "zip64 end is not before its locator"},
		"zip64 size and offset wrap": {put(put(wide, end+40, "\xff\xff\xff\xff\xff\xff\xff\xff\x67"+strings.Repeat("\x00", 7)), end+76+12, huge32+huge32), "does not end at"},

		"name twice":                {put(put(b, r1+46, "a"), l1+30, "a"), `entry "a.npy" is there twice`},
		"same entry twice":          {put(put(b, r1+46, "a"), r1+42, u32(l0)), `is there twice`},
		"two names for one entry":   {put(b, r1+42, u32(l0)), `overlaps what ends at`},
		"entry in another":          {put(b, r1+42, u32(l0+40)), `entry "b.npy" at 40 overlaps what ends at`},
		"entry runs into the next":  {put(put(b, r0+20, u32(100)+u32(100)), l0+18, u32(100)+u32(100)), `entry "b.npy" at 116 overlaps what ends at 135`},
		"entry runs past directory": {put(put(b, r1+20, u32(999)+u32(999)), l1+18, u32(999)+u32(999)), `entry "b.npy": 999 bytes from`},
		"entry out of the file":     {put(b, r1+42, u32(1<<30)), `entry "b.npy" at 1073741824 leaves`},
		"entry in the directory":    {put(b, r1+42, u32(r0)), `entry "b.npy" at`},
		"entry where there is none": {put(b, r1+42, u32(l1+1)), `not at 117, where the directory has it`},
		"offset of 2^63":            {zip64Record(b, huge64, 42), "entry \"b.npy\" at -9223372036854775808 overlaps"},
		"offset near 2^63":          {zip64Record(b, "\xff\xff\xff\xff\xff\xff\xff\x7f", 42), `at 9223372036854775807 leaves`},
		"offset of 32 bits lacking": {put(b, r1+42, huge32), "directory of 2 entries"},
		"sizes of 2^63":             {zip64Record(b, huge64+huge64, 24, 20), "9223372036854775808 bytes from"},
		"packed size of 2^63":       {zip64Record(b, huge64, 20), "stored as it is, but 9223372036854775808 bytes become 81"},
		"size of 2^63":              {zip64Record(b, huge64, 24), "stored as it is, but 81 bytes become 9223372036854775808"},

		"local header is something":  {put(b, l1, "XXXX"), "not at 116, where the directory has it"},
		"local name differs":         {put(b, l1+30, "c"), "not at 116, where the directory has it"},
		"local name is longer":       {put(b, l1+26, u16(6)), "not at 116, where the directory has it"},
		"local size differs":         {put(b, l1+18, u32(89)), "its header says"},
		"local true size differs":    {put(b, l1+22, u32(89)), "its header says 89 bytes, the directory 81"},
		"local sizes are zero":       {put(b, l1+18, u32(0)+u32(0)), "its header says 0 bytes"},
		"sizes behind that differ":   {put(put(b, l1+6, "\x08\x00"), l1+18, u32(89)+u32(89)), "its header says 89 bytes"},
		"local sizes of 64 bits":     {put(b, l1+18, huge32+huge32), "its header says 4294967295 bytes"},
		"local extra of 64 KiB":      {put(put(b, l1+18, huge32+huge32), l1+28, u16(65535)), "before the directory"},
		"local extra goes on":        {put(put(padded, 18, huge32+huge32), 30+5, "\x02\x00\xff\xff"), "its header says 4294967295 bytes"},
		"local is compressed":        {put(b, l1+8, u16(8)), "differ in how it is stored"},
		"local is encrypted":         {put(b, l1+6, u16(1)), "differ in how it is stored"},
		"local extra past directory": {put(b, l1+28, u16(65535)), "before the directory"},
		"stored, two sizes":          {put(put(b, r1+24, u32(900)), l1+22, u32(900)), "stored as it is, but 81 bytes become 900"},
		"name of another charset":    {put(put(put(b, r1+46, "\xff"), l1+30, "\xff"), r1+8, "\x00\x08"), "not the UTF-8 that it says"},
		"zero in a name":             {put(put(b, r1+46, "\x00"), l1+30, "\x00"), "zero in its name"},
	}
}

// TestZipCountWraps has an end that tells of 65,536 entries too many, which is as
// many for who counts with 16 bits.
func TestZipCountWraps(t *testing.T) {
	p := newPacker(t)
	for i := range 60 {
		p.add(member{name: fmt.Sprintf("%d.npy", i), data: npy(dict("|u1", "()"), []byte("x"))}).Comment = strings.Repeat("x", 60_000)
	}
	b := withEnd64(p.close())
	mustOpen(t, format.NPZ, b)
	end := len(b) - 22
	b = put(put(b, end-76+24, u64(60+65536)+u64(60+65536)), end+8, huge32)
	checkMalformed(t, "x.npz", b, "its end says 65596 in")
}

func TestZipOpaque(t *testing.T) {
	b := pair(t)
	l1, r1, end := localAt(b, 1), recordAt(b, 1), endAt(b)
	for name, b := range map[string][]byte{
		"a part of a split zip": put(b, end+4, u16(1)+u16(1)),
		"entries on two disks":  put(b, end+8, u16(1)),
		"encrypted":             put(put(b, r1+8, u16(1)), l1+6, u16(1)),
		"code page 437":         put(put(b, r1+46, "\x82"), l1+30, "\x82"),
		"nothing":               []byte("PK\x05\x06" + strings.Repeat("\x00", 18)),
	} {
		t.Run(name, func(t *testing.T) {
			checkOpaque(t, "x.npz", b)
		})
	}
}

// TestZipBomb has an entry of a few bytes that would be terabytes: nothing
// inflates it.
func TestZipBomb(t *testing.T) {
	bomb := member{data: deflated(t, make([]byte, 1<<16)), method: zip.Deflate, size: 1 << 50}
	for name, tt := range map[string]struct {
		entry, format string
	}{
		"array":   {"b.npy", format.Opaque},
		"storage": {"net/data/1", format.Opaque},
		"code":    {"net/code/x", format.Torch},
	} {
		t.Run(name, func(t *testing.T) {
			bomb.name = tt.entry
			b := pack(t, member{name: "net/data.pkl"}, member{name: "net/data/0", data: []byte("x")}, bomb)
			r := &countingReader{ReaderAt: bytes.NewReader(b)}
			f, err := format.Open("x.npz", r, int64(len(b)))
			if err != nil || f.Format != tt.format {
				t.Fatalf("Open = %+v, %v, want %s", f, err, tt.format)
			}
			if r.asked > 5*len(b) {
				t.Errorf("read %d bytes of a file of %d", r.asked, len(b))
			}
		})
	}
}

// TestZipBounded makes sure that a directory is not read into memory because a
// file has room for it.
func TestZipBounded(t *testing.T) {
	for name, tt := range map[string]struct {
		count, size int64
	}{
		"directory of 17 MiB": {1000, 17 << 20},
		"200,000 entries":     {200_000, 10 << 20},
		"2^40 entries":        {1 << 34, 1 << 40},
	} {
		t.Run(name, func(t *testing.T) {
			r := &countingReader{ReaderAt: sparseZip(tt.count, tt.size)}
			f, err := format.Open("x.npz", r, tt.size+30+98)
			if err != nil || f.Format != format.Opaque {
				t.Fatalf("Open = %+v, %v, want opaque", f, err)
			}
			if r.asked > 1<<18 {
				t.Errorf("read %d bytes, want the end alone", r.asked)
			}
		})
	}
}

// sparse is a file of zeros but for its start and end.
type sparse struct {
	start, end []byte
	size       int64
}

func (s sparse) ReadAt(p []byte, offset int64) (int, error) {
	clear(p)
	if offset < int64(len(s.start)) {
		copy(p, s.start[offset:])
	}
	tail := s.size - int64(len(s.end))
	if from := tail - offset; from >= 0 && from < int64(len(p)) {
		copy(p[from:], s.end)
	} else if from < 0 {
		copy(p, s.end[-from:])
	}
	return len(p), nil
}

// sparseZip is a zip whose ends tell of a directory of that many entries and
// bytes, from byte 30.
func sparseZip(count, size int64) sparse {
	end := []byte("PK\x05\x06\x00\x00\x00\x00\xff\xff\xff\xff" + huge32 + huge32 + "\x00\x00")
	end = withEnd64(end)
	for i, n := range []int64{count, count, size, 30} {
		copy(end[24+8*i:], u64(n))
	}
	copy(end[56+8:], u64(30+size))
	return sparse{[]byte("PK\x03\x04"), end, 30 + size + int64(len(end))}
}

func FuzzZip(f *testing.F) {
	b := pair(f)
	f.Add(b)
	f.Add(withEnd64(b))
	f.Add(zip64Record(b, huge64, 42))
	f.Add(npzFile(f, []weight{{name: "a", dtype: "F32", data: make([]byte, 12), width: 4}}))
	f.Add(torchFile(f, []weight{{name: "a", data: make([]byte, 12), width: 4}, {name: "b"}}))
	f.Add(pack(f, member{name: "net/data.pkl"}, member{name: "net/constants/0", data: []byte("x")},
		member{name: "net/code/x", data: []byte("\x03\x00"), method: zip.Deflate, size: 1 << 40}))
	for _, lie := range malformedZips(f) {
		f.Add(lie.b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		file := checkAny(t, "x.npz", b)
		if file.Format == format.NPZ || file.Format == format.Torch {
			checkWithArchiveZip(t, b)
		}
	})
}
