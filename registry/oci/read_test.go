package oci_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/catalog"
	"github.com/ingot-ml/ingot/registry/name"
	"github.com/ingot-ml/ingot/registry/oci"
)

const (
	mediaManifest = "application/vnd.oci.image.manifest.v1+json"
	mediaDocker   = "application/vnd.docker.distribution.manifest.v2+json"
)

// manifest is what tests read of one.
type manifest struct {
	MediaType    string
	ArtifactType string
	Config       descriptor
	Layers       []descriptor
	Annotations  map[string]string
}

type descriptor struct {
	MediaType   string
	Digest      string
	Size        int64
	Annotations map[string]string
}

func parse(t *testing.T, s string) (m manifest) {
	t.Helper()
	if err := json.Unmarshal([]byte(s), &m); err != nil {
		t.Fatalf("%v: %.200s", err, s)
	}
	return m
}

func TestManifest(t *testing.T) {
	w := newWorld(t)
	rev := w.commit("acme/tiny", plain)
	got := w.do(http.MethodGet, "/v2/acme/tiny/manifests/main")
	doc := got.Body.String()
	m := parse(t, doc)
	if got.Header().Get("Content-Type") != mediaManifest || got.Header().Get("Docker-Content-Digest") != "sha256:"+hexOf(doc) {
		t.Errorf("headers %v", got.Header())
	}
	if m.ArtifactType != "application/vnd.cncf.model.manifest.v1+json" || m.Annotations["org.opencontainers.image.revision"] != rev.Commit {
		t.Errorf("manifest %+v", m)
	}
	kinds := map[string]string{
		"README.md": "doc", "config.json": "weight.config", "model.safetensors": "weight", "copy.safetensors": "weight",
		"sub/tokenizer.txt": "weight.config", "empty": "weight.config",
	}
	if len(m.Layers) != len(plain) {
		t.Fatalf("%d layers, want %d", len(m.Layers), len(plain))
	}
	for _, l := range m.Layers {
		p := l.Annotations["org.opencontainers.image.title"]
		want := descriptor{"application/vnd.cncf.model." + kinds[p] + ".v1.raw", "sha256:" + hexOf(plain[p]), int64(len(plain[p])), nil}
		if l.MediaType != want.MediaType || l.Digest != want.Digest || l.Size != want.Size || l.Annotations["org.cncf.model.filepath"] != p {
			t.Errorf("layer %+v, want %+v", l, want)
		}
		if got := w.get("/v2/acme/tiny/blobs/" + l.Digest); got != plain[p] {
			t.Errorf("%s: %d bytes, want %d", p, len(got), len(plain[p]))
		}
	}
	config := w.get("/v2/acme/tiny/blobs/" + m.Config.Digest)
	if m.Config.Digest != "sha256:"+hexOf(config) || m.Config.Size != int64(len(config)) {
		t.Errorf("config %s is not %+v", config, m.Config)
	}
	var c struct {
		Config  struct{ Format string }
		ModelFS struct{ DiffIDs []string }
	}
	if err := json.Unmarshal([]byte(config), &c); err != nil || c.Config.Format != "safetensors" || len(c.ModelFS.DiffIDs) != len(plain) {
		t.Errorf("config %s: %v", config, err)
	}
}

// TestGolden holds the digest of a manifest: it is an identity, which may not change
// from one build to the next.
func TestGolden(t *testing.T) {
	w := newWorld(t)
	w.commit("acme/tiny", plain)
	const want = "sha256:7911041f2bd860f25379ddf0a2159aebb9b4eb368a77da843602ac0914d2fde0"
	if got := w.do(http.MethodHead, "/v2/acme/tiny/manifests/main").Header().Get("Docker-Content-Digest"); got != want {
		t.Errorf("digest %s, want %s", got, want)
	}
}

// TestOldVersionsAfterARestart: digests are found in what tags and the default branch
// pointed at, by a View that has served nothing yet, and again without a search.
func TestOldVersionsAfterARestart(t *testing.T) {
	w := newWorld(t)
	w.commit("acme/tiny", map[string]string{"a.gguf": "first"})
	first := w.do(http.MethodGet, "/v2/acme/tiny/manifests/main").Header().Get("Docker-Content-Digest")
	old := w.models["acme/tiny"].refs["main"]
	w.commit("acme/tiny", map[string]string{"a.gguf": "second"})
	w.models["acme/tiny"].refs["v2"] = w.models["acme/tiny"].refs["main"]
	for range 3 {
		w.commit("acme/tiny", map[string]string{"a.gguf": "third"})
	}
	w.forget()
	got := w.do(http.MethodGet, "/v2/acme/tiny/manifests/"+first)
	if m := parse(t, got.Body.String()); got.Code != http.StatusOK || m.Annotations["org.opencontainers.image.revision"] != old {
		t.Errorf("%d %s", got.Code, got.Body)
	}
	w.forget()
	for _, content := range []string{"first", "second", "third"} {
		if got := w.get("/v2/acme/tiny/blobs/sha256:" + hexOf(content)); got != content {
			t.Errorf("got %q, want %q", got, content)
		}
	}
	opened := w.opened.Load()
	w.get("/v2/acme/tiny/blobs/sha256:" + hexOf("first"))
	if n := w.opened.Load() - opened; n != 1 {
		t.Errorf("%d files were opened for a blob that is known, want 1", n)
	}
}

