package xet

import (
	"bytes"
	"crypto/sha256"
	"math/rand/v2"
	"testing"
)

// frameAll frames a row as a whole, by its law.
func frameAll(row []byte) (b []byte) {
	for len(row) > 0 {
		n := min(MaxChunk, len(row))
		b = append(append(b, header(0, 0, n, n)...), row[:n]...)
		row = row[n:]
	}
	return b
}

// TestFrame compares any range of a row with that of the whole, however the bytes of
// the file come.
func TestFrame(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, size := range []int64{1, MaxChunk - 1, MaxChunk, MaxChunk + 1, 3*MaxChunk + 77} {
		plain := make([]byte, size)
		for i := range plain {
			plain[i] = byte(random.Uint32())
		}
		row, ok := RowAt(size, 0)
		whole := frameAll(plain)
		if !ok || row.Len(row.Chunks()) != int64(len(whole)) {
			t.Fatalf("a file of %d bytes: row of %d, want %d", size, row.Len(row.Chunks()), len(whole))
		}
		chunks, _, err := readAll(whole)
		if err != nil || !bytes.Equal(bytes.Join(chunks, nil), plain) {
			t.Fatalf("a file of %d bytes: %v", size, err)
		}
		for range 300 {
			offset := random.Int64N(int64(len(whole)))
			if random.IntN(2) == 0 { // around a header
				offset = min(int64(len(whole))-1, offset/framed*framed+random.Int64N(12))
			}
			n := 1 + random.Int64N(int64(len(whole))-offset)
			if random.IntN(2) == 0 {
				n = min(n, 1+random.Int64N(20))
			}
			got := frameRange(t, row, plain, offset, n, 1+random.IntN(2*MaxChunk))
			if !bytes.Equal(got, whole[offset:offset+n]) {
				t.Fatalf("a file of %d bytes: %d bytes from %d on are others", size, n, offset)
			}
		}
	}
}

// frameRange frames a range, of which the bytes come in pieces.
func frameRange(t *testing.T, row Row, plain []byte, offset, n int64, piece int) []byte {
	t.Helper()
	var out bytes.Buffer
	begin, count := row.Within(offset, n)
	w, finish := row.Frame(&out, offset, n)
	for rest := plain[begin : begin+count]; len(rest) > 0; {
		k := min(piece, len(rest))
		if m, err := w.Write(rest[:k]); err != nil || m != k {
			t.Fatalf("%d of %d bytes written: %v", m, k, err)
		}
		rest = rest[k:]
	}
	if err := finish(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestRowAt(t *testing.T) {
	for _, tt := range []struct {
		size, index, plain int64
		ok                 bool
	}{
		{0, 0, 0, false},
		{1, 0, 1, true},
		{1, 1, 0, false},
		{RowPlain, 0, RowPlain, true},
		{RowPlain, 1, 0, false},
		{RowPlain + 1, 1, 1, true},
		{RowPlain, -1, 0, false},
		{RowPlain, 1 << 62, 0, false},
	} {
		row, ok := RowAt(tt.size, tt.index)
		if ok != tt.ok || ok && row.Plain != tt.plain {
			t.Errorf("row %d of %d bytes: %+v, %v", tt.index, tt.size, row, ok)
		}
	}
	a, b := sha256.Sum256([]byte("a")), sha256.Sum256([]byte("b"))
	first, second := Row{0, RowPlain}, Row{1, 7}
	if first.Name(a) == second.Name(a) || first.Name(a) == first.Name(b) {
		t.Error("rows of other bytes have one name")
	}
}
