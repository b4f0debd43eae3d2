package httpapi_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/httpapi"
	"github.com/ingot-ml/ingot/registry/internal/versions"
)

// TestBusy fills the budget with one upload: the next is told to come back, and
// is taken when the first is done.
func TestBusy(t *testing.T) {
	entered, goOn := make(chan struct{}, 2), make(chan struct{})
	f := &fake{putChunk: func([]byte) (openapi.Received, error) {
		entered <- struct{}{}
		<-goOn
		return openapi.Received{Chunks: 1, New: 1}, nil
	}}
	server, api, _ := newServer(t, f, 1<<20)
	api.SetWait(time.Millisecond)
	url := server.URL + push + "/chunks/" + someHex
	first := make(chan error)
	go func() {
		req, err := http.NewRequest("PUT", url, strings.NewReader("one"))
		if err == nil {
			req.Header.Set("Content-Type", openapi.MediaChunk)
			var resp *http.Response
			if resp, err = http.DefaultClient.Do(req); err == nil {
				err = resp.Body.Close()
			}
		}
		first <- err
	}()
	<-entered
	resp, body := request(t, "PUT", url, openapi.MediaChunk, strings.NewReader("two"))
	checkError(t, resp, body, openapi.CodeBusy)
	close(goOn)
	if err := <-first; err != nil {
		t.Fatal(err)
	}
	// The first has its answer a moment before its memory is free.
	api.SetWait(time.Minute)
	if resp, _ := request(t, "PUT", url, openapi.MediaChunk, strings.NewReader("two")); resp.StatusCode != http.StatusCreated {
		t.Errorf("status %d when memory is free again", resp.StatusCode)
	}
}

// TestStalledBody announces more than it sends: it is told so, and its memory is
// free again.
func TestStalledBody(t *testing.T) {
	server, api, _ := newServer(t, &fake{}, 1<<20)
	api.SetStall(time.Millisecond)
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }() // the test is over
	fmt.Fprintf(conn, "POST %s/missing HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: 64\r\n\r\nhalf", push, openapi.MediaDigests)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	checkError(t, resp, body, openapi.CodeBusy)
}

// deadlines is a response that keeps the last deadlines of its connection.
type deadlines struct {
	*httptest.ResponseRecorder
	read, write time.Time
}

func (d *deadlines) SetReadDeadline(t time.Time) error  { d.read = t; return nil }
func (d *deadlines) SetWriteDeadline(t time.Time) error { d.write = t; return nil }

// TestDeadlines are on bodies in both directions, and not on the work between.
func TestDeadlines(t *testing.T) {
	w := &deadlines{ResponseRecorder: httptest.NewRecorder(), read: time.Now()}
	f := &fake{putChunk: func([]byte) (openapi.Received, error) {
		if !w.read.IsZero() || !w.write.IsZero() {
			t.Errorf("deadlines %v and %v while the chunk is worked on", w.read, w.write)
		}
		return openapi.Received{Chunks: 1}, nil
	}}
	api := httpapi.New(httpapi.Config{Service: f, Memory: 8 << 20})
	r := httptest.NewRequest("PUT", push+"/chunks/"+someHex, strings.NewReader("encoded"))
	r.Header.Set("Content-Type", openapi.MediaChunk)
	api.ServeHTTP(w, r)
	if w.Code != http.StatusOK || w.write.IsZero() {
		t.Errorf("status %d, written until %v", w.Code, w.write)
	}
}

func TestPutChunk(t *testing.T) {
	var got []byte
	f := &fake{}
	server, _, _ := newServer(t, f, 8<<20)
	for n, status := range map[int]int{0: http.StatusOK, 1: http.StatusCreated} {
		f.putChunk = func(enc []byte) (openapi.Received, error) {
			got = bytes.Clone(enc)
			return openapi.Received{Chunks: 1, New: n}, nil
		}
		resp, _ := request(t, "PUT", server.URL+push+"/chunks/"+someHex, openapi.MediaChunk, strings.NewReader("encoded"))
		if resp.StatusCode != status || string(got) != "encoded" {
			t.Errorf("%d new: status %d, got %q", n, resp.StatusCode, got)
		}
	}
}

