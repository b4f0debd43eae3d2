package openapi_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/openapi"
)

const most = 100 // encoded bytes of a chunk in these tests

func frame(plain string) []byte {
	return openapi.AppendFrame(nil, chunker.Sum([]byte(plain)), []byte(plain))
}

func TestFramesReadBack(t *testing.T) {
	chunks := []string{"one", strings.Repeat("x", most), "3"}
	var batch []byte
	for _, c := range chunks {
		batch = append(batch, frame(c)...)
	}
	for _, r := range []io.Reader{bytes.NewReader(batch), iotest.OneByteReader(bytes.NewReader(batch))} {
		f := openapi.NewFrameReader(r, most)
		var buf []byte
		for _, want := range chunks {
			d, got, err := f.Next(buf)
			if err != nil || string(got) != want || d != chunker.Sum([]byte(want)) {
				t.Fatalf("got %s %q, %v, want %q", d, got, err, want)
			}
			buf = got
		}
		if _, _, err := f.Next(buf); !errors.Is(err, io.EOF) {
			t.Errorf("after the last frame: %v, want io.EOF", err)
		}
	}
}

func TestNextUsesTheBuffer(t *testing.T) {
	buf := make([]byte, 0, most)
	_, got, err := openapi.NewFrameReader(bytes.NewReader(frame("plain")), most).Next(buf)
	if err != nil || &got[0] != &buf[:1][0] {
		t.Errorf("the chunk is not in the buffer, which had room: %v", err)
	}
}

func TestBrokenFrames(t *testing.T) {
	whole := frame("plain")
	length := func(n uint32) []byte {
		b := bytes.Clone(whole)
		binary.LittleEndian.PutUint32(b[chunker.DigestSize:], n)
		return b
	}
	for _, tc := range []struct {
		what  string
		batch []byte
		says  string
	}{
		{"half a digest", whole[:chunker.DigestSize/2], "header is cut short"},
		{"half a length", whole[:openapi.FrameHeader-1], "header is cut short"},
		{"no chunk", whole[:openapi.FrameHeader], "is cut short"},
		{"half a chunk", whole[:len(whole)-1], "is cut short"},
		{"no length", length(0), "of 0 encoded bytes"},
		{"one too long", length(most + 1), "of 101 encoded bytes"},
		{"huge", length(1<<32 - 1), "of 4294967295 encoded bytes"},
		{"longer than what follows", length(most), "is cut short"},
	} {
		t.Run(tc.what, func(t *testing.T) {
			_, _, err := openapi.NewFrameReader(bytes.NewReader(tc.batch), most).Next(nil)
			if !errors.Is(err, openapi.ErrFrame) || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("got %v, want an ErrFrame that says %q", err, tc.says)
			}
		})
	}
}

// TestReaderErrorsPass tells a broken connection from a broken batch.
func TestReaderErrorsPass(t *testing.T) {
	broken := errors.New("connection broke")
	for _, n := range []int{0, 10, openapi.FrameHeader + 1} {
		r := io.MultiReader(bytes.NewReader(frame("plain")[:n]), iotest.ErrReader(broken))
		_, _, err := openapi.NewFrameReader(r, most).Next(nil)
		if !errors.Is(err, broken) || errors.Is(err, openapi.ErrFrame) {
			t.Errorf("broken after %d bytes: %v, want the reader's error", n, err)
		}
	}
}

func TestErrorsCompareByCode(t *testing.T) {
	err := openapi.Errorf(openapi.CodeNotFound, "tag %s not found", "a")
	if !errors.Is(err, &openapi.Error{Code: openapi.CodeNotFound}) || errors.Is(err, &openapi.Error{Code: openapi.CodeBusy}) || errors.Is(err, io.EOF) {
		t.Errorf("%v is not what its code says", err)
	}
	if err.Error() != "tag a not found" {
		t.Errorf("message %q", err)
	}
}

// FuzzFrames reads any bytes: what is accepted writes back to the same bytes.
func FuzzFrames(f *testing.F) {
	f.Add(append(frame("one"), frame("two")...))
	f.Add(frame("plain")[:20])
	f.Fuzz(func(t *testing.T, batch []byte) {
		r := openapi.NewFrameReader(bytes.NewReader(batch), most)
		var back, buf []byte
		for {
			d, chunk, err := r.Next(buf)
			if errors.Is(err, io.EOF) {
				break
			}
			if errors.Is(err, openapi.ErrFrame) {
				return
			}
			if err != nil || len(chunk) > most {
				t.Fatalf("chunk of %d bytes, %v", len(chunk), err)
			}
			back, buf = openapi.AppendFrame(back, d, chunk), chunk
		}
		if !bytes.Equal(back, batch) {
			t.Errorf("%d bytes read, %d written back", len(batch), len(back))
		}
	})
}