// TestUnnamedVersions: whoever pinned a manifest finds it after all tags have moved on.
func TestUnnamedVersions(t *testing.T) {
	w := newWorld(t)
	w.commit("acme/tiny", map[string]string{"a": "first"})
	first := w.do(http.MethodGet, "/v2/acme/tiny/manifests/main").Header().Get("Docker-Content-Digest")
	lost := w.models["acme/tiny"].history[0]
	w.commit("acme/tiny", map[string]string{"a": "second"})
	w.models["acme/tiny"].history = w.models["acme/tiny"].history[:1]
	w.handler = oci.New(oci.Config{Source: w.memory, Commits: func(context.Context, name.Repo, int) ([]string, error) {
		return []string{lost}, nil
	}})
	w.get("/v2/acme/tiny/manifests/" + first)
	w.forget()
	if got := w.do(http.MethodGet, "/v2/acme/tiny/manifests/"+first); got.Code != http.StatusNotFound {
		t.Errorf("without a list: %d", got.Code)
	}
}

// TestRemovedVersions: a blob of a version that was removed is found in another that
// has it too, and not at all after the last has gone.
func TestRemovedVersions(t *testing.T) {
	w := newWorld(t)
	w.commit("acme/tiny", map[string]string{"a": "shared", "b": "1"})
	w.commit("acme/tiny", map[string]string{"a": "shared", "b": "2"})
	m := w.models["acme/tiny"]
	second, first := m.history[0], m.history[1]
	w.get("/v2/acme/tiny/manifests/" + first)
	w.get("/v2/acme/tiny/manifests/" + second) // the index knows the blob from here
	blob := "/v2/acme/tiny/blobs/sha256:" + hexOf("shared")
	delete(m.commits, second)
	m.refs["main"], m.history = first, m.history[1:]
	if got := w.get(blob); got != "shared" {
		t.Errorf("%q", got)
	}
	delete(m.commits, first)
	if got := w.do(http.MethodGet, blob); got.Code != http.StatusNotFound {
		t.Errorf("after the last has gone: %d", got.Code)
	}
}

func TestBlobRanges(t *testing.T) {
	w := newWorld(t)
	w.commit("acme/tiny", plain)
	content := plain["model.safetensors"]
	path := "/v2/acme/tiny/blobs/sha256:" + hexOf(content)
	tests := []struct {
		ranges string
		code   int
		want   string
	}{
		{"bytes=0-6", http.StatusPartialContent, "weights"},
		{"bytes=-7", http.StatusPartialContent, "weights"},
		{"bytes=6990-", http.StatusPartialContent, content[6990:]},
		{"bytes=7000-", http.StatusRequestedRangeNotSatisfiable, ""},
		{"bytes=0-0,2-2", http.StatusOK, content}, // several ranges are all of it
	}
	for _, tt := range tests {
		got := w.do(http.MethodGet, path, "Range", tt.ranges)
		if got.Code != tt.code || tt.want != "" && got.Body.String() != tt.want {
			t.Errorf("%s: %d, %d bytes", tt.ranges, got.Code, got.Body.Len())
		}
	}
	head := w.do(http.MethodHead, path)
	if head.Header().Get("Content-Length") != "7000" || head.Body.Len() != 0 || head.Header().Get("Docker-Content-Digest") == "" {
		t.Errorf("HEAD: %v, %d bytes", head.Header(), head.Body.Len())
	}
	if got := w.do(http.MethodGet, path, "If-None-Match", head.Header().Get("ETag")); got.Code != http.StatusNotModified {
		t.Errorf("unchanged: %d", got.Code)
	}
}

