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

// small returns a short encoded chunk of every layout.
func small() map[string][]byte {
	enc := map[string][]byte{}
	for _, dt := range dtypes {
		for _, c := range contents {
			enc[fmt.Sprintf("%s of %s", c.name, dt)] = codec.Append(nil, c.make(160), dt)
		}
	}
	return enc
}

// TestBitFlips flips every bit. All but those of the version are damage.
func TestBitFlips(t *testing.T) {
	for name, enc := range small() {
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
	for name, enc := range small() {
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
	const second = atTable + 8 // entry of the exponents
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
		{"mode 3", bf16, second, []byte{3}, codec.ErrUnsupported, "plane 1: mode 3"},
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

// TestDelta reads the base of a delta and declines to decode it.
func TestDelta(t *testing.T) {
	plain := codec.Append(nil, gaussBF16(4096), chunker.BF16)
	base := chunker.Sum([]byte("base"))
	enc := seal(slices.Concat(plain[:atTable], base[:], plain[atTable:]))
	enc[atFlags] = 1
	enc = seal(enc)
	info, err := codec.Inspect(enc)
	if err != nil || !info.Delta || info.Base != base {
		t.Errorf("inspect: %+v, %v", info, err)
	}
	if err := codec.Check(enc); err != nil {
		t.Errorf("check: %v", err)
	}
	if _, err := codec.Decode(nil, enc); !errors.Is(err, codec.ErrUnsupported) || !strings.Contains(err.Error(), base.Short()) {
		t.Errorf("decode: %v, want unsupported and the base", err)
	}
	for n := atTable; n < atTable+chunker.DigestSize; n++ {
		refused(t, seal(enc[:n]), fmt.Sprintf("delta of %d bytes", n))
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

// TestRandomDamage alters bytes behind a checksum that is right. Most of it
// decodes to other bytes or not at all; none of it may write past the result.
func TestRandomDamage(t *testing.T) {
	r := source(11)
	for _, ten := range tensors {
		plain := ten.make(200_000)
		enc := codec.Append(nil, plain, ten.dtype)
		dst := make([]byte, len(plain)+64)
		for range 150 {
			bad := slices.Clone(enc)
			for range 1 + r.IntN(4) {
				bad[r.IntN(len(bad))] = byte(r.Uint32())
			}
			copy(dst[len(plain):], bytes.Repeat([]byte{0xa5}, 64))
			_, err := codec.Decode(dst, seal(bad))
			if err != nil && !errors.Is(err, codec.ErrCorrupt) && !errors.Is(err, codec.ErrUnsupported) {
				t.Fatalf("%s: %v", ten.name, err)
			}
			if info, err := codec.Inspect(bad); err == nil && info.RawLen > len(plain) {
				continue // the header itself was altered
			}
			if !bytes.Equal(dst[len(plain):], bytes.Repeat([]byte{0xa5}, 64)) {
				t.Fatalf("%s: bytes after the result were written", ten.name)
			}
		}
	}
}
