package xet

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/pierrec/lz4/v4"
)

// pack makes a frame with these options.
func pack(t testing.TB, plain []byte, options ...lz4.Option) []byte {
	t.Helper()
	var b bytes.Buffer
	w := lz4.NewWriter(&b)
	if err := w.Apply(options...); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(plain); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// texts are bytes of all kinds: to be stored, to be packed, in one block and in more.
func texts() (all [][]byte) {
	noise := make([]byte, MaxChunk)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(noise) // never fails
	text := bytes.Repeat([]byte("the quick brown fox "), MaxChunk/20)
	mixed := bytes.Join([][]byte{noise[:70_000], text[:20_000], noise[:30_000]}, nil)
	for _, b := range [][]byte{noise, text, mixed} {
		all = append(all, b, b[:1], b[:len(b)/2])
	}
	return all
}

// TestUnpack reads frames of every kind that there is.
func TestUnpack(t *testing.T) {
	for i, want := range texts() {
		for what, options := range map[string][]lz4.Option{
			"plain":     {lz4.ChecksumOption(false)},
			"checksum":  {lz4.ChecksumOption(true)},
			"checksums": {lz4.ChecksumOption(true), lz4.BlockChecksumOption(true), lz4.BlockSizeOption(lz4.Block64Kb)},
			"sized":     {lz4.SizeOption(uint64(len(want))), lz4.BlockSizeOption(lz4.Block64Kb)},
			"dense":     {lz4.CompressionLevelOption(lz4.Level9), lz4.BlockSizeOption(lz4.Block4Mb)},
		} {
			frame := pack(t, want, options...)
			got := make([]byte, len(want))
			if err := unpack(got, frame); err != nil || !bytes.Equal(got, want) {
				t.Errorf("text %d, %s: %v", i, what, err)
			}
			for _, n := range []int{len(want) - 1, len(want) + 1} {
				if err := unpack(make([]byte, n), frame); !errors.Is(err, ErrXorb) {
					t.Errorf("text %d, %s, as %d bytes of %d: %v", i, what, n, len(want), err)
				}
			}
			for _, n := range []int{0, 3, 6, 7, 9, len(frame) / 2, len(frame) - 1} {
				if err := unpack(got, frame[:n]); !errors.Is(err, ErrXorb) {
					t.Errorf("text %d, %s, %d bytes of %d: %v", i, what, n, len(frame), err)
				}
			}
		}
	}
}

// TestUnpackLinked reads a block that refers to bytes of the one before, as clients
// may send them.
func TestUnpackLinked(t *testing.T) {
	frame := bytes.Join([][]byte{
		{0x04, 0x22, 0x4d, 0x18, frameVersion, 0x40, 0},
		{16, 0, 0, 0x80}, []byte("0123456789abcdef"), // stored as it is
		{9, 0, 0, 0}, {0x04, 12, 0}, []byte("\x50vwxyz"), // 8 bytes from 12 back, then 5 of its own
		{0, 0, 0, 0},
	}, nil)
	const want = "0123456789abcdef456789abvwxyz"
	got := make([]byte, len(want))
	if err := unpack(got, frame); err != nil || string(got) != want {
		t.Errorf("%q, %v", got, err)
	}
	frame[4] |= independent
	if err := unpack(got, frame); !errors.Is(err, ErrXorb) {
		t.Errorf("blocks that claim to be independent: %v", err)
	}
	frame[4] = frameVersion | 1
	if err := unpack(got, frame); !errors.Is(err, ErrXorb) {
		t.Errorf("a dictionary elsewhere: %v", err)
	}
}

// FuzzUnpack compares with the reader of frames of the library, where that takes
// one.
func FuzzUnpack(f *testing.F) {
	for _, text := range texts() {
		f.Add(pack(f, text[:min(len(text), 5000)], lz4.BlockSizeOption(lz4.Block64Kb)), uint32(min(len(text), 5000)))
	}
	f.Fuzz(func(t *testing.T, frame []byte, n uint32) {
		plain := make([]byte, n%MaxChunk)
		err := unpack(plain, frame)
		if err != nil && !errors.Is(err, ErrXorb) {
			t.Fatal(err)
		}
		if err != nil || len(plain) == 0 {
			return
		}
		var want bytes.Buffer
		if _, err := want.ReadFrom(lz4.NewReader(bytes.NewReader(frame))); err == nil && !bytes.Equal(want.Bytes(), plain) {
			t.Fatal("the bytes are others")
		}
	})
}
