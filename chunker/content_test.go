package chunker_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/iotest"

	"github.com/PlakarKorp/go-cdc-chunkers/chunkers/fastcdc"

	"github.com/ingot-ml/ingot/chunker"
)

var update = flag.Bool("update", false, "write the golden files instead of comparing")

// noise fills n bytes by SplitMix64, which is in docs/formats/chunking.md so
// that others can make the golden corpus too.
func noise(seed uint64, n int) []byte {
	b := make([]byte, n+8)
	for i := 0; i < n; i += 8 {
		seed += 0x9e3779b97f4a7c15
		z := seed
		z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		binary.LittleEndian.PutUint64(b[i:], z^z>>31)
	}
	return b[:n]
}

// corpus is noise, a run of zeros, a part of the noise again, and text.
func corpus() []byte {
	random := noise(1, 12*mib)
	return slices.Concat(
		random,
		make([]byte, 5*mib),
		random[3*mib:7*mib],
		bytes.Repeat([]byte("ingot\n"), mib/2),
		noise(2, 100_003),
	)
}

func cutAll(t testing.TB, r io.Reader) []chunker.Cut {
	t.Helper()
	var cuts []chunker.Cut
	for c, err := range chunker.CutContent(r) {
		if err != nil {
			t.Fatal(err)
		}
		cuts = append(cuts, c)
	}
	return cuts
}

func TestCutContentGolden(t *testing.T) {
	data := corpus()
	cuts := cutAll(t, bytes.NewReader(data))
	checkCover(t, int64(len(data)), cuts)
	var got bytes.Buffer
	for _, c := range cuts {
		end := c.Offset + int64(c.Length)
		fmt.Fprintf(&got, "%d %d %s\n", c.Offset, c.Length, chunker.Sum(data[c.Offset:end]))
	}
	path := filepath.Join("testdata", "content.golden")
	if *update {
		if err := os.WriteFile(path, got.Bytes(), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Errorf("boundaries changed: nothing stored before would be found again\n%s", got.Bytes())
	}
}

// slices of a reader in random lengths, some of them empty.
type randomReader struct {
	r    io.Reader
	rand *rand.Rand
}

func (r randomReader) Read(p []byte) (int, error) {
	return r.r.Read(p[:min(len(p), r.rand.IntN(300*kib))])
}

func TestCutContentFeeding(t *testing.T) {
	data := corpus()
	whole := cutAll(t, bytes.NewReader(data))
	for seed := range uint64(5) {
		r := randomReader{bytes.NewReader(data), rand.New(rand.NewPCG(seed, 0))}
		if got := cutAll(t, r); !slices.Equal(got, whole) {
			t.Errorf("random slices %d: %v, want %v", seed, got, whole)
		}
	}
	if got := cutAll(t, iotest.DataErrReader(bytes.NewReader(data))); !slices.Equal(got, whole) {
		t.Errorf("data together with EOF: %v, want %v", got, whole)
	}
	small := data[:3*mib]
	if got, want := cutAll(t, iotest.OneByteReader(bytes.NewReader(small))), cutAll(t, bytes.NewReader(small)); !slices.Equal(got, want) {
		t.Errorf("byte by byte: %v, want %v", got, want)
	}
}

func TestCutContentShort(t *testing.T) {
	for _, n := range []int{0, 1, 2, 63, 64, 100, 256*kib - 1, 256 * kib} {
		var want []chunker.Cut
		if n > 0 {
			want = []chunker.Cut{{Length: n}}
		}
		if got := cutAll(t, bytes.NewReader(noise(3, n))); !slices.Equal(got, want) {
			t.Errorf("%d bytes are cut to %v", n, got)
		}
	}
}

func TestCutContentStops(t *testing.T) {
	data := noise(4, 20*mib)
	r := bytes.NewReader(data)
	for _, err := range chunker.CutContent(r) {
		if err != nil {
			t.Error(err)
		}
		break
	}
	if read := len(data) - r.Len(); read > 4*mib {
		t.Errorf("read %d bytes for one cut, want at most 4 MiB", read)
	}
}

func TestCutContentError(t *testing.T) {
	broken := errors.New("broken disk")
	r := io.MultiReader(bytes.NewReader(noise(5, 5*mib)), iotest.ErrReader(broken))
	var last error
	for c, err := range chunker.CutContent(r) {
		if last != nil {
			t.Fatalf("a cut %v after the error", c)
		}
		last = err
	}
	if !errors.Is(last, broken) {
		t.Errorf("got %v, want %v", last, broken)
	}
}

// The algorithm as docs/formats/chunking.md has it.
const (
	strictMask = 0xaaaaaaaaaaa00000 // 22 bits, up to the normal size
	looseMask  = 0x9249249249249000 // 18 bits, after it
	gearDigest = "c41e37e47036da4bd9b65a5fdee215c544a95d9b9a417168a33e713ed944b1c5"
)

func referenceCut(data []byte) int {
	if len(data) <= 256*kib {
		return len(data)
	}
	end := min(len(data), 2*mib)
	var fp uint64
	for i := 256 * kib; i < end; i++ {
		fp = fp<<1 + fastcdc.G[data[i]]
		mask := uint64(strictMask)
		if i >= mib {
			mask = looseMask
		}
		if fp&mask == 0 {
			return i
		}
	}
	return end
}

func TestCutContentAlgorithm(t *testing.T) {
	table := make([]byte, 0, 8*256)
	for _, g := range fastcdc.G {
		table = binary.LittleEndian.AppendUint64(table, g)
	}
	if got := chunker.Sum(table).String(); got != gearDigest {
		t.Fatalf("the library's gear table is %s, want %s", got, gearDigest)
	}
	for _, data := range [][]byte{corpus(), noise(6, 30*mib), make([]byte, 3*mib), noise(7, 256*kib+1)} {
		var want []chunker.Cut
		for pos := 0; pos < len(data); {
			n := referenceCut(data[pos:])
			want = append(want, chunker.Cut{Offset: int64(pos), Length: n})
			pos += n
		}
		if got := cutAll(t, bytes.NewReader(data)); !slices.Equal(got, want) {
			t.Errorf("the library cuts %v, the document says %v", got, want)
		}
	}
}

func BenchmarkCutContent(b *testing.B) {
	data := noise(8, 64*mib)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		cutAll(b, bytes.NewReader(data))
	}
}