func TestPutBatch(t *testing.T) {
	f := &fake{}
	server, _, _ := newServer(t, f, 8<<20)
	var body []byte
	var want []versions.Encoded
	for i := range openapi.MaxBatchChunks {
		b := bytes.Repeat([]byte{byte(i)}, i%7+1)
		want = append(want, versions.Encoded{Digest: chunker.Sum(b), Bytes: b})
		body = openapi.AppendFrame(body, chunker.Sum(b), b)
	}
	resp, _ := request(t, "POST", server.URL+push+"/chunks", openapi.MediaChunks, bytes.NewReader(body))
	same := func(a, b versions.Encoded) bool { return a.Digest == b.Digest && bytes.Equal(a.Bytes, b.Bytes) }
	if resp.StatusCode != http.StatusOK || !slices.EqualFunc(f.batch, want, same) {
		t.Errorf("status %d, %d chunks arrived, want %d", resp.StatusCode, len(f.batch), len(want))
	}
	body = openapi.AppendFrame(body, chunker.Sum(nil), []byte("one more"))
	resp, answer := request(t, "POST", server.URL+push+"/chunks", openapi.MediaChunks, bytes.NewReader(body))
	checkError(t, resp, answer, openapi.CodeTooLarge)
}

func TestMissing(t *testing.T) {
	f := &fake{missing: []bool{true, false, false, true, false, false, false, false, false, true}}
	server, _, _ := newServer(t, f, 8<<20)
	body := bytes.Repeat([]byte("d"), len(f.missing)*chunker.DigestSize)
	resp, got := request(t, "POST", server.URL+push+"/missing", openapi.MediaDigests, bytes.NewReader(body))
	if resp.Header.Get("Content-Type") != openapi.MediaBitmap || !bytes.Equal(got, []byte{0b1001, 0b10}) {
		t.Errorf("%s %b", resp.Header.Get("Content-Type"), got)
	}
}

// blob is a reader that, like a file, wants to write itself to the connection.
type blob struct {
	io.Reader
	direct *bool // set when it could
}

func (b blob) WriteTo(w io.Writer) (int64, error) {
	_, *b.direct = w.(io.ReaderFrom)
	return io.Copy(w, b.Reader)
}

func (b blob) Close() error { return nil }

// serveChunks makes the fake hold chunks that are encoded as these texts.
func serveChunks(f *fake, direct *bool, texts ...string) {
	f.located = nil
	for _, s := range texts {
		f.located = append(f.located, versions.Located{Digest: chunker.Sum([]byte(s)), Length: int64(len(s))})
	}
	f.open = func(l versions.Located) (io.ReadCloser, error) {
		for _, s := range texts {
			if chunker.Sum([]byte(s)) == l.Digest {
				return blob{strings.NewReader(s), direct}, nil
			}
		}
		return nil, errors.New("lost")
	}
}

func TestGetChunk(t *testing.T) {
	f, direct := &fake{}, false
	serveChunks(f, &direct, "encoded")
	server, _, _ := newServer(t, f, 1<<20)
	url := server.URL + repo + "/versions/" + someHex + "/chunks/0"
	digest := chunker.Sum([]byte("encoded")).String()
	for method, want := range map[string]string{"GET": "encoded", "HEAD": ""} {
		resp, body := request(t, method, url, "", nil)
		h := resp.Header
		if string(body) != want || resp.ContentLength != 7 || h.Get("Content-Type") != openapi.MediaChunk || h.Get("Ingot-Chunk") != digest ||
			h.Get("ETag") != `"`+digest+`"` || !strings.Contains(h.Get("Cache-Control"), "immutable") || h.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %q of %d, %v", method, body, resp.ContentLength, h)
		}
	}
	if !direct {
		t.Error("the blob cannot be sent by the kernel: the writer is no io.ReaderFrom")
	}
	req, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("If-None-Match", `"x", W/"`+digest+`"`)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusNotModified {
		t.Errorf("status %d for a chunk that the caller has", resp.StatusCode)
	}
}

