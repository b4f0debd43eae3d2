package xet

import (
	"bytes"
	"errors"
	"io"
	"os"
	"testing"
)

func load(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// readAll returns the chunks of a xorb, and its name.
func readAll(b []byte) (chunks [][]byte, hash Hash, err error) {
	r := NewReader(bytes.NewReader(b))
	for {
		plain, err := r.Next()
		if errors.Is(err, io.EOF) {
			return chunks, r.Hash(), nil
		}
		if err != nil {
			return nil, hash, err
		}
		chunks = append(chunks, bytes.Clone(plain))
	}
}

// TestGoldenXorbs reads what clients have sent: the names are those that they gave.
func TestGoldenXorbs(t *testing.T) {
	text := bytes.Repeat([]byte("the quick brown fox jumps over the lazy dog\n"), 400)[:10001]
	floats := load(t, "floats")
	for _, tt := range []struct {
		file, hash string
		chunks     int
		parts      [][]byte
	}{
		{"hf_xet.xorb", "3e7f583607229a635221fc25fad485226f9f315fddffe6bad5fabda29e6c9c59", 3, [][]byte{text, floats}},
		{"js_text.xorb", "d851bde67780bd61f9b996fc23a79a335c26d3de9118876ef1ba81be599fe588", 1, [][]byte{text}},
		{"js_floats.xorb", "1e180d5dd0eecf9c2603c7a837a6920af2cd2a6d7543d5986f25289d2cf490c7", 1, [][]byte{floats}},
	} {
		chunks, hash, err := readAll(load(t, tt.file))
		if err != nil || hash.String() != tt.hash || len(chunks) != tt.chunks {
			t.Errorf("%s: %d chunks, xorb %s, %v", tt.file, len(chunks), hash, err)
		}
		all := bytes.Join(chunks, nil)
		for i, part := range tt.parts {
			if !bytes.Contains(all, part) {
				t.Errorf("%s: file %d is not in it", tt.file, i)
			}
		}
	}
}

// TestFooter is for clients that put a list behind the chunks.
func TestFooter(t *testing.T) {
	b := load(t, "js_text.xorb")
	_, want, err := readAll(b)
	if err != nil {
		t.Fatal(err)
	}
	chunks, hash, err := readAll(append(b, "XETBLOB and then what nobody reads"...))
	if err != nil || hash != want || len(chunks) != 1 {
		t.Errorf("%d chunks, xorb %s, %v", len(chunks), hash, err)
	}
}

// header makes that of a chunk.
func header(version, scheme byte, stored, size int) []byte {
	return []byte{version, byte(stored), byte(stored >> 8), byte(stored >> 16), scheme, byte(size), byte(size >> 8), byte(size >> 16)}
}

func TestMalformedXorbs(t *testing.T) {
	packed := load(t, "js_text.xorb")
	frame := packed[chunkHeader:]
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	for what, b := range map[string][]byte{
		"half a header":          packed[:5],
		"ends in a chunk":        packed[:40],
		"ends behind a header":   packed[:chunkHeader],
		"another version":        join(header(1, 0, 1, 1), []byte("x")),
		"another scheme":         join(header(0, 3, 1, 1), []byte("x")),
		"no bytes":               header(0, 0, 0, 0),
		"too long":               join(header(0, 0, MaxChunk+1, MaxChunk+1), make([]byte, MaxChunk+1)),
		"stored too long":        join(header(0, 1, maxStored+1, 1), make([]byte, maxStored+1)),
		"other length":           join(header(0, 0, 2, 1), []byte("xx")),
		"longer than it says":    join(header(0, 1, len(frame), 10000), frame),
		"shorter than it says":   join(header(0, 1, len(frame), 10002), frame),
		"bytes behind the frame": join(header(0, 1, len(frame)+1, 10001), frame, []byte{0}),
		"no frame":               join(header(0, 1, 10, 10), make([]byte, 10)),
		"too many":               bytes.Repeat(join(header(0, 0, 1, 1), []byte("x")), MaxChunks+1),
	} {
		if _, _, err := readAll(b); !errors.Is(err, ErrXorb) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestReaderFails is for a sender that goes away: that is no malformed xorb.
func TestReaderFails(t *testing.T) {
	gone := errors.New("gone")
	b := load(t, "hf_xet.xorb")
	for _, n := range []int{0, 4, 8, 60} {
		r := NewReader(io.MultiReader(bytes.NewReader(b[:n]), failing{gone}))
		_, err := r.Next()
		if !errors.Is(err, gone) {
			t.Errorf("after %d bytes: %v", n, err)
		}
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func FuzzXorb(f *testing.F) {
	for _, name := range []string{"hf_xet.xorb", "js_text.xorb", "js_floats.xorb"} {
		f.Add(load(f, name))
	}
	f.Add([]byte(footer))
	f.Add(append(header(0, 0, 1, 1), 'x'))
	f.Fuzz(func(t *testing.T, b []byte) {
		chunks, hash, err := readAll(b)
		if err != nil {
			if !errors.Is(err, ErrXorb) {
				t.Fatal(err)
			}
			return
		}
		// Stored as they are, the same chunks make the same xorb.
		var again []byte
		for _, c := range chunks {
			again = append(append(again, header(0, 0, len(c), len(c))...), c...)
		}
		same, hash2, err := readAll(again)
		if err != nil || hash2 != hash || len(same) != len(chunks) {
			t.Fatalf("%d chunks become %d, %s becomes %s, %v", len(chunks), len(same), hash, hash2, err)
		}
	})
}

func TestUngroup(t *testing.T) {
	for n := range 14 {
		want := []byte("abcdefghijklmnop")[:n]
		var groups []byte
		for first := range 4 {
			for i := first; i < n; i += 4 {
				groups = append(groups, want[i])
			}
		}
		got := make([]byte, n)
		ungroup(got, groups)
		if !bytes.Equal(got, want) {
			t.Errorf("%d bytes: %q", n, got)
		}
	}
}
