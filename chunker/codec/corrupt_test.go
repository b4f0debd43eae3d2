package codec_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/codec"
)

// Places in the header and in the first entry of the plane table.
const (
	atVersion  = 2
	atLayout   = 3
	atFlags    = 4
	atPlanes   = 5
	atReserved = 6
	atRawLen   = 8
	atCRC      = 12
	atTable    = 16
)

// seal returns enc with the checksum that its bytes ask for, so that a fault is
// seen by whatever comes after the checksum. It is written from the document, not
// from the package.
func seal(enc []byte) []byte {
	enc = slices.Clone(enc)
	if len(enc) < atTable {
		return enc
	}
	clear(enc[atCRC:atTable])
	sum := crc32.Checksum(enc, crc32.MakeTable(crc32.Castagnoli))
	binary.LittleEndian.PutUint32(enc[atCRC:], sum)
	return enc
}

// refused fails unless enc is refused for one of the two reasons there are.
func refused(t *testing.T, enc []byte, what string) {
	t.Helper()
	_, err := codec.Decode(nil, enc)
	if err == nil {
		t.Fatalf("%s: accepted", what)
	}
	if errors.Is(err, codec.ErrCorrupt) == errors.Is(err, codec.ErrUnsupported) {
		t.Fatalf("%s: error is not one of corrupt and unsupported: %v", what, err)
	}
}

// small returns a short encoded chunk of every arrangement: layout, modes, and
// whether it is a delta.
func small(t *testing.T) map[string][]byte {
	t.Helper()
	enc := map[string][]byte{}
	add := func(b []byte) {
		info, err := codec.Inspect(b)
		if err != nil {
			t.Fatal(err)
		}
		key := fmt.Sprintf("layout %d, delta %v, modes", info.Layout, info.Delta)
		for _, p := range info.Planes {
			key += fmt.Sprintf(" %d", p.Mode)
		}
		enc[key] = b
	}
	for _, dt := range dtypes {
		for _, c := range contents {
			plain := c.make(160)
			add(codec.Append(nil, plain, dt))
			for _, share := range []float64{0, 0.1, 0.5, 1} {
				base := nudged(plain, dt.Width(), share)
				if delta, ok := codec.AppendDelta(nil, plain, base, chunker.Sum(base), dt, len(plain)); ok {
					add(delta)
				}
			}
		}
	}
	return enc
}

// TestBitFlips flips every bit. All but those of the version are damage.
func TestBitFlips(t *testing.T) {
	for name, enc := range small(t) {
		for bit := range 8 * len(enc) {
			enc[bit/8] ^= 1 << (bit % 8)
			refused(t, enc, fmt.Sprintf("%s, bit %d", name, bit))
			err := codec.Check(enc)
			if at := bit / 8; at != atVersion && !errors.Is(err, codec.ErrCorrupt) {
				t.Fatalf("%s, bit %d: %v, want corrupt", name, bit, err)
			}
			enc[bit/8] ^= 1 << (bit % 8)
		}
	}
}

// TestLengths refuses every shorter and some longer inputs, with the checksum as
// it was and as it should be.
func TestLengths(t *testing.T) {
	for name, enc := range small(t) {
		for n := range enc {
			refused(t, enc[:n], fmt.Sprintf("%s, %d bytes", name, n))
			refused(t, seal(enc[:n]), fmt.Sprintf("%s, %d bytes, sealed", name, n))
		}
		for _, tail := range [][]byte{{0}, {1}, make([]byte, 8), enc} {
			long := slices.Concat(enc, tail)
			refused(t, long, name+" and more")
			refused(t, seal(long), name+" and more, sealed")
		}
	}
}

