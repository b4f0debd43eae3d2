package registry_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/codec"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/manifest"
)

// pusher makes small versions through a handler.
type pusher struct {
	t *testing.T
	h http.Handler
}

func (p pusher) do(method, path, media string, body []byte) *httptest.ResponseRecorder {
	req := httptest.NewRequestWithContext(p.t.Context(), method, path, bytes.NewReader(body))
	if media != "" {
		req.Header.Set("Content-Type", media)
	}
	rec := httptest.NewRecorder()
	p.h.ServeHTTP(rec, req)
	return rec
}

func (p pusher) must(want int, got *httptest.ResponseRecorder) []byte {
	p.t.Helper()
	if got.Code != want {
		p.t.Fatalf("status %d, want %d: %s", got.Code, want, got.Body)
	}
	return got.Body.Bytes()
}

// start returns the path of a new push.
func (p pusher) start() string {
	p.t.Helper()
	var push openapi.Push
	b := p.must(http.StatusCreated, p.do("POST", "/v1/repos/acme/llama/pushes", "", nil))
	if err := json.Unmarshal(b, &push); err != nil {
		p.t.Fatal(err)
	}
	return "/v1/pushes/" + push.ID
}

func (p pusher) put(push string, plain []byte) *httptest.ResponseRecorder {
	return p.do("PUT", push+"/chunks/"+chunker.Sum(plain).String(), openapi.MediaChunk, codec.Append(nil, plain, chunker.Opaque))
}

// commit makes a version of one file, plain, tagged main, and returns its path.
func (p pusher) commit(plain []byte) string {
	p.t.Helper()
	push := p.start()
	p.must(http.StatusCreated, p.put(push, plain))
	b := manifest.NewBuilder()
	b.Add(manifest.File{Path: "file", Size: uint64(len(plain)), Format: "opaque"},
		[]chunker.Ref{{Digest: chunker.Sum(plain), Size: uint32(len(plain))}})
	m, err := b.Build(chunker.Digest{}, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	doc, err := m.Encode()
	if err != nil {
		p.t.Fatal(err)
	}
	p.must(http.StatusCreated, p.do("POST", push+"/commit?tag=main", openapi.MediaManifest, doc))
	return "/v1/repos/acme/llama/versions/" + manifest.Name(doc).String()
}

// missing tells whether a new push would have to upload plain.
func (p pusher) missing(plain []byte) bool {
	p.t.Helper()
	d := chunker.Sum(plain)
	return p.must(http.StatusOK, p.do("POST", p.start()+"/missing", openapi.MediaDigests, d[:]))[0] != 0
}
