// Package blobstest owns the tests that every store of blobs passes.
package blobstest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/registry/internal/blobs"
)

// RunStore holds a store to the contract of package blobs. open returns a store
// without blobs; what it opened it closes by t.Cleanup.
func RunStore(t *testing.T, open func(t *testing.T) blobs.Store) {
	tests := []struct {
		name string
		run  func(t *testing.T, s blobs.Store)
	}{
		{"PutOpen", testPutOpen},
		{"Parts", testParts},
		{"Ranges", testRanges},
		{"WriteTo", testWriteTo},
		{"Exists", testExists},
		{"NotFound", testNotFound},
		{"Names", testNames},
		{"Context", testContext},
		{"OneWinner", testOneWinner},
		{"WholeOrNot", testWholeOrNot},
		{"List", testList},
		{"ListEnds", testListEnds},
		{"ListDuringPuts", testListDuringPuts},
		{"Delete", testDelete},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { tt.run(t, open(t)) })
	}
}

func put(t testing.TB, s blobs.Store, name, text string) {
	t.Helper()
	if err := s.Put(t.Context(), name, []byte(text)); err != nil {
		t.Fatal(err)
	}
}

// read reads a range by Read, and returns the error of Open, Read or Close.
func read(ctx context.Context, s blobs.Store, name string, off, n int64) (string, error) {
	r, err := s.Open(ctx, name, off, n)
	if err != nil {
		return "", err
	}
	got, err := io.ReadAll(struct{ io.Reader }{r})
	return string(got), errors.Join(err, r.Close())
}

// holds checks the bytes of a blob, and what Stat says of it.
func holds(t testing.TB, s blobs.Store, name, want string) {
	t.Helper()
	if got, err := read(t.Context(), s, name, 0, -1); err != nil || got != want {
		t.Errorf("%s is %.40q, %v; want %.40q", name, got, err, want)
	}
	if info, err := s.Stat(t.Context(), name); err != nil || info.Name != name || info.Size != int64(len(want)) || !recent(info.Modified) {
		t.Errorf("Stat %s = %+v, %v; want %d bytes, made now", name, info, err, len(want))
	}
}

// recent tells a time within the last hours: the store's clock is its own.
func recent(at time.Time) bool { return time.Since(at).Abs() < 12*time.Hour }

func testPutOpen(t *testing.T, s blobs.Store) {
	large := strings.Repeat("0123456789abcdef", 1<<17)
	for name, text := range map[string]string{"a": "x", "c/3f0/3f01.push.0": large, "b/ns/model/empty": ""} {
		put(t, s, name, text)
		holds(t, s, name, text)
	}
}

func testParts(t *testing.T, s blobs.Store) {
	parts := [][]byte{[]byte("one "), nil, []byte("two "), {}, []byte("three")}
	if err := s.Put(t.Context(), "parts", parts...); err != nil {
		t.Fatal(err)
	}
	for _, p := range parts {
		clear(p) // they are the caller's again
	}
	holds(t, s, "parts", "one two three")
	if err := s.Put(t.Context(), "none"); err != nil {
		t.Fatal(err)
	}
	holds(t, s, "none", "")
}

func testRanges(t *testing.T, s blobs.Store) {
	const text = "0123456789"
	put(t, s, "digits", text)
	tests := []struct {
		off, n int64
		want   string
		ok     bool
	}{
		{0, 10, text, true}, {3, 4, "3456", true}, {3, -1, "3456789", true}, {9, 1, "9", true},
		{10, -1, "", true}, {10, 0, "", true}, {4, 0, "", true},
		{0, 11, "", false}, {9, 2, "", false}, {11, 0, "", false}, {11, -1, "", false},
		{-1, 1, "", false}, {1 << 62, 1 << 62, "", false}, {5, 1<<63 - 1, "", false},
	}
	for _, tt := range tests {
		got, err := read(t.Context(), s, "digits", tt.off, tt.n)
		if tt.ok && (err != nil || got != tt.want) {
			t.Errorf("range %d+%d is %q, %v; want %q", tt.off, tt.n, got, err, tt.want)
		}
		if !tt.ok && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("range %d+%d is %q, %v; want ErrUnexpectedEOF", tt.off, tt.n, got, err)
		}
	}
}

