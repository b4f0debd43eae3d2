package oci_test

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/registry/oci"
)

// gguf returns a file of the keys and nothing else: texts, and numbers of 32 bits.
func gguf(pairs ...any) string {
	b := []byte("GGUF")
	b = binary.LittleEndian.AppendUint32(b, 3)
	b = binary.LittleEndian.AppendUint64(b, 0)
	b = binary.LittleEndian.AppendUint64(b, uint64(len(pairs)/2))
	text := func(s string) {
		b = binary.LittleEndian.AppendUint64(b, uint64(len(s)))
		b = append(b, s...)
	}
	for i := 0; i < len(pairs); i += 2 {
		text(pairs[i].(string))
		switch v := pairs[i+1].(type) {
		case string:
			b = binary.LittleEndian.AppendUint32(b, 8)
			text(v)
		case int:
			b = binary.LittleEndian.AppendUint32(b, 4)
			b = binary.LittleEndian.AppendUint32(b, uint32(v))
		case []string:
			b = binary.LittleEndian.AppendUint32(b, 9)
			b = binary.LittleEndian.AppendUint32(b, 8)
			b = binary.LittleEndian.AppendUint64(b, uint64(len(v)))
			for _, s := range v {
				text(s)
			}
		}
	}
	return string(b)
}

var small = gguf("general.architecture", "llama", "general.tags", []string{"a", "b"}, "general.size_label", "7B", "general.file_type", 15)

// asOllama are the headers of ollama's request for a manifest.
var asOllama = []string{"Accept", mediaDocker, "User-Agent", "ollama/0.33 (amd64 linux) Go/go1.26"}

// TestOllamaPull makes the calls of "ollama pull", as recorded.
func TestOllamaPull(t *testing.T) {
	w := newWorld(t)
	w.commit("acme/tiny", map[string]string{
		"tiny.gguf": small, "mmproj-F16.gguf": "sees", "template": "{{ .Prompt }}", "params": `{"stop":["x"]}`,
		"LICENSE": "free", "sub/template": "not this one",
	})
	server := httptest.NewServer(w.handler)
	defer server.Close()
	got := w.do(http.MethodGet, "/v2/acme/tiny/manifests/latest", asOllama...)
	m := parse(t, got.Body.String())
	if got.Header().Get("Content-Type") != mediaDocker || m.MediaType != mediaDocker || m.Config.MediaType != "application/vnd.docker.container.image.v1+json" {
		t.Errorf("%v %+v", got.Header(), m)
	}
	want := map[string]string{"model": small, "projector": "sees", "template": "{{ .Prompt }}", "params": `{"stop":["x"]}`, "license": "free"}
	if len(m.Layers) != len(want) {
		t.Errorf("layers %+v, want %d", m.Layers, len(want))
	}
	for _, l := range append(m.Layers, m.Config) {
		body := follow(t, server.URL, "/v2/acme/tiny/blobs/"+l.Digest, l.Size)
		if kind, is := strings.CutPrefix(l.MediaType, "application/vnd.ollama.image."); is && body != want[kind] {
			t.Errorf("%s: %q", kind, body)
		}
		if "sha256:"+hexOf(body) != l.Digest {
			t.Errorf("%s: other bytes", l.MediaType)
		}
	}
	config := w.get("/v2/acme/tiny/blobs/" + m.Config.Digest)
	var c map[string]any
	if err := json.Unmarshal([]byte(config), &c); err != nil {
		t.Fatal(err)
	}
	for key, v := range map[string]string{"model_format": "gguf", "model_family": "llama", "model_type": "7B", "file_type": "Q4_K_M"} {
		if c[key] != v {
			t.Errorf("config has %s %v, want %s", key, c[key], v)
		}
	}
	w.forget() // another replica gets the next request
	if again := w.get("/v2/acme/tiny/blobs/" + m.Config.Digest); again != config {
		t.Errorf("config after a restart: %s", again)
	}
}

