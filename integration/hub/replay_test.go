package hub_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// replayed is the version of clients that cannot be run here.
const replayed = "replayed"

// replayChecks are the calls of engines, as their sources make them.
func replayChecks() []check {
	const llama, ollama = "llama.cpp -hf", "ollama pull"
	return []check{
		{llama, []column{reads}, func(t *testing.T, w *world) story { return llamaReads(t, w, w.registry.url) }},
		{llama, []column{fromNode}, func(t *testing.T, w *world) story { return llamaReads(t, w, w.node.url) }},
		{ollama, []column{reads}, func(t *testing.T, w *world) story { return ollamaReads(t, w) }},
	}
}

var (
	llamaToken = regexp.MustCompile(`^hf_[A-Za-z0-9]{34,}$`) // it drops what is not of this shape
	llamaOID   = regexp.MustCompile(`^(?:[0-9a-f]{40}|[0-9a-f]{64})$`)
)

// llamaReads does what "llama-server -hf acme/gguf:Q4_K_M" does: refs, tree, then the
// file, in two parts as after a broken connection.
func llamaReads(t *testing.T, w *world, url string) story {
	if !llamaToken.MatchString(token) {
		t.Fatalf("it would drop the token %q", token)
	}
	c := newContract(t, url)
	with := map[string]string{"User-Agent": "llama-cpp/b9000", "Authorization": "Bearer {token}", "Accept": "application/json"}
	var refs struct {
		Branches []struct{ Name, TargetCommit string }
	}
	c.decode(exchange{ask: "GET /api/models/acme/gguf/refs", with: with}, &refs)
	if len(refs.Branches) == 0 {
		t.Fatal("it finds no branch")
	}
	c.vars["commit"] = refs.Branches[0].TargetCommit
	for _, b := range refs.Branches {
		if b.Name == "main" {
			c.vars["commit"] = b.TargetCommit
		}
	}
	// It does not follow a Link to more pages.
	var files []struct {
		Type, Path, OID string
		Size            int64
		LFS             struct{ OID string }
	}
	c.decode(exchange{ask: "GET /api/models/acme/gguf/tree/{commit}?recursive=true", with: with}, &files)
	i := slices.IndexFunc(files, func(f struct {
		Type, Path, OID string
		Size            int64
		LFS             struct{ OID string }
	}) bool {
		return f.Type == "file" && strings.Contains(f.Path, "Q4_K_M") && strings.HasSuffix(f.Path, ".gguf")
	})
	if i < 0 {
		t.Fatalf("it finds no file of that quantisation among %+v", files)
	}
	found := files[i]
	if oid := found.LFS.OID; !llamaOID.MatchString(oid) || !llamaOID.MatchString(found.OID) {
		t.Errorf("it takes no blob of the names %q and %q", oid, found.OID)
	}
	c.vars["path"] = found.Path
	want := read(t, w.gguf, quant)
	head := c.send(t, exchange{ask: "HEAD /acme/gguf/resolve/{commit}/{path}", with: map[string]string{"User-Agent": "llama-cpp/b9000"}})
	if head.StatusCode != http.StatusOK || head.Header.Get("Accept-Ranges") != "bytes" || head.ContentLength != int64(len(want)) || head.Header.Get("ETag") == "" {
		t.Errorf("HEAD: status %d, %v", head.StatusCode, head.Header)
	}
	got := c.part(t, "GET /acme/gguf/resolve/{commit}/{path}", fmt.Sprintf("bytes=%d-", len(want)/3), http.StatusPartialContent)
	got = append(want[:len(want)/3:len(want)/3], got...)
	if !bytes.Equal(got, want) || !bytes.Equal(c.part(t, "GET /acme/gguf/resolve/{commit}/{path}", "", http.StatusOK), want) {
		t.Error("it has other bytes")
	}
	return story{Version: replayed, Ran: []string{"refs", "tree", "HEAD and GET of the file", "resume"}}
}