// testWriteTo reads as io.Copy does, also after some bytes were read.
func testWriteTo(t *testing.T, s blobs.Store) {
	put(t, s, "digits", "0123456789")
	r, err := s.Open(t.Context(), "digits", 2, 6)
	if err != nil {
		t.Fatal(err)
	}
	head := make([]byte, 2)
	if _, err := io.ReadFull(r, head); err != nil {
		t.Fatal(err)
	}
	var rest bytes.Buffer
	n, err := io.Copy(&rest, r)
	if err := errors.Join(err, r.Close()); err != nil {
		t.Fatal(err)
	}
	if string(head) != "23" || rest.String() != "4567" || n != 4 {
		t.Errorf("read %q, then %q as %d bytes", head, rest.String(), n)
	}
}

func testExists(t *testing.T, s blobs.Store) {
	put(t, s, "a/b", "first")
	for _, text := range []string{"second", "first", ""} {
		if err := s.Put(t.Context(), "a/b", []byte(text)); !errors.Is(err, blobs.ErrExists) {
			t.Errorf("second Put: %v, want ErrExists", err)
		}
	}
	holds(t, s, "a/b", "first")
}

func testNotFound(t *testing.T, s blobs.Store) {
	put(t, s, "a/b/c", "x")
	for _, name := range []string{"z", "a", "a/b", "a/b/c/d", "a/b/cc"} {
		if _, err := read(t.Context(), s, name, 0, -1); !errors.Is(err, blobs.ErrNotFound) {
			t.Errorf("Open %s: %v, want ErrNotFound", name, err)
		}
		if _, err := s.Stat(t.Context(), name); !errors.Is(err, blobs.ErrNotFound) {
			t.Errorf("Stat %s: %v, want ErrNotFound", name, err)
		}
	}
}

func testNames(t *testing.T, s blobs.Store) {
	for _, name := range []string{strings.Repeat("n", blobs.MaxSegment), strings.Repeat("m/", blobs.MaxName/2-1) + "ab", "a..b_-"} {
		put(t, s, name, name)
		holds(t, s, name, name)
	}
	for _, name := range []string{"", "/a", "a/", "a//b", "..", "../a", "a/../b", ".tmp", "a/.b", "a b", "a\x00", strings.Repeat("n", blobs.MaxSegment+1)} {
		_, openErr := read(t.Context(), s, name, 0, -1)
		_, statErr := s.Stat(t.Context(), name)
		for _, err := range []error{openErr, statErr, s.Put(t.Context(), name)} {
			if !errors.Is(err, blobs.ErrName) {
				t.Errorf("%.40q: %v, want ErrName", name, err)
			}
		}
	}
}

func testContext(t *testing.T, s blobs.Store) {
	put(t, s, "there", "x")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, openErr := read(ctx, s, "there", 0, -1)
	_, statErr := s.Stat(ctx, "there")
	for _, err := range []error{openErr, statErr, s.Put(ctx, "new", []byte("x"))} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%v, want context.Canceled", err)
		}
	}
	if _, err := s.Stat(t.Context(), "new"); !errors.Is(err, blobs.ErrNotFound) {
		t.Errorf("a Put whose context had ended: %v, want ErrNotFound", err)
	}
}

func testOneWinner(t *testing.T, s blobs.Store) {
	const putters = 12
	var won atomic.Int32
	var winner atomic.Value
	var all sync.WaitGroup
	for i := range putters {
		all.Go(func() {
			text := strings.Repeat(fmt.Sprint(i, " "), 1000)
			switch err := s.Put(t.Context(), "u/push/raced", []byte(text)); {
			case err == nil:
				won.Add(1)
				winner.Store(text)
			case !errors.Is(err, blobs.ErrExists):
				t.Error(err)
			}
		})
	}
	all.Wait()
	if won.Load() != 1 {
		t.Fatalf("%d Puts won", won.Load())
	}
	holds(t, s, "u/push/raced", winner.Load().(string))
}

// testWholeOrNot reads a blob while it is made.
func testWholeOrNot(t *testing.T, s blobs.Store) {
	text := strings.Repeat("0123456789abcdef", 1<<14)
	done := make(chan struct{})
	var reading sync.WaitGroup
	reading.Go(func() {
		for last := false; !last; {
			select {
			case <-done:
				last = true
			default:
			}
			got, err := read(t.Context(), s, "made", 0, -1)
			if err == nil && got != text {
				t.Errorf("%d of %d bytes are there", len(got), len(text))
			} else if err != nil && (last || !errors.Is(err, blobs.ErrNotFound)) {
				t.Error(err)
			}
		}
	})
	parts := slices.Collect(slices.Chunk([]byte(text), 1<<10))
	err := s.Put(t.Context(), "made", parts...)
	close(done)
	reading.Wait()
	if err != nil {
		t.Error(err)
	}
}