func TestGetChunks(t *testing.T) {
	f, direct := &fake{}, false
	serveChunks(f, &direct, "one", "three", "one")
	server, _, _ := newServer(t, f, 1<<20)
	url := server.URL + repo + "/versions/" + someHex + "/chunks?i=1,3,1"
	resp, body := request(t, "GET", url, "", nil)
	frames := openapi.NewFrameReader(bytes.NewReader(body), 100)
	for _, want := range []string{"one", "three", "one"} {
		d, got, err := frames.Next(nil)
		if err != nil || string(got) != want || d != chunker.Sum(got) {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
	}
	if resp.ContentLength != int64(len(body)) || resp.Header.Get("Content-Type") != openapi.MediaChunks || !direct {
		t.Errorf("%d bytes announced, %d came, direct %v", resp.ContentLength, len(body), direct)
	}
}

// TestBrokenChunks are failures ahead of the first byte, which are told, and
// behind it, which close the connection.
func TestBrokenChunks(t *testing.T) {
	lost := versions.Located{Digest: chunker.Sum([]byte("lost")), Length: 4}
	long := versions.Located{Digest: chunker.Sum([]byte("one")), Length: 4}
	for _, tt := range []struct {
		what, path string
		located    []versions.Located
		told       bool
	}{
		{"chunk lost", "/0", []versions.Located{lost}, true},
		{"first lost", "?i=0", []versions.Located{lost}, true},
		{"fewer found", "?i=0-1", []versions.Located{lost}, true},
		{"chunk short", "/0", []versions.Located{long}, false},
		{"first short", "?i=0", []versions.Located{long}, false},
		{"second lost", "?i=0-1", []versions.Located{long, lost}, false},
	} {
		t.Run(tt.what, func(t *testing.T) {
			f, direct := &fake{}, false
			serveChunks(f, &direct, "one")
			f.located = tt.located
			server, _, _ := newServer(t, f, 1<<20)
			resp, err := http.Get(server.URL + repo + "/versions/" + someHex + "/chunks" + tt.path)
			if err != nil {
				if tt.told {
					t.Fatal(err)
				}
				return // closed before the headers had left
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			if !tt.told {
				if err == nil {
					t.Errorf("status %d and %d bytes, want a broken connection", resp.StatusCode, len(body))
				}
				return
			}
			checkError(t, resp, body, openapi.CodeInternal)
			if resp.Header.Get("ETag") != "" || resp.Header.Get("Cache-Control") != "" {
				t.Errorf("headers of a chunk on an error: %v", resp.Header)
			}
		})
	}
}

func TestParseIndexes(t *testing.T) {
	for s, want := range map[string][]uint32{
		"0":                     {0},
		"3,1,3":                 {3, 1, 3},
		"0-2,7":                 {0, 1, 2, 7},
		"5-5":                   {5},
		"4294967294-4294967295": {4294967294, 4294967295},
	} {
		if got, err := httpapi.ParseIndexes(s); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %v, %v, want %v", s, got, err, want)
		}
	}
	if got, err := httpapi.ParseIndexes("0-4095"); err != nil || len(got) != openapi.MaxBatchChunks {
		t.Errorf("%d indexes, %v", len(got), err)
	}
	bad, large := &openapi.Error{Code: openapi.CodeBadRequest}, &openapi.Error{Code: openapi.CodeTooLarge}
	for s, want := range map[string]error{
		"": bad, ",": bad, "1,": bad, "-": bad, "1-": bad, "-1": bad, "2-1": bad, "1-2-3": bad, " 1": bad, "+1": bad, "01": bad, "00": bad, "0-01": bad, "1_0": bad, "0x1": bad, "4294967296": bad,
		"0-4096": large, "0-4095,0": large, "0-4294967295": large, strings.Repeat("1,", 30000): large,
	} {
		if got, err := httpapi.ParseIndexes(s); !errors.Is(err, want) {
			t.Errorf("%.40q: %d indexes, %v", s, len(got), err)
		}
	}
}

// FuzzParseIndexes reads any text: what is accepted is bounded, and reads the
// same when it is written out.
func FuzzParseIndexes(f *testing.F) {
	f.Add("0-15,20")
	f.Add("4294967295")
	f.Add("1-0")
	f.Fuzz(func(t *testing.T, s string) {
		indexes, err := httpapi.ParseIndexes(s)
		if err != nil {
			return
		}
		if len(indexes) < 1 || len(indexes) > openapi.MaxBatchChunks {
			t.Fatalf("%d indexes of %.80q", len(indexes), s)
		}
		var parts []string
		for _, i := range indexes {
			parts = append(parts, fmt.Sprint(i))
		}
		again, err := httpapi.ParseIndexes(strings.Join(parts, ","))
		if err != nil || !slices.Equal(again, indexes) {
			t.Errorf("%.80q reads differently when written out: %v", s, err)
		}
	})
}