// follow asks for a blob as ollama does: for its size, for where it is, and for parts
// of it there, without credentials.
func follow(t *testing.T, server, path string, size int64) string {
	t.Helper()
	head, err := http.Head(server + path)
	if err != nil {
		t.Fatal(err)
	}
	_ = head.Body.Close()
	if head.ContentLength != size {
		t.Errorf("%s: %d bytes, want %d", path, head.ContentLength, size)
	}
	got, err := http.Get(server + path)
	if err != nil {
		t.Fatal(err)
	}
	_ = got.Body.Close()
	at, err := got.Location() // resolved against the request, as ollama has it
	if err != nil {
		t.Fatal(err)
	}
	var body strings.Builder
	half := size / 2
	for _, r := range []string{fmt.Sprintf("bytes=0-%d", half), fmt.Sprintf("bytes=%d-%d", half+1, size-1)} {
		q, err := http.NewRequest(http.MethodGet, at.String(), nil)
		if err != nil {
			t.Fatal(err)
		}
		q.Header.Set("Range", r)
		part, err := http.DefaultClient.Do(q)
		if err != nil {
			t.Fatal(err)
		}
		if part.StatusCode != http.StatusPartialContent {
			t.Errorf("%s %s: %s", path, r, part.Status)
		}
		if _, err := io.Copy(&body, part.Body); err != nil {
			t.Fatal(err)
		}
		_ = part.Body.Close()
	}
	return body.String()
}

func TestOllamaChooses(t *testing.T) {
	w := newWorld(t)
	w.commit("acme/many", map[string]string{
		"many-Q4_K_S.gguf": "s", "many-Q4_K_M.gguf": "m", "q8/many_Q8_0.gguf": "8", "many-UD-Q2_K.gguf": "2", "many.BF16.gguf": "b",
		"many-F32-00001-of-00002.gguf": "x", "README.md": "y",
	})
	w.models["acme/many"].refs["v1"] = w.models["acme/many"].refs["main"]
	w.commit("acme/none", plain)
	w.commit("acme/parts", map[string]string{"a-00001-of-00002.gguf": "1", "a-00002-of-00002.gguf": "2"})
	w.commit("acme/one", map[string]string{"a.gguf": "only"})
	tests := []struct{ model, want string }{
		{"many/manifests/latest", "m"},
		{"many/manifests/v1", "m"},
		{"many/manifests/q4_k_s", "s"},
		{"many/manifests/Q8_0", "8"},
		{"many/manifests/UD-Q2_K", "2"},
		{"many/manifests/BF16", "b"},
		{"many/manifests/Q4_K", `no tag \"Q4_K\"`},
		{"many/manifests/F32", `no tag \"F32\"`},
		{"none/manifests/latest", "no GGUF file"},
		{"parts/manifests/latest", "merge them"},
		{"one/manifests/latest", "only"},
		{"one/manifests/Q4_0", "no tag"},
	}
	for _, tt := range tests {
		got := w.do(http.MethodGet, "/v2/acme/"+tt.model, asOllama...)
		if got.Code == http.StatusNotFound && strings.Contains(got.Body.String(), tt.want) {
			continue
		}
		if got.Code != http.StatusOK || parse(t, got.Body.String()).Layers[0].Digest != "sha256:"+hexOf(tt.want) {
			t.Errorf("%s: %d %s, want %q", tt.model, got.Code, got.Body, tt.want)
		}
	}
	// Clients of OCI get the whole version.
	for _, accept := range []string{"", mediaManifest, mediaDocker + ", " + mediaManifest, mediaDocker + ", */*"} {
		if m := parse(t, w.get("/v2/acme/many/manifests/latest", "Accept", accept)); m.MediaType != mediaManifest || len(m.Layers) != 7 {
			t.Errorf("accept %q: %+v", accept, m)
		}
	}
}

// TestLocation: who controls access says where blobs are read without credentials.
func TestLocation(t *testing.T) {
	w := newWorld(t)
	w.commit("acme/one", map[string]string{"a.gguf": "only"})
	w.handler = oci.New(oci.Config{Source: w.memory, Location: func(r *http.Request) string { return r.URL.Path + "?signed" }})
	path := "/v2/acme/one/blobs/sha256:" + hexOf("only")
	if got := w.do(http.MethodGet, path).Header().Get("Location"); got != path+"?signed" {
		t.Errorf("location %q", got)
	}
}
