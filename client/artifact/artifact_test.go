package artifact_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/client/artifact"
	"github.com/ingot-ml/ingot/openapi"
)

const (
	mediaManifest = "application/vnd.oci.image.manifest.v1+json"
	mediaIndex    = "application/vnd.oci.image.index.v1+json"
	title         = "org.opencontainers.image.title"
	rawWeight     = "application/vnd.cncf.model.weight.v1.raw"
	tarWeight     = "application/vnd.cncf.model.weight.v1.tar"
)

// registry is an OCI registry in memory that can be made to fail.
type registry struct {
	*httptest.Server
	blobs     map[string][]byte
	manifests map[string][]byte // by tag and digest
	// front is asked about every request first; true means that it has answered.
	front func(w http.ResponseWriter, r *http.Request) bool
	sent  atomic.Int64 // bytes of blobs
}

func newRegistry(t *testing.T) *registry {
	t.Helper()
	r := &registry{blobs: map[string][]byte{}, manifests: map[string][]byte{}}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

func (r *registry) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	if r.front != nil && r.front(w, q) {
		return
	}
	what, name, _ := strings.Cut(strings.TrimPrefix(q.URL.Path, "/v2/acme/tiny/"), "/")
	from := r.blobs
	w.Header().Set("Content-Type", "application/octet-stream")
	if what == "manifests" {
		from = r.manifests
		w.Header().Set("Content-Type", mediaManifest)
		if bytes.Contains(from[name], []byte(`"manifests"`)) {
			w.Header().Set("Content-Type", mediaIndex)
		}
	}
	b, ok := from[name]
	if !ok {
		http.Error(w, `{"errors":[{"code":"UNKNOWN"}]}`, http.StatusNotFound)
		return
	}
	if what == "manifests" {
		w.Header().Set("Docker-Content-Digest", digest(b))
	}
	http.ServeContent(&counted{w, r, what == "blobs"}, q, "", time.Time{}, bytes.NewReader(b))
}

// counted counts the bytes of blobs.
type counted struct {
	http.ResponseWriter
	*registry
	blob bool
}

func (c *counted) Write(b []byte) (int, error) {
	if c.blob {
		c.sent.Add(int64(len(b)))
	}
	return c.ResponseWriter.Write(b)
}

func (c *counted) Header() http.Header { return c.ResponseWriter.Header() }

func digest(b []byte) string {
	h := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(h[:])
}

// layer is a layer to be put into a registry.
type layer struct {
	content, media string
	annotations    map[string]string
}

// put puts an artifact of the layers into r.
func (r *registry) put(t *testing.T, tag string, layers ...layer) {
	t.Helper()
	var list []map[string]any
	for _, l := range layers {
		d := digest([]byte(l.content))
		r.blobs[d] = []byte(l.content)
		list = append(list, map[string]any{"mediaType": l.media, "digest": d, "size": len(l.content), "annotations": l.annotations})
	}
	r.putJSON(t, tag, map[string]any{"schemaVersion": 2, "mediaType": mediaManifest, "layers": list})
}

func (r *registry) putJSON(t *testing.T, tag string, doc any) (of string) {
	t.Helper()
	b, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	r.manifests[tag], r.manifests[digest(b)] = b, b
	return digest(b)
}

func (r *registry) address(tag string) string {
	return "oci://" + strings.TrimPrefix(r.URL, "http://") + "/acme/tiny:" + tag
}

func titled(path, content string) layer {
	return layer{content, rawWeight, map[string]string{title: path}}
}

// fetch fetches an artifact into dir and returns its files.
func (r *registry) fetch(t *testing.T, tag, dir string) (map[string]string, error) {
	t.Helper()
	a, err := artifact.Open(t.Context(), r.address(tag), artifact.Options{Stall: 200 * time.Millisecond})
	if err != nil {
		return nil, err
	}
	at, err := a.Fetch(t.Context(), dir)
	if err != nil {
		return nil, err
	}
	files := map[string]string{}
	err = filepath.WalkDir(at, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		rel, rerr := filepath.Rel(at, path)
		files[filepath.ToSlash(rel)] = string(b)
		return errors.Join(err, rerr)
	})
	return files, err
}

// entry is an entry of a tar.
type entry struct {
	name, content string
	kind          byte
}