// TestFields puts wrong values into the fields of sound chunks and seals them.
func TestFields(t *testing.T) {
	bf16 := codec.Append(nil, gaussBF16(8192), chunker.BF16)
	zstd := codec.Append(nil, text(8192), chunker.Opaque)
	constant := codec.Append(nil, make([]byte, 100), chunker.U8)
	base := gaussBF16(8192)
	delta := roundTripDelta(t, nudged(base, 2, 0.2), base, chunker.BF16)
	sparse := atTable + chunker.DigestSize // entry of a plane of the delta
	const second = atTable + 8             // entry of the exponents
	tests := []struct {
		name string
		enc  []byte
		at   int
		put  []byte
		want error
		text string
	}{
		{"magic", bf16, 0, []byte("gI"), codec.ErrCorrupt, "magic"},
		{"version 0", bf16, atVersion, []byte{0}, codec.ErrUnsupported, "version 0"},
		{"version 2", bf16, atVersion, []byte{2}, codec.ErrUnsupported, "version 2"},
		{"layout 7", bf16, atLayout, []byte{7}, codec.ErrUnsupported, "layout 7"},
		{"layout 255", bf16, atLayout, []byte{255}, codec.ErrUnsupported, "layout 255"},
		{"other layout", bf16, atLayout, []byte{4}, codec.ErrCorrupt, "2 planes in layout 4"},
		{"flag 1", bf16, atFlags, []byte{2}, codec.ErrUnsupported, "flags"},
		{"flag 7", bf16, atFlags, []byte{128}, codec.ErrUnsupported, "flags"},
		{"no planes", bf16, atPlanes, []byte{0}, codec.ErrCorrupt, "0 planes"},
		{"reserved", bf16, atReserved, []byte{1, 0}, codec.ErrCorrupt, "reserved"},
		{"reserved high", bf16, atReserved, []byte{0, 1}, codec.ErrCorrupt, "reserved"},
		{"no plain bytes", bf16, atRawLen, le32(0), codec.ErrCorrupt, "plain length 0"},
		{"plain too long", bf16, atRawLen, le32(chunker.MaxSize + 2), codec.ErrCorrupt, "plain length"},
		{"plain far too long", bf16, atRawLen, le32(1<<32 - 2), codec.ErrCorrupt, "plain length 4294967294"},
		{"odd plain length", bf16, atRawLen, le32(8191), codec.ErrCorrupt, "plain length 8191 in layout 3"},
		{"shorter plain", bf16, atRawLen, le32(8190), codec.ErrCorrupt, "plane 0: 4096 bytes in mode 0"},
		{"mode 2", bf16, second, []byte{2}, codec.ErrUnsupported, "plane 1: mode 2"},
		{"sparse for blocks", bf16, second, []byte{3}, codec.ErrCorrupt, "plane 1: 88 masks"},
		{"mode 6", bf16, second, []byte{6}, codec.ErrUnsupported, "plane 1: mode 6"},
		{"mode raw for blocks", bf16, second, []byte{0}, codec.ErrCorrupt, "plane 1: blocks in mode 0"},
		{"blocks in a raw plane", bf16, atTable + 1, []byte{17}, codec.ErrCorrupt, "plane 0: blocks"},
		{"tables in a raw plane", bf16, atTable + 2, []byte{1}, codec.ErrCorrupt, "plane 0: blocks"},
		{"other block length", bf16, second + 1, []byte{16}, codec.ErrUnsupported, "plane 1: blocks of 2^16"},
		{"no tables", bf16, second + 2, []byte{0, 0}, codec.ErrCorrupt, "plane 1: 1 tables, want 0"},
		{"too many tables", bf16, second + 2, []byte{0, 9}, codec.ErrCorrupt, "want 2304"},
		{"longer first plane", bf16, atTable + 4, le32(4097), codec.ErrCorrupt, "plane 0: 4097 bytes in mode 0"},
		{"endless first plane", bf16, atTable + 4, le32(1<<32 - 1), codec.ErrCorrupt, "4294967295 bytes of"},
		{"empty second plane", bf16, second + 4, le32(0), codec.ErrCorrupt, "plane 1: 0 bytes in mode 5"},
		{"zstd for blocks", zstd, atTable, []byte{5, 17}, codec.ErrCorrupt, "plane 0: block of"},
		{"const for zstd", zstd, atTable, []byte{1}, codec.ErrCorrupt, "in mode 1"},
		{"zstd magic", zstd, atTable + 8, []byte{0}, codec.ErrCorrupt, "zstd header"},
		{"longer plain of zstd", zstd, atRawLen, le32(8193), codec.ErrCorrupt, "frame of 8192 bytes for 8193"},
		{"zstd for const", constant, atTable, []byte{4}, codec.ErrCorrupt, "zstd header"},
		{"delta in layout 3", delta, atLayout, []byte{3}, codec.ErrUnsupported, "delta in layout 3"},
		{"base of zeros", delta, atTable, make([]byte, chunker.DigestSize), codec.ErrCorrupt, "base that names nothing"},
		{"delta longer than plain", delta, atRawLen, le32(800), codec.ErrCorrupt, "bytes for 800"},
		{"no blocks in a sparse plane", delta, sparse + 1, []byte{0}, codec.ErrUnsupported, "plane 0: blocks of 2^0"},
		{"empty sparse plane", delta, sparse + 4, le32(0), codec.ErrCorrupt, "plane 0: 0 bytes in mode 3"},
		{"raw for const", constant, atTable, []byte{0}, codec.ErrCorrupt, "in mode 0 for 100"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			enc := slices.Clone(tt.enc)
			copy(enc[tt.at:], tt.put)
			_, err := codec.Decode(nil, seal(enc))
			if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("got %v, want %v and %q", err, tt.want, tt.text)
			}
			if !strings.HasPrefix(err.Error(), "decode chunk: ") {
				t.Errorf("the error does not name what failed: %v", err)
			}
		})
	}
}

