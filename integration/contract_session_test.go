package integration_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/http"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/codec"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/manifest"
)

// session makes the calls.
type session struct {
	t    *testing.T
	base string
	http *http.Client
}

// answer is a response with its body.
type answer struct {
	*http.Response
	body []byte
}

func (s *session) do(ctx context.Context, method, path, media string, body []byte, header http.Header) answer {
	s.t.Helper()
	var r io.Reader
	if body != nil {
		r = bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, s.base+path, r)
	if err != nil {
		s.t.Fatal(err)
	}
	for key, values := range header {
		req.Header[key] = values
	}
	if media != "" {
		req.Header.Set("Content-Type", media)
	}
	resp, err := s.http.Do(req)
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
	got, err := readClose(resp.Body)
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
	return answer{resp, got}
}

// send makes a call that must have the status want.
func (s *session) send(want int, method, path, media string, body []byte) answer {
	s.t.Helper()
	got := s.do(s.t.Context(), method, path, media, body, nil)
	if got.StatusCode != want {
		s.t.Fatalf("%s %s: status %d, want %d: %.300s", method, path, got.StatusCode, want, got.body)
	}
	return got
}

// get makes a call that must have the status want, and decodes its answer.
func (s *session) get(want int, method, path, media string, body []byte, into any) {
	s.t.Helper()
	got := s.send(want, method, path, media, body)
	if err := json.Unmarshal(got.body, into); err != nil {
		s.t.Fatalf("%s %s: %v in %.300s", method, path, err, got.body)
	}
}

// fails makes a call that must fail with the code want.
func (s *session) fails(want openapi.Code, method, path, media string, body []byte) {
	s.t.Helper()
	got := s.do(context.WithValue(s.t.Context(), provoked{}, true), method, path, media, body, nil)
	var doc openapi.ErrorBody
	if err := json.Unmarshal(got.body, &doc); err != nil || doc.Error == nil || doc.Error.Code != want {
		s.t.Errorf("%s %.120s: %d %.300s, want %s", method, path, got.StatusCode, got.body, want)
	}
}

const (
	repoURL   = "/v1/repos/acme/llama"
	mediaJSON = "application/json"
)

// version is a version that the session pushes: each file is one chunk.
type version struct {
	digest  chunker.Digest
	doc     []byte
	chunks  []chunker.Ref // as in the manifest's table
	encoded map[chunker.Digest][]byte
}

func newVersion(t *testing.T, parent chunker.Digest, files ...[]byte) version {
	t.Helper()
	v := version{encoded: map[chunker.Digest][]byte{}}
	b := manifest.NewBuilder()
	for i, plain := range files {
		ref := chunker.Ref{Digest: chunker.Sum(plain), Size: uint32(len(plain))}
		v.encoded[ref.Digest] = codec.Append(nil, plain, chunker.Opaque)
		b.Add(manifest.File{Path: string(rune('a' + i)), Size: uint64(len(plain)), Format: "opaque"}, []chunker.Ref{ref})
	}
	m, err := b.Build(parent, map[string]string{"license": "MIT"})
	if err != nil {
		t.Fatal(err)
	}
	if v.doc, err = m.Encode(); err != nil {
		t.Fatal(err)
	}
	v.digest, v.chunks = manifest.Name(v.doc), m.Chunks
	return v
}

func noise(seed byte, n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(b) // never fails
	return b
}

// digests returns the names of the chunks, back to back.
func (v version) digests() []byte {
	var b []byte
	for _, c := range v.chunks {
		b = append(b, c.Digest[:]...)
	}
	return b
}

func (v version) frames(chunks ...chunker.Ref) []byte {
	var b []byte
	for _, c := range chunks {
		b = openapi.AppendFrame(b, c.Digest, v.encoded[c.Digest])
	}
	return b
}

func (v version) url() string { return repoURL + "/versions/" + v.digest.String() }