func TestFailures(t *testing.T) {
	w := newWorld(t)
	w.commit("acme/tiny", plain)
	w.commit("acme/secret", map[string]string{"a": "secret"})
	w.commit("acme/empty", nil)
	w.hidden = "acme/secret"
	absent := "sha256:" + strings.Repeat("0", 64)
	tests := []struct {
		method, path string
		status       int
		code         string
	}{
		{"GET", "/v2/acme/nothing/manifests/main", 404, "NAME_UNKNOWN"},
		{"GET", "/v2/acme/nothing/manifests/" + absent, 404, "NAME_UNKNOWN"},
		{"GET", "/v2/acme/nothing/blobs/" + absent, 404, "NAME_UNKNOWN"},
		{"GET", "/v2/acme/nothing/tags/list", 404, "NAME_UNKNOWN"},
		{"GET", "/v2/acme/nothing/referrers/" + absent, 404, "NAME_UNKNOWN"},
		{"GET", "/v2/acme/secret/manifests/main", 404, "NAME_UNKNOWN"},
		{"GET", "/v2/acme/secret/blobs/sha256:" + hexOf("secret"), 404, "NAME_UNKNOWN"},
		{"GET", "/v2/acme/tiny/manifests/nothing", 404, "MANIFEST_UNKNOWN"},
		{"GET", "/v2/acme/tiny/manifests/-odd", 404, "MANIFEST_UNKNOWN"},
		{"GET", "/v2/acme/tiny/manifests/" + absent, 404, "MANIFEST_UNKNOWN"},
		{"GET", "/v2/acme/empty/manifests/main", 404, "MANIFEST_UNKNOWN"},
		{"GET", "/v2/acme/tiny/manifests/sha512:12", 400, "DIGEST_INVALID"},
		{"GET", "/v2/acme/tiny/blobs/" + absent, 404, "BLOB_UNKNOWN"},
		{"GET", "/v2/acme/tiny/blobs/sha256:" + hexOf("secret"), 404, "BLOB_UNKNOWN"}, // of another model
		{"GET", "/v2/acme/tiny/blobs/main", 400, "DIGEST_INVALID"},
		{"GET", "/v2/acme/tiny/referrers/x", 400, "DIGEST_INVALID"},
		{"GET", "/v2/acme/tiny/tags/list?n=x", 400, "PAGINATION_NUMBER_INVALID"},
		{"GET", "/v2/acme/tiny/tags/list?n=-1", 400, "PAGINATION_NUMBER_INVALID"},
		{"GET", "/v2/-/tiny/tags/list", 400, "NAME_INVALID"},
		{"GET", "/v2/tiny/tags/list", 404, "UNSUPPORTED"},
		{"GET", "/v2/acme/tiny/tags/others", 404, "UNSUPPORTED"},
		{"POST", "/v2/acme/tiny/blobs/uploads/", 405, "UNSUPPORTED"},
		{"PUT", "/v2/acme/tiny/manifests/main", 405, "UNSUPPORTED"},
		{"DELETE", "/v2/acme/tiny/manifests/" + absent, 405, "UNSUPPORTED"},
	}
	for _, tt := range tests {
		got := w.do(tt.method, tt.path)
		if got.Code != tt.status || !strings.HasPrefix(got.Body.String(), `{"errors":[{"code":"`+tt.code+`"`) {
			t.Errorf("%s %s: %d %s, want %d %s", tt.method, tt.path, got.Code, got.Body, tt.status, tt.code)
		}
		if got.Header().Get("Location") != "" || got.Header().Get("ETag") != "" {
			t.Errorf("%s: a failure has the headers of a blob: %v", tt.path, got.Header())
		}
	}
	// Whoever may read it is not in the way of those who may not.
	r := httptest.NewRequest(http.MethodGet, "/v2/acme/secret/manifests/main", nil)
	if got := w.ask(r.WithContext(context.WithValue(r.Context(), mayRead{}, true))); got.Code != http.StatusOK {
		t.Fatalf("%d %s", got.Code, got.Body)
	}
	if got := w.do(http.MethodGet, "/v2/acme/secret/blobs/sha256:"+hexOf("secret")); got.Code != http.StatusNotFound {
		t.Errorf("a blob that somebody else may read: %d", got.Code)
	}
}

func TestFaults(t *testing.T) {
	w := newWorld(t)
	w.commit("acme/tiny", plain)
	tests := []struct {
		err     error
		status  int
		code    string
		headers []string
	}{
		{errors.New("the disk is on fire"), 500, "UNKNOWN", nil},
		{catalog.ErrGated, 403, "DENIED", nil},
		{openapi.Errorf(openapi.CodeUnauthorized, "who are you"), 401, "UNAUTHORIZED", []string{"WWW-Authenticate"}},
		{openapi.Errorf(openapi.CodeForbidden, "not you"), 403, "DENIED", nil},
		{openapi.Errorf(openapi.CodeBusy, "later"), 429, "TOOMANYREQUESTS", []string{"Retry-After"}},
		{openapi.Errorf(openapi.CodeUnavailable, "later"), 503, "UNAVAILABLE", []string{"Retry-After"}},
		{context.Canceled, 503, "UNAVAILABLE", nil},
	}
	for _, tt := range tests {
		w.broken = tt.err
		got := w.do(http.MethodGet, "/v2/acme/tiny/manifests/main")
		if got.Code != tt.status || !strings.Contains(got.Body.String(), `"`+tt.code+`"`) || strings.Contains(got.Body.String(), "fire") {
			t.Errorf("%v: %d %s", tt.err, got.Code, got.Body)
		}
		for _, h := range tt.headers {
			if got.Header().Get(h) == "" {
				t.Errorf("%v: no %s", tt.err, h)
			}
		}
	}
}