// TestBlocks puts wrong values into the word of the only block of a plane.
func TestBlocks(t *testing.T) {
	enc := codec.Append(nil, gaussBF16(8192), chunker.BF16)
	word := atTable + 2*8 + 4096
	size := binary.LittleEndian.Uint32(enc[word:]) & (1<<30 - 1)
	tests := []struct {
		name string
		word uint32
		text string
	}{
		{"raw", 0<<30 | size, "raw block of"},
		{"run", 1<<30 | size, "run block of"},
		{"reuse of nothing", 3<<30 | size, "streams before the first table"},
		{"longer", 2<<30 | (size + 1), "block of"},
		{"shorter", 2<<30 | (size - 1), ""},
		{"empty", 2 << 30, "table"},
		{"endless", 2<<30 | (1<<30 - 1), "block of 1073741823"},
		{"short run", 1<<30 | 1, "after the last block"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			// Leave a table in the pool, to be taken for one of this chunk.
			if _, err := codec.Decode(nil, enc); err != nil {
				t.Fatal(err)
			}
			bad := slices.Clone(enc)
			binary.LittleEndian.PutUint32(bad[word:], tt.word)
			_, err := codec.Decode(nil, seal(bad))
			if !errors.Is(err, codec.ErrCorrupt) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("got %v, want corrupt and %q", err, tt.text)
			}
		})
	}
}

// TestClaimsAllocateNothing gives chunks whose lengths are lies, and measures.
func TestClaimsAllocateNothing(t *testing.T) {
	enc := codec.Append(nil, gaussBF16(8192), chunker.BF16)
	long := slices.Clone(enc)
	binary.LittleEndian.PutUint32(long[atRawLen:], 1<<32-2)
	wide := slices.Clone(enc)
	binary.LittleEndian.PutUint32(wide[atTable+4:], 1<<32-1)
	for name, bad := range map[string][]byte{"plain length": seal(long), "plane length": seal(wide)} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := codec.Decode(nil, bad)
		_, err2 := codec.Inspect(bad)
		runtime.ReadMemStats(&after)
		if !errors.Is(err, codec.ErrCorrupt) || !errors.Is(err2, codec.ErrCorrupt) {
			t.Errorf("%s: %v, %v, want corrupt", name, err, err2)
		}
		if n := after.TotalAlloc - before.TotalAlloc; n > 64<<10 {
			t.Errorf("%s: %d bytes allocated", name, n)
		}
	}
}

// sparse returns a chunk of n bytes that is one plane in ModeSparse.
func sparse(n int, tables uint16, body ...byte) []byte {
	enc := append([]byte{'I', 'G', 1, 1, 0, 1, 0, 0}, le32(uint32(n))...)
	enc = append(enc, 0, 0, 0, 0, 3, 17)
	enc = append(enc, le16(tables)...)
	enc = append(enc, le32(uint32(len(body)))...)
	return seal(append(enc, body...))
}

// raw is a block of the bytes themselves.
func raw(b ...byte) []byte { return append(le32(uint32(len(b))), b...) }

