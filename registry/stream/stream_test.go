package stream_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/registry/manifest"
	"github.com/ingot-ml/ingot/registry/stream"
)

// chunks gives chunks from memory and counts what it has lent.
type chunks struct {
	m      *manifest.Manifest
	plain  map[chunker.Digest][]byte
	bad    chunker.Digest // fails
	lent   atomic.Int64
	most   atomic.Int64
	served atomic.Int64
}

var errBad = errors.New("chunk cannot be read")

func (c *chunks) Chunk(ctx context.Context, i uint32) ([]byte, func(), error) {
	if err := ctx.Err(); err != nil {
		return nil, func() {}, err
	}
	n := c.lent.Add(1)
	for most := c.most.Load(); n > most && !c.most.CompareAndSwap(most, n); most = c.most.Load() {
	}
	c.served.Add(1)
	d := c.m.Chunks[i].Digest
	if d == c.bad {
		return nil, func() { c.lent.Add(-1) }, errBad
	}
	return c.plain[d], func() { c.lent.Add(-1) }, nil
}

// world is a file of chunks of odd sizes, one of which comes several times.
func world(t testing.TB) (*chunks, *manifest.File, []byte) {
	t.Helper()
	c := &chunks{plain: map[chunker.Digest][]byte{}}
	random := rand.NewChaCha8([32]byte{1})
	var whole []byte
	var refs []chunker.Ref
	for _, size := range []int{1, 500, 4096, 3, 70_000, 500, 9} {
		b := make([]byte, size)
		if size != 500 {
			_, _ = random.Read(b)
		}
		d := chunker.Sum(b)
		c.plain[d] = b
		refs = append(refs, chunker.Ref{Digest: d, Size: uint32(size)})
		whole = append(whole, b...)
	}
	b := manifest.NewBuilder()
	b.Add(manifest.File{Path: "model.bin", Size: uint64(len(whole)), Format: "opaque"}, refs)
	m, err := b.Build(chunker.Digest{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	c.m = m
	return c, m.File("model.bin"), whole
}

func TestSend(t *testing.T) {
	c, f, whole := world(t)
	for _, memory := range []int64{0, 100 << 20} {
		content := stream.Chunked(c.m, f, c, stream.NewAhead(memory, 3))
		if content.Size() != int64(len(whole)) {
			t.Fatalf("size %d, want %d", content.Size(), len(whole))
		}
		for range 300 {
			offset := rand.IntN(len(whole) + 1)
			n := rand.IntN(len(whole) - offset + 1)
			var got bytes.Buffer
			if err := content.Send(t.Context(), &got, int64(offset), int64(n)); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got.Bytes(), whole[offset:offset+n]) {
				t.Fatalf("%d bytes from %d: others", n, offset)
			}
		}
	}
	if n := c.lent.Load(); n != 0 {
		t.Errorf("%d chunks were not released", n)
	}
	if most := c.most.Load(); most > 3 {
		t.Errorf("%d chunks at a time, want at most 3", most)
	}
}

// TestBudget has more readers than memory: each gets on, with one chunk at a time
// between them.
func TestBudget(t *testing.T) {
	c, f, whole := world(t)
	ahead := stream.NewAhead(manifest.MaxChunk, 4)
	failed := make(chan error)
	for range 8 {
		go func() {
			var got bytes.Buffer
			err := stream.Chunked(c.m, f, c, ahead).Send(t.Context(), &got, 0, int64(len(whole)))
			if err == nil && !bytes.Equal(got.Bytes(), whole) {
				err = errors.New("other bytes")
			}
			failed <- err
		}()
	}
	for range 8 {
		if err := <-failed; err != nil {
			t.Error(err)
		}
	}
	if most := c.most.Load(); most != 1 {
		t.Errorf("%d chunks at a time, want 1", most)
	}
}

// only reads what is needed: the chunks of a range, and no more.
func TestSendReadsOnlyTheRange(t *testing.T) {
	c, f, _ := world(t)
	content := stream.Chunked(c.m, f, c, stream.NewAhead(1<<30, 0))
	if err := content.Send(t.Context(), io.Discard, 502, 10); err != nil {
		t.Fatal(err)
	}
	if n := c.served.Load(); n != 1 {
		t.Errorf("%d chunks were read for 10 bytes of one", n)
	}
}

func TestSendFails(t *testing.T) {
	c, f, whole := world(t)
	content := stream.Chunked(c.m, f, c, stream.NewAhead(1<<30, 0))
	c.bad = c.m.Chunks[f.Chunks[4]].Digest
	var got bytes.Buffer
	if err := content.Send(t.Context(), &got, 0, int64(len(whole))); !errors.Is(err, errBad) {
		t.Errorf("got %v, want %v", err, errBad)
	}
	if !bytes.Equal(got.Bytes(), whole[:1+500+4096+3]) {
		t.Errorf("%d bytes before the bad chunk", got.Len())
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := content.Send(ctx, io.Discard, 0, 10); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that has ended: %v", err)
	}
	if err := content.Send(t.Context(), brokenWriter{}, 0, 3000); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("to a writer that fails: %v", err)
	}
	if n := c.lent.Load(); n != 0 {
		t.Errorf("%d chunks were not released", n)
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestServe(t *testing.T) {
	c, f, whole := world(t)
	var told []error
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"abc"`)
		w.Header().Set("Content-Type", "application/octet-stream")
		stream.Serve(w, r, stream.Chunked(c.m, f, c, stream.NewAhead(1<<30, 0)), func(err error) { told = append(told, err) })
	}))
	defer server.Close()
	size := len(whole)
	many := "bytes=" + strings.Repeat("0-1,", 999) + "5-6"
	for _, x := range []struct {
		name, method string
		header       [2]string
		status       int
		body         []byte
		contentRange string
	}{
		{"whole", "GET", [2]string{}, 200, whole, ""},
		{"head", "HEAD", [2]string{}, 200, nil, ""},
		{"first byte", "GET", [2]string{"Range", "bytes=0-0"}, 206, whole[:1], fmt.Sprintf("bytes 0-0/%d", size)},
		{"rest", "GET", [2]string{"Range", "bytes=4000-"}, 206, whole[4000:], fmt.Sprintf("bytes 4000-%d/%d", size-1, size)},
		{"end", "GET", [2]string{"Range", "bytes=-5"}, 206, whole[size-5:], fmt.Sprintf("bytes %d-%d/%d", size-5, size-1, size)},
		{"beyond", "GET", [2]string{"Range", fmt.Sprintf("bytes=%d-", size)}, 416, nil, fmt.Sprintf("bytes */%d", size)},
		{"a thousand ranges", "GET", [2]string{"Range", many}, 200, whole, ""},
		{"no range", "GET", [2]string{"Range", "bananas"}, 416, nil, ""},
		{"unchanged", "GET", [2]string{"If-None-Match", `"abc"`}, 304, []byte{}, ""},
		{"changed", "GET", [2]string{"If-Match", `"abd"`}, 412, nil, ""},
	} {
		r, err := http.NewRequestWithContext(t.Context(), x.method, server.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		if x.header[0] != "" {
			r.Header.Set(x.header[0], x.header[1])
		}
		answer, err := server.Client().Do(r)
		if err != nil {
			t.Fatalf("%s: %v", x.name, err)
		}
		body, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatalf("%s: %v", x.name, err)
		}
		_ = answer.Body.Close()
		if answer.StatusCode != x.status {
			t.Errorf("%s: status %d, want %d", x.name, answer.StatusCode, x.status)
		}
		if x.body != nil && !bytes.Equal(body, x.body) {
			t.Errorf("%s: %d bytes, want %d", x.name, len(body), len(x.body))
		}
		if got := answer.Header.Get("Content-Range"); got != x.contentRange {
			t.Errorf("%s: Content-Range %q, want %q", x.name, got, x.contentRange)
		}
	}
	if len(told) > 0 {
		t.Errorf("failures were told of: %v", told)
	}
}

// TestServeCutsOff wants a body that fails to be cut, never to look complete.
func TestServeCutsOff(t *testing.T) {
	c, f, whole := world(t)
	c.bad = c.m.Chunks[f.Chunks[4]].Digest
	told := make(chan error, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/octet-stream")
		stream.Serve(w, r, stream.Chunked(c.m, f, c, stream.NewAhead(1<<30, 0)), func(err error) { told <- err })
	}))
	defer server.Close()
	answer, err := http.Get(server.URL)
	if err == nil {
		var body []byte
		body, err = io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		if len(body) >= len(whole) {
			t.Error("the body is complete")
		}
	}
	if err == nil {
		t.Error("the client did not see an error")
	}
	if err := <-told; !errors.Is(err, errBad) {
		t.Errorf("told of %v, want %v", err, errBad)
	}
}