// decode sends a request whose answer is JSON.
func (c *contract) decode(e exchange, into any) {
	c.t.Helper()
	a := c.send(c.t, e)
	if a.StatusCode != http.StatusOK {
		c.t.Fatalf("%s: status %d: %.300s", c.fill(e.ask), a.StatusCode, a.body)
	}
	if link := a.Header.Get("Link"); link != "" {
		c.t.Errorf("%s has more pages: %s", c.fill(e.ask), link)
	}
	if err := json.Unmarshal(a.body, into); err != nil {
		c.t.Fatalf("%s: %v", c.fill(e.ask), err)
	}
}

// part asks for some bytes, or for all if the range is empty, without credentials.
func (c *contract) part(t *testing.T, ask, byteRange string, status int) []byte {
	t.Helper()
	e := exchange{ask: ask}
	if byteRange != "" {
		e.with = map[string]string{"Range": byteRange}
	}
	a := c.send(t, e)
	if a.StatusCode != status {
		t.Fatalf("%s, %s: status %d: %.300s", c.fill(ask), byteRange, a.StatusCode, a.body)
	}
	return a.body
}

const dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"

// ollamaReads does what "ollama pull --insecure http://HOST/acme/gguf:Q4_K_M" does.
func ollamaReads(t *testing.T, w *world) story {
	c := newContract(t, w.registry.url)
	type layer struct {
		MediaType, Digest string
		Size              int64
	}
	var m struct {
		SchemaVersion int
		MediaType     string
		Config        layer
		Layers        []layer
	}
	agent := map[string]string{"User-Agent": "ollama/0.33.0 (amd64 linux) Go/go1.26", "Accept": dockerManifest}
	for _, tag := range []string{"latest", "Q4_K_M"} { // latest first: it is asked for where none is named
		c.decode(exchange{ask: "GET /v2/acme/gguf/manifests/" + tag, with: agent}, &m)
		if m.SchemaVersion != 2 || m.MediaType != dockerManifest || m.Config.MediaType != "application/vnd.docker.container.image.v1+json" {
			t.Errorf("manifest of %s: %+v", tag, m)
		}
	}
	var model string
	for _, l := range append(m.Layers, m.Config) {
		got := c.ollamaBlob(t, l.Digest, l.Size)
		if l.Digest != "sha256:"+sumOf(got) {
			t.Errorf("%s: %d bytes of another digest", l.MediaType, len(got))
		}
		if l.MediaType == "application/vnd.ollama.image.model" {
			model = l.Digest
		}
	}
	if want := "sha256:" + sumOf(read(t, w.gguf, quant)); model != want {
		t.Errorf("the model is %s, want %s", model, want)
	}
	return story{Version: replayed, Ran: []string{"manifests", "HEAD and GET of blobs", "parts from their Location"}}
}

// ollamaBlob fetches a blob as ollama does: its size, its Location, then two parts from
// there at a time, with no credentials.
func (c *contract) ollamaBlob(t *testing.T, digest string, size int64) []byte {
	t.Helper()
	head := c.send(t, exchange{ask: "HEAD /v2/acme/gguf/blobs/" + digest})
	if head.StatusCode != http.StatusOK || head.ContentLength != size {
		t.Fatalf("HEAD of %s: status %d, %d bytes, want %d", digest, head.StatusCode, head.ContentLength, size)
	}
	whole := c.send(t, exchange{ask: "GET /v2/acme/gguf/blobs/" + digest})
	at, err := whole.Location()
	if err != nil || !strings.HasPrefix(at.String(), "http") {
		t.Fatalf("GET of %s: %v, %v", digest, at, err)
	}
	first := c.part(t, "GET "+at.String(), fmt.Sprintf("bytes=0-%d", size/2-1), http.StatusPartialContent)
	return append(first, c.part(t, "GET "+at.String(), fmt.Sprintf("bytes=%d-%d", size/2, size-1), http.StatusPartialContent)...)
}