// TestSparse reads planes that are written by hand, and refuses what is not one.
func TestSparse(t *testing.T) {
	mask, under := raw(0x01, 0x80, 0x04), raw(7, 8, 9)
	run := append(le32(1<<30|1), 0xff)
	join := func(levels byte, parts ...[]byte) []byte { return append([]byte{levels}, bytes.Join(parts, nil)...) }
	want := make([]byte, 21)
	want[0], want[15], want[18] = 7, 8, 9
	all := bytes.Repeat([]byte{5}, 24)
	two := make([]byte, 400)
	two[0], two[399] = 1, 2
	for _, tt := range []struct {
		name string
		enc  []byte
		want []byte // nil: corrupt
		text string
	}{
		{"one mask", sparse(21, 0, join(1, mask, under)...), want, ""},
		{"runs", sparse(24, 0, join(1, run, append(le32(1<<30|1), 5))...), all, ""},
		{"two masks", sparse(400, 0, join(2, raw(1, 0, 0, 0, 0, 0, 2), raw(1, 0x80), raw(1, 2))...), two, ""},
		{"nothing but zeros", sparse(21, 0, join(1, append(le32(1<<30|1), 0))...), make([]byte, 21), ""},
		{"no masks", sparse(21, 0, join(0, mask, under)...), nil, "0 masks"},
		{"too many masks", sparse(21, 0, join(5, mask, under)...), nil, "5 masks"},
		{"nothing", sparse(21, 0, 1), nil, "block word of 0 bytes"},
		{"nothing under the mask", sparse(21, 0, join(1, mask)...), nil, "block word of 0 bytes"},
		{"too little under the mask", sparse(21, 0, join(1, mask, raw(7, 8))...), nil, "raw block of 2 bytes for 3"},
		{"too much under the mask", sparse(21, 0, join(1, mask, raw(7, 8, 9, 10))...), nil, "block of 4 bytes"},
		{"short mask", sparse(21, 0, join(1, raw(0x01, 0x80), under)...), nil, "raw block of 2 bytes for 3"},
		{"mask of more", sparse(21, 0, join(1, raw(0x01, 0x80, 0x20), under)...), nil, "mask of more than 21 bytes"},
		{"mask of a longer mask", sparse(400, 0, join(2, raw(1, 0, 0, 0, 0, 0, 4), raw(1, 1), raw(1, 2))...), nil, "mask of more than 50 bytes"},
		{"something after it", sparse(21, 0, append(join(1, mask, under), 0)...), nil, "1 bytes after the last block"},
		{"tables that are not there", sparse(21, 1, join(1, mask, under)...), nil, "0 tables, want 1"},
		{"streams without a table", sparse(21, 0, join(1, mask, le32(3<<30|2), []byte{1, 2})...), nil, "streams before the first table"},
		{"longer than the plane", sparse(10, 0, join(1, mask, under)...), nil, "15 bytes in mode 3 for 10"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := codec.Decode(nil, tt.enc)
			if tt.want != nil && (err != nil || !bytes.Equal(got, tt.want)) {
				t.Errorf("got %v, %v, want %v", got, err, tt.want)
			}
			if tt.want == nil && (!errors.Is(err, codec.ErrCorrupt) || !strings.Contains(err.Error(), tt.text)) {
				t.Errorf("got %v, want corrupt and %q", err, tt.text)
			}
		})
	}
}

// TestSparseTables has each row of blocks begin with a table of its own.
func TestSparseTables(t *testing.T) {
	base := gaussBF16(1 << 16)
	enc := roundTripDelta(t, nudged(base, 2, 0.2), base, chunker.BF16)
	first := atTable + chunker.DigestSize + 2*8 + 1
	size := int(binary.LittleEndian.Uint32(enc[first:]) & (1<<30 - 1))
	for _, at := range []int{first, first + 4 + size} {
		word := binary.LittleEndian.Uint32(enc[at:])
		if word>>30 != 2 {
			t.Fatalf("block at %d is of kind %d", at, word>>30)
		}
		bad := slices.Clone(enc)
		binary.LittleEndian.PutUint32(bad[at:], word|3<<30)
		name, _ := codec.Base(bad)
		_, err := codec.DecodeDelta(nil, seal(bad), base, name)
		if !errors.Is(err, codec.ErrCorrupt) || !strings.Contains(err.Error(), "streams before the first table") {
			t.Errorf("reuse at %d: %v", at, err)
		}
	}
}

// TestRandomDamage alters bytes behind a checksum that is right. Most of it
// decodes to other bytes or not at all; none of it may write past the result.
func TestRandomDamage(t *testing.T) {
	rounds := 150
	if raceEnabled { // see TestRoundTrip
		rounds = 15
	}
	for _, ten := range tensors {
		plain := ten.make(200_000)
		base := nudged(plain, ten.dtype.Width(), 0.2)
		name := chunker.Sum(base)
		delta, _ := codec.AppendDelta(nil, plain, base, name, ten.dtype, len(plain))
		damage(t, rounds, codec.Append(nil, plain, ten.dtype), len(plain), codec.Decode)
		damage(t, rounds, delta, len(plain), func(dst, enc []byte) ([]byte, error) {
			return codec.DecodeDelta(dst, enc, base, name)
		})
	}
}

func damage(t *testing.T, rounds int, enc []byte, n int, decode func(dst, enc []byte) ([]byte, error)) {
	t.Helper()
	r := source(11)
	dst := make([]byte, n+64)
	for range rounds {
		bad := slices.Clone(enc)
		for range 1 + r.IntN(4) {
			bad[r.IntN(len(bad))] = byte(r.Uint32())
		}
		copy(dst[n:], bytes.Repeat([]byte{0xa5}, 64))
		_, err := decode(dst, seal(bad))
		if err != nil && !oneOf(err, codec.ErrCorrupt, codec.ErrUnsupported, codec.ErrBase) {
			t.Fatal(err)
		}
		if info, err := codec.Inspect(bad); err == nil && info.RawLen > n {
			continue // the header itself was altered
		}
		if !bytes.Equal(dst[n:], bytes.Repeat([]byte{0xa5}, 64)) {
			t.Fatal("bytes after the result were written")
		}
	}
}