func TestTags(t *testing.T) {
	w := newWorld(t)
	w.commit("acme/tiny", plain)
	for _, tag := range []string{"b", "a", "c", "feature/odd"} {
		w.models["acme/tiny"].refs[tag] = w.models["acme/tiny"].refs["main"]
	}
	tests := []struct{ query, tags, next string }{
		{"", `["a","b","c","main"]`, ""},
		{"?n=2", `["a","b"]`, "/v2/acme/tiny/tags/list?last=b&n=2"},
		{"?n=2&last=b", `["c","main"]`, ""},
		{"?n=0", `[]`, ""},
		{"?last=bb", `["c","main"]`, ""},
		{"?last=z", `[]`, ""},
	}
	for _, tt := range tests {
		got := w.do(http.MethodGet, "/v2/acme/tiny/tags/list"+tt.query)
		if want := `{"name":"acme/tiny","tags":` + tt.tags + `}`; got.Body.String() != want {
			t.Errorf("%s: %s, want %s", tt.query, got.Body, want)
		}
		want := ""
		if tt.next != "" {
			want = "<" + tt.next + `>; rel="next"`
		}
		if link := got.Header().Get("Link"); link != want {
			t.Errorf("%s: link %q, want %q", tt.query, link, want)
		}
	}
}

func TestSmallThings(t *testing.T) {
	w := newWorld(t)
	w.commit("Acme/Tiny", plain)
	for _, path := range []string{"/v2", "/v2/"} {
		if got := w.get(path); got != "{}" {
			t.Errorf("%s: %s", path, got)
		}
	}
	got := w.do(http.MethodGet, "/v2/Acme/Tiny/referrers/sha256:"+strings.Repeat("0", 64)+"?artifactType=a")
	if got.Header().Get("OCI-Filters-Applied") != "artifactType" || !strings.Contains(got.Body.String(), `"manifests":[]`) {
		t.Errorf("referrers: %v %s", got.Header(), got.Body)
	}
	// OCI has no capital letters, and "latest" is what is asked for when nothing is.
	want := w.get("/v2/Acme/Tiny/manifests/main")
	if got := w.get("/v2/acme/tiny/manifests/latest"); got != want {
		t.Errorf("spelt small: %s", got)
	}
	w.commit("ACME/tiny", plain)
	if got := w.do(http.MethodGet, "/v2/acme/tiny/manifests/latest"); got.Code != http.StatusNotFound {
		t.Errorf("two that are spelt alike: %d", got.Code)
	}
}

// TestHashes: small files get their sha256 here, once; large ones have to wait.
func TestHashes(t *testing.T) {
	w := newWorld(t)
	rev := w.commit("acme/tiny", map[string]string{"?config.json": "{}", "?b": "b", "model.safetensors": "known"})
	m := parse(t, w.get("/v2/acme/tiny/manifests/main"))
	if m.Layers[1].Digest != "sha256:"+hexOf("{}") || m.Layers[0].Digest != "sha256:"+hexOf("b") {
		t.Errorf("layers %+v", m.Layers)
	}
	w.get("/v2/acme/tiny/blobs/" + m.Layers[0].Digest)
	if n := w.opened.Load(); n != 3 { // two to hash, one to send
		t.Errorf("%d files were opened, want 3", n)
	}
	for i := range rev.Files {
		if rev.Files[i].Path == "b" && rev.Files[i].SHA256 != "" {
			t.Error("the revision of the source was changed")
		}
	}
	// A search does not hash large files; whoever asks for their version has them hashed.
	opened := w.opened.Load()
	w.commit("acme/large", map[string]string{"?model.safetensors": "large"}).Files[0].Size = 1 << 30
	blob := "/v2/acme/large/blobs/sha256:" + hexOf("large")
	if got := w.do(http.MethodGet, blob); got.Code != http.StatusNotFound || w.opened.Load() != opened {
		t.Errorf("a search: %d, and %d files were opened", got.Code, w.opened.Load()-opened)
	}
	w.get("/v2/acme/large/manifests/main")
	if got := w.get(blob); got != "large" {
		t.Errorf("large: %q", got)
	}
}