func tarOf(t *testing.T, entries ...entry) string {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Size: int64(len(e.content)), Mode: 0o755, Typeflag: e.kind}
		if e.kind == tar.TypeSymlink {
			h.Linkname, h.Size = e.content, 0
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if h.Size > 0 {
			if _, err := w.Write([]byte(e.content)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func gzipOf(t *testing.T, s string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write([]byte(s))
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestFetch(t *testing.T) {
	large := strings.Repeat("weights ", 100_000)
	tree := tarOf(t, entry{"./", "", tar.TypeDir}, entry{"./sub/a", "A", tar.TypeReg}, entry{"b", "B", tar.TypeReg})
	unpacked := map[string]string{"sub/a": "A", "b": "B"}
	tests := []struct {
		name   string
		layers []layer
		want   map[string]string
	}{
		{"titles", []layer{titled("model.safetensors", large), titled("sub/config.json", "{}"), titled("empty", ""), titled("copy", large)},
			map[string]string{"model.safetensors": large, "sub/config.json": "{}", "empty": "", "copy": large}},
		{"file paths", []layer{{"x", rawWeight, map[string]string{title: "other", "org.cncf.model.filepath": "deep/er/x"}}},
			map[string]string{"deep/er/x": "x"}},
		{"oras", []layer{{"not a tar", "application/vnd.oci.image.layer.v1.tar", map[string]string{title: "a.txt"}},
			{gzipOf(t, tree), "application/vnd.oci.image.layer.v1.tar+gzip", map[string]string{title: "sub", "io.deis.oras.content.unpack": "true"}}},
			map[string]string{"a.txt": "not a tar", "sub/a": "A", "b": "B"}},
		{"model in tars", []layer{{tree, tarWeight, map[string]string{"org.cncf.model.filepath": "sub"}}}, unpacked},
		{"kitops", []layer{{gzipOf(t, tree), "application/vnd.kitops.modelkit.model.v1.tar+gzip", nil}}, unpacked},
		{"ollama", []layer{{"GGUF", "application/vnd.ollama.image.model", nil}, {"l1", "application/vnd.ollama.image.license", nil},
			{"l2", "application/vnd.ollama.image.license", nil}, {"{{ .Prompt }}", "application/vnd.ollama.image.template", nil}},
			map[string]string{"model.gguf": "GGUF", "LICENSE": "l1", "LICENSE-2": "l2", "template": "{{ .Prompt }}"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRegistry(t)
			r.put(t, "v1", tt.layers...)
			got, err := r.fetch(t, "v1", t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			if len(got) != len(tt.want) {
				t.Errorf("%d files, want %d", len(got), len(tt.want))
			}
			for p, want := range tt.want {
				if got[p] != want {
					t.Errorf("%s: %.40q, want %.40q", p, got[p], want)
				}
			}
		})
	}
}

func TestIndex(t *testing.T) {
	r := newRegistry(t)
	r.put(t, "one", titled("a", "A"))
	one := map[string]any{"mediaType": mediaManifest, "digest": digest(r.manifests["one"]), "size": len(r.manifests["one"])}
	r.putJSON(t, "index", map[string]any{"schemaVersion": 2, "mediaType": mediaIndex, "manifests": []any{one}})
	r.putJSON(t, "two", map[string]any{"schemaVersion": 2, "mediaType": mediaIndex, "manifests": []any{one, one}})
	if got, err := r.fetch(t, "index", t.TempDir()); err != nil || got["a"] != "A" {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := r.fetch(t, "two", t.TempDir()); !errors.Is(err, client.ErrInput) || !strings.Contains(err.Error(), "@DIGEST") {
		t.Errorf("%v", err)
	}
}

func TestRefuses(t *testing.T) {
	var huge bytes.Buffer
	if err := tar.NewWriter(&huge).WriteHeader(&tar.Header{Name: "a", Size: 1 << 40, Typeflag: tar.TypeReg}); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		layers []layer
		says   string
	}{
		{"no layers", nil, "no layers"},
		{"an image", []layer{{"x", "application/vnd.oci.image.layer.v1.tar+gzip", nil}}, "nothing names the file"},
		{"a path that escapes", []layer{titled("../../etc/passwd", "x")}, ".."},
		{"an absolute path", []layer{titled("/etc/passwd", "x")}, "relative"},
		{"ours", []layer{titled(".ingot/lock", "x")}, ".ingot"},
		{"the same path twice", []layer{titled("a", "x"), titled("A", "y")}, "A"},
		{"zstd", []layer{{"x", "application/vnd.cncf.model.weight.v1.tar+zstd", nil}}, "zstd"},
		{"no tar", []layer{{strings.Repeat("x", 600), tarWeight, nil}}, "tar"},
		{"no gzip", []layer{{"x", "application/vnd.cncf.model.weight.v1.tar+gzip", nil}}, ""},
		{"tar that escapes", []layer{{tarOf(t, entry{"../x", "x", tar.TypeReg}), tarWeight, nil}}, ".."},
		{"tar with a link", []layer{{tarOf(t, entry{"x", "/etc/passwd", tar.TypeSymlink}), tarWeight, nil}}, "neither a file nor a folder"},
		{"bomb", []layer{{huge.String(), tarWeight, nil}}, "more than a layer of this size"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRegistry(t)
			r.put(t, "v1", tt.layers...)
			dir := filepath.Join(t.TempDir(), "a", "b", "c")
			_, err := r.fetch(t, "v1", dir)
			if !errors.Is(err, client.ErrInput) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%v, want ErrInput and %q", err, tt.says)
			}
		})
	}
}

func TestAddresses(t *testing.T) {
	for _, address := range []string{"", "oci://", "oci://host", "http://host/repo", "oci://host/UPPER:tag", "oci://host/repo:t a g"} {
		if _, err := artifact.Open(t.Context(), address, artifact.Options{}); !errors.Is(err, client.ErrInput) {
			t.Errorf("%q: %v", address, err)
		}
	}
}

func TestFailures(t *testing.T) {
	r := newRegistry(t)
	r.put(t, "v1", titled("a", "A"))
	if _, err := r.fetch(t, "nothing", t.TempDir()); !errors.Is(err, &openapi.Error{Code: openapi.CodeNotFound}) {
		t.Errorf("unknown tag: %v", err)
	}
	for status, code := range map[int]openapi.Code{401: openapi.CodeUnauthorized, 403: openapi.CodeForbidden} {
		r.front = func(w http.ResponseWriter, _ *http.Request) bool {
			http.Error(w, `{"errors":[{"code":"DENIED","message":"not you"}]}`, status)
			return true
		}
		if _, err := r.fetch(t, "v1", t.TempDir()); !errors.Is(err, &openapi.Error{Code: code}) {
			t.Errorf("%d: %v", status, err)
		}
	}
	r.front = nil
	r.blobs[digest([]byte("A"))] = []byte("B")
	if _, err := r.fetch(t, "v1", t.TempDir()); !errors.Is(err, client.ErrCorrupt) {
		t.Errorf("other bytes: %v", err)
	}
	r.Close()
	if _, err := r.fetch(t, "v1", t.TempDir()); !errors.Is(err, client.ErrUnreachable) {
		t.Errorf("nobody there: %v", err)
	}
}

// cutOff sends only the first n bytes of each blob that is asked for from its start on.
func cutOff(r *registry, n int, from string) {
	r.front = func(w http.ResponseWriter, q *http.Request) bool {
		_, name, blob := strings.Cut(q.URL.Path, "/blobs/")
		if !blob || q.Header.Get("Range") != from {
			return false
		}
		b := r.blobs[name]
		w.Header().Set("Accept-Ranges", "bytes")
		w.Header().Set("Content-Length", fmt.Sprint(len(b)))
		_, _ = w.Write(b[:n])
		r.sent.Add(int64(n))
		panic(http.ErrAbortHandler)
	}
}

// TestGoesOn breaks connections off: what came is not asked for again, in the same
// Fetch and in the next.
func TestGoesOn(t *testing.T) {
	large := strings.Repeat("0123456789abcdef", 64<<10)
	r := newRegistry(t)
	r.put(t, "v1", titled("a", large))
	cutOff(r, len(large)/2, "")
	dir := t.TempDir()
	got, err := r.fetch(t, "v1", dir)
	if err != nil || got["a"] != large {
		t.Fatalf("%d bytes, %v", len(got["a"]), err)
	}
	if n := r.sent.Swap(0); n > int64(len(large))*5/4+1<<20 {
		t.Errorf("%d bytes were sent for %d", n, len(large))
	}
	r.front = nil
	if got, err = r.fetch(t, "v1", dir); err != nil || got["a"] != large || r.sent.Load() != 0 {
		t.Errorf("what was there was sent again: %d bytes, %v", r.sent.Load(), err)
	}
	// A file that is not right any more is made anew.
	if err := os.WriteFile(filepath.Join(dir, "files", "a"), []byte(strings.ToUpper(large)), 0o666); err != nil {
		t.Fatal(err)
	}
	if got, err = r.fetch(t, "v1", dir); err != nil || got["a"] != large {
		t.Errorf("a changed file: %v", err)
	}
}

// TestStalls: a registry that sends nothing any more is given up.
func TestStalls(t *testing.T) {
	r := newRegistry(t)
	r.put(t, "v1", titled("a", strings.Repeat("a", 1000)))
	r.front = func(w http.ResponseWriter, q *http.Request) bool {
		if !strings.Contains(q.URL.Path, "/blobs/") {
			return false
		}
		w.Header().Set("Content-Length", "1000")
		_, _ = w.Write([]byte("a"))
		w.(http.Flusher).Flush()
		<-q.Context().Done()
		return true
	}
	if _, err := r.fetch(t, "v1", t.TempDir()); !errors.Is(err, client.ErrUnreachable) {
		t.Errorf("%v", err)
	}
}
