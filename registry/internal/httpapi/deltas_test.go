package httpapi_test

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/versions"
)

// framesOf makes frames of texts, each time anew.
func framesOf(texts ...string) func() []versions.Frame {
	return func() (frames []versions.Frame) {
		for _, s := range texts {
			frames = append(frames, versions.Frame{Digest: chunker.Sum([]byte(s)), Length: int64(len(s)), ReadCloser: io.NopCloser(strings.NewReader(s))})
		}
		return frames
	}
}

// TestUploadBase has uploads name the version that their deltas are of.
func TestUploadBase(t *testing.T) {
	f := &fake{putChunk: func([]byte) (openapi.Received, error) { return openapi.Received{Chunks: 1}, nil }}
	server, _, _ := newServer(t, f, 8<<20)
	version, err := chunker.ParseDigest(someHex)
	if err != nil {
		t.Fatal(err)
	}
	frame := openapi.AppendFrame(nil, chunker.Sum([]byte("x")), []byte("x"))
	for query, want := range map[string]versions.Source{
		"": {}, "?base=": {}, "?base=acme/llama@" + someHex: {Repo: "acme/llama", Version: version},
	} {
		for _, batch := range []bool{false, true} {
			f.base = versions.Source{Repo: "not called"}
			var resp *http.Response
			if batch {
				resp, _ = request(t, "POST", server.URL+push+"/chunks"+query, openapi.MediaChunks, bytes.NewReader(frame))
			} else {
				resp, _ = request(t, "PUT", server.URL+push+"/chunks/"+someHex+query, openapi.MediaChunk, strings.NewReader("x"))
			}
			if resp.StatusCode != http.StatusOK || f.base != want {
				t.Errorf("%q, batch %v: status %d, base %+v", query, batch, resp.StatusCode, f.base)
			}
		}
	}
	for _, base := range []string{"acme/llama", "acme/llama:main", "acme/llama@main", "../x@" + someHex, "acme@" + someHex} {
		resp, body := request(t, "PUT", server.URL+push+"/chunks/"+someHex+"?base="+base, openapi.MediaChunk, strings.NewReader("x"))
		checkError(t, resp, body, openapi.CodeBadName)
		resp, body = request(t, "POST", server.URL+push+"/chunks?base="+base, openapi.MediaChunks, bytes.NewReader(frame))
		checkError(t, resp, body, openapi.CodeBadName)
	}
}

// TestGetDelta asks for a chunk that is stored as a delta.
func TestGetDelta(t *testing.T) {
	f := &fake{located: []versions.Located{{Digest: chunker.Sum([]byte("delta"))}}}
	server, _, _ := newServer(t, f, 8<<20)
	url := server.URL + repo + "/versions/" + someHex + "/chunks/0"
	f.frames = framesOf("whole")
	resp, body := request(t, "GET", url, "", nil)
	if f.wish.Deltas || resp.Header.Get("Content-Type") != openapi.MediaChunk || string(body) != "whole" || resp.ContentLength != 5 {
		t.Errorf("whole: %v, %q", resp.Header, body)
	}
	f.frames = framesOf("anchor", "delta")
	resp, body = request(t, "GET", url+"?delta=yes", "", nil)
	want := openapi.AppendFrame(openapi.AppendFrame(nil, chunker.Sum([]byte("anchor")), []byte("anchor")), chunker.Sum([]byte("delta")), []byte("delta"))
	if !f.wish.Deltas || resp.Header.Get("Content-Type") != openapi.MediaChunks || !bytes.Equal(body, want) || resp.ContentLength != int64(len(want)) {
		t.Errorf("delta: %v, %q", resp.Header, body)
	}
	f.frames = framesOf("anchor", "delta")
	resp, body = request(t, "HEAD", url+"?delta=yes", "", nil)
	if resp.ContentLength != int64(len(want)) || len(body) != 0 {
		t.Errorf("HEAD: %d", resp.ContentLength)
	}
}

// TestHeld asks for chunks and says what is held.
func TestHeld(t *testing.T) {
	f := &fake{located: []versions.Located{{Digest: chunker.Sum([]byte("1")), Length: 5}, {Digest: chunker.Sum([]byte("2")), Length: 5}}}
	server, _, _ := newServer(t, f, 8<<20)
	url := server.URL + repo + "/versions/" + someHex + "/chunks"
	held := "&have=acme/held@" + someHex + "&h="
	get := func(query string) (*http.Response, []byte) {
		f.frames = framesOf("small")
		return request(t, "GET", url+query, "", nil)
	}
	f.held = []versions.Located{{Digest: chunker.Sum([]byte("a"))}, {Digest: chunker.Sum([]byte("b"))}}
	resp, body := get("?delta=yes&i=0-1" + held + "7,7")
	if resp.StatusCode != http.StatusOK || f.wish.Held == nil || f.wish.Held.Digest != f.held[1].Digest || len(body) != 2*(openapi.FrameHeader+5) {
		t.Errorf("status %d, wish %+v, %d bytes", resp.StatusCode, f.wish, len(body))
	}
	for what, err := range map[string]error{
		"not for who asks": openapi.Errorf(openapi.CodeNotFound, "no"), "damaged": openapi.Errorf(openapi.CodeUnavailable, "no"),
	} {
		f.heldErr = err
		if resp, _ := get("?delta=yes&i=0-1" + held + "7,7"); resp.StatusCode != http.StatusOK || f.wish.Held != nil {
			t.Errorf("%s: status %d, wish %+v", what, resp.StatusCode, f.wish)
		}
	}
	f.heldErr = nil
	for _, query := range []string{
		"?i=0-1" + held + "7,7", "?delta=yes&i=0-1" + held + "7", "?delta=yes&i=0-1" + held, "?delta=yes&i=0-1&h=7,7",
	} {
		if resp, _ := get(query); resp.StatusCode != http.StatusOK || f.wish.Held != nil {
			t.Errorf("%s: status %d, wish %+v", query, resp.StatusCode, f.wish)
		}
	}
	f.heldErr = io.ErrUnexpectedEOF
	resp, body = get("?delta=yes&i=0-1" + held + "7,7")
	checkError(t, resp, body, openapi.CodeInternal)
	f.heldErr = nil
	for query, code := range map[string]openapi.Code{
		"?delta=yes&i=0-1" + held + "x,7":                  openapi.CodeBadRequest,
		"?delta=maybe&i=0-1":                               openapi.CodeBadRequest,
		"?delta=yes&i=0-1&h=7,7&have=acme/held":            openapi.CodeBadName,
		"?delta=yes&i=0-1&h=7,7&have=acme/../x@" + someHex: openapi.CodeBadName,
		"?delta=yes&i=0-1" + held + "0-4096":               openapi.CodeTooLarge,
	} {
		resp, body := get(query)
		checkError(t, resp, body, code)
	}
}
