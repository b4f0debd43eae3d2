package registry_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/codec"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry"
	"github.com/ingot-ml/ingot/registry/manifest"
)

// served is a registry in a new folder, and the requests a test sends it.
type served struct {
	t   *testing.T
	url string
}

func newServed(t *testing.T, c registry.Config) *served {
	t.Helper()
	c.Data = t.TempDir()
	r, err := registry.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(r.Handler())
	t.Cleanup(func() {
		server.Close()
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return &served{t, server.URL}
}

// send sends a request; body is of the media type, Accept is accept.
func (s *served) send(method, path, accept, media string, body []byte) (*http.Response, []byte) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, bytes.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if media != "" {
		req.Header.Set("Content-Type", media)
	}
	req.Header.Set("Accept", accept)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp, answer
}

// want sends a request that has to be answered with that status, and returns the
// body.
func (s *served) want(status int, method, path, media string, body []byte) []byte {
	s.t.Helper()
	resp, answer := s.send(method, path, "", media, body)
	if resp.StatusCode != status {
		s.t.Fatalf("%s %s: status %d, want %d: %.300s", method, path, resp.StatusCode, status, answer)
	}
	return answer
}

// refused sends a request that has to fail with that code.
func (s *served) refused(code openapi.Code, method, path, media string, body []byte) {
	s.t.Helper()
	_ = s.failure(code, method, path, media, body) // it has the test fail itself
}

// failure is refused for who looks at more of the error than its code.
func (s *served) failure(code openapi.Code, method, path, media string, body []byte) *openapi.Error {
	s.t.Helper()
	var doc openapi.ErrorBody
	resp, answer := s.send(method, path, "", media, body)
	if err := json.Unmarshal(answer, &doc); err != nil || doc.Error == nil {
		s.t.Fatalf("%s %s: status %d, %.300s: want %s", method, path, resp.StatusCode, answer, code)
	}
	if doc.Error.Code != code || resp.StatusCode != code.Status() {
		s.t.Errorf("%s %s: status %d, %s: %s: want %s", method, path, resp.StatusCode, doc.Error.Code, doc.Error.Message, code)
	}
	return doc.Error
}

func decode[T any](t *testing.T, b []byte) (v T) {
	t.Helper()
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatalf("%.300s: %v", b, err)
	}
	return v
}

// model is a version of one file, made of these plain chunks.
type model struct {
	chunks [][]byte
	doc    []byte
	digest chunker.Digest
}

func newModel(t *testing.T, chunks ...string) model {
	t.Helper()
	var m model
	var refs []chunker.Ref
	size := 0
	for _, c := range chunks {
		m.chunks = append(m.chunks, []byte(c))
		refs = append(refs, chunker.Ref{Digest: chunker.Sum([]byte(c)), Size: uint32(len(c))})
		size += len(c)
	}
	b := manifest.NewBuilder()
	b.Add(manifest.File{Path: "weights.bin", Size: uint64(size), Format: "opaque"}, refs)
	built, err := b.Build(chunker.Digest{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if m.doc, err = built.Encode(); err != nil {
		t.Fatal(err)
	}
	m.digest = manifest.Name(m.doc)
	return m
}

func (m model) digests() []byte {
	var b []byte
	for _, c := range m.chunks {
		d := chunker.Sum(c)
		b = append(b, d[:]...)
	}
	return b
}

func encode(plain []byte) []byte { return codec.Append(nil, plain, chunker.Opaque) }

func (m model) batch() []byte {
	var b []byte
	for _, c := range m.chunks {
		b = openapi.AppendFrame(b, chunker.Sum(c), encode(c))
	}
	return b
}

const (
	repoPath  = "/v1/repos/acme/llama"
	mediaJSON = "application/json"
)

func (s *served) startPush() string {
	s.t.Helper()
	p := decode[openapi.Push](s.t, s.want(http.StatusCreated, "POST", repoPath+"/pushes", "", nil))
	if p.Repo != "acme/llama" || p.State != openapi.PushOpen || p.Parallel < 1 || p.Expires.IsZero() {
		s.t.Errorf("push %+v", p)
	}
	return "/v1/pushes/" + p.ID
}

// push makes a version, with a tag unless that is empty.
func (s *served) push(m model, tag string) {
	s.t.Helper()
	push := s.startPush()
	s.want(http.StatusOK, "POST", push+"/chunks", openapi.MediaChunks, m.batch())
	s.want(http.StatusCreated, "POST", push+"/commit?tag="+tag, openapi.MediaManifest, m.doc)
}

func TestPush(t *testing.T) {
	s, m := newServed(t, registry.Config{}), newModel(t, "first chunk", "second chunk")
	push := s.startPush()
	first := push + "/chunks/" + chunker.Sum(m.chunks[0]).String()

	if got := s.want(http.StatusOK, "POST", push+"/missing", openapi.MediaDigests, m.digests()); !bytes.Equal(got, []byte{0b11}) {
		t.Errorf("missing %b, want all", got)
	}
	e := s.failure(openapi.CodeMissingChunks, "POST", push+"/commit", openapi.MediaManifest, m.doc)
	if !slices.Equal(e.Missing, []uint32{0, 1}) {
		t.Errorf("missing %v, want 0 and 1", e.Missing)
	}
	s.refused(openapi.CodeBadChunk, "PUT", first, openapi.MediaChunk, encode(m.chunks[1]))
	s.refused(openapi.CodeBadChunk, "PUT", first, openapi.MediaChunk, []byte("never encoded"))
	damaged := m.batch()
	damaged[len(damaged)-1] ^= 1
	s.refused(openapi.CodeBadChunk, "POST", push+"/chunks", openapi.MediaChunks, damaged)

	s.want(http.StatusCreated, "PUT", first, openapi.MediaChunk, encode(m.chunks[0]))
	if r := decode[openapi.Received](t, s.want(http.StatusOK, "PUT", first, openapi.MediaChunk, encode(m.chunks[0]))); r.New != 0 || r.Stored != 0 {
		t.Errorf("the same chunk again: %+v", r)
	}
	if r := decode[openapi.Received](t, s.want(http.StatusOK, "POST", push+"/chunks", openapi.MediaChunks, m.batch())); r.Chunks != 2 || r.New != 1 || r.Stored == 0 {
		t.Errorf("one new chunk of two: %+v", r)
	}
	if got := s.want(http.StatusOK, "POST", push+"/missing", openapi.MediaDigests, m.digests()); !bytes.Equal(got, []byte{0}) {
		t.Errorf("missing %b, want none", got)
	}
	s.refused(openapi.CodeBadManifest, "POST", push+"/commit", openapi.MediaManifest, []byte("no manifest"))

	c := decode[openapi.Committed](t, s.want(http.StatusCreated, "POST", push+"/commit?tag=main&expect=none", openapi.MediaManifest, m.doc))
	if !c.Created || c.Digest != m.digest || c.Tag == nil || c.Tag.Name != "main" || c.Tag.Digest != m.digest {
		t.Errorf("committed %+v", c)
	}
	if p := decode[openapi.Push](t, s.want(http.StatusOK, "GET", push, "", nil)); p.State != openapi.PushDone {
		t.Errorf("push is %s after its commit", p.State)
	}
	s.refused(openapi.CodePushClosed, "POST", push+"/chunks", openapi.MediaChunks, m.batch())

	// Another push of the same version finds everything there.
	push = s.startPush()
	if got := s.want(http.StatusOK, "POST", push+"/missing", openapi.MediaDigests, m.digests()); !bytes.Equal(got, []byte{0}) {
		t.Errorf("missing %b of a version that is there", got)
	}
	// The tag is where it is to go, which may be this request's own doing.
	s.want(http.StatusOK, "POST", push+"/commit?tag=main&expect=none", openapi.MediaManifest, m.doc)
	if c := decode[openapi.Committed](t, s.want(http.StatusOK, "POST", push+"/commit", openapi.MediaManifest, m.doc)); c.Created || c.Tag != nil {
		t.Errorf("committed again %+v", c)
	}
}

func TestPull(t *testing.T) {
	s, m := newServed(t, registry.Config{}), newModel(t, "first chunk", "second chunk")
	s.push(m, "main")
	version := repoPath + "/versions/" + m.digest.String()

	resp, doc := s.send("GET", version, openapi.MediaManifest, "", nil)
	if !bytes.Equal(doc, m.doc) || resp.Header.Get("Content-Type") != openapi.MediaManifest {
		t.Errorf("manifest is %d bytes of %s", len(doc), resp.Header.Get("Content-Type"))
	}
	if v := decode[manifest.View](t, s.want(http.StatusOK, "GET", version, "", nil)); v.Digest != m.digest.String() || len(v.Files) != 1 || v.Chunks != 2 {
		t.Errorf("view %+v", v)
	}
	for i, plain := range m.chunks {
		got, err := codec.Decode(nil, s.want(http.StatusOK, "GET", fmt.Sprintf("%s/chunks/%d", version, i), "", nil))
		if err != nil || !bytes.Equal(got, plain) {
			t.Errorf("chunk %d: %q, %v", i, got, err)
		}
	}
	frames := openapi.NewFrameReader(bytes.NewReader(s.want(http.StatusOK, "GET", version+"/chunks?i=1,0-1", "", nil)), 1<<10)
	for _, i := range []int{1, 0, 1} {
		d, enc, err := frames.Next(nil)
		plain, badCode := codec.Decode(nil, enc)
		if err != nil || badCode != nil || d != chunker.Sum(m.chunks[i]) || !bytes.Equal(plain, m.chunks[i]) {
			t.Errorf("frame of chunk %d: %s %q, %v, %v", i, d.Short(), plain, err, badCode)
		}
	}
	for _, path := range []string{version, version + "/chunks/0", version + "/chunks?i=0", repoPath + "/tags/main", "/healthz"} {
		head, body := s.send("HEAD", path, "", "", nil)
		get, whole := s.send("GET", path, "", "", nil)
		if head.StatusCode != http.StatusOK || len(body) != 0 || head.ContentLength != int64(len(whole)) || get.ContentLength != head.ContentLength {
			t.Errorf("HEAD %s: status %d, length %d, GET has %d", path, head.StatusCode, head.ContentLength, len(whole))
		}
	}
	hashes := decode[openapi.FileHashes](t, s.want(http.StatusOK, "GET", version+"/sha256", "", nil))
	if len(hashes.Files) != 1 || hashes.Files[0].Path != "weights.bin" || len(hashes.Files[0].SHA256) != 64 {
		t.Errorf("hashes %+v", hashes)
	}
	if got := s.want(http.StatusOK, "GET", "/openapi.yaml", "", nil); !bytes.Equal(got, openapi.Spec) {
		t.Errorf("specification of %d bytes, want %d", len(got), len(openapi.Spec))
	}
}

func TestListsAndDiff(t *testing.T) {
	s := newServed(t, registry.Config{})
	a, b := newModel(t, "shared", "of the first"), newModel(t, "shared", "of the second")
	s.push(a, "a")
	s.push(b, "b")

	repos := decode[openapi.RepoList](t, s.want(http.StatusOK, "GET", "/v1/repos?namespace=acme", "", nil))
	if !slices.Equal(repos.Repos, []openapi.RepoInfo{{Name: "acme/llama", Tags: 2, Versions: 2}}) {
		t.Errorf("repositories %+v", repos)
	}
	if other := s.want(http.StatusOK, "GET", "/v1/repos?namespace=other", "", nil); !strings.Contains(string(other), `"repos":[]`) {
		t.Errorf("no repositories are %s", other)
	}
	page := decode[openapi.TagList](t, s.want(http.StatusOK, "GET", repoPath+"/tags?limit=1", "", nil))
	if len(page.Tags) != 1 || page.Tags[0].Name != "a" || page.Next == "" {
		t.Errorf("first page of tags %+v", page)
	}
	page = decode[openapi.TagList](t, s.want(http.StatusOK, "GET", repoPath+"/tags?limit=1&after="+page.Next, "", nil))
	if len(page.Tags) != 1 || page.Tags[0].Digest != b.digest {
		t.Errorf("second page of tags %+v", page)
	}
	if v := decode[openapi.VersionList](t, s.want(http.StatusOK, "GET", repoPath+"/versions", "", nil)); len(v.Versions) != 2 || v.Versions[0].Chunks != 2 {
		t.Errorf("versions %+v", v)
	}
	if st := decode[openapi.Stats](t, s.want(http.StatusOK, "GET", "/v1/stats", "", nil)); st.Repos != 1 || st.Tags != 2 || st.Versions != 2 || st.Stored == 0 {
		t.Errorf("stats %+v", st)
	}
	d := decode[openapi.Diff](t, s.want(http.StatusOK, "GET", "/v1/diff?a=acme/llama:a&b=acme/llama@"+b.digest.String(), "", nil))
	if d.ChunksShared != 1 || d.ChunksNew != 1 || len(d.Files.Changed) != 1 {
		t.Errorf("diff %+v", d)
	}
	s.refused(openapi.CodeNotFound, "GET", "/v1/diff?a=acme/llama:a&b=acme/llama:nowhere", "", nil)
}

func TestTagsAndRetirement(t *testing.T) {
	s := newServed(t, registry.Config{})
	a, b := newModel(t, "of the first"), newModel(t, "of the second")
	s.push(a, "main")
	s.push(b, "")
	tag, version := repoPath+"/tags/main", repoPath+"/versions/"+a.digest.String()
	set := func(m model, expect string) []byte {
		return fmt.Appendf(nil, `{"digest":%q,"expect":%q,"of another release":1}`, m.digest, expect)
	}

	s.refused(openapi.CodeTagMoved, "POST", s.startPush()+"/commit?tag=main&expect=none", openapi.MediaManifest, b.doc)
	s.refused(openapi.CodeTagMoved, "PUT", tag, mediaJSON, set(b, "none"))
	s.refused(openapi.CodeTagMoved, "PUT", tag, mediaJSON, set(b, b.digest.String()))
	s.refused(openapi.CodeNotFound, "PUT", tag, mediaJSON, set(newModel(t, "never pushed"), ""))
	if moved := decode[openapi.Tag](t, s.want(http.StatusOK, "PUT", tag, mediaJSON, set(b, a.digest.String()))); moved.Digest != b.digest || moved.Name != "main" {
		t.Errorf("moved to %+v", moved)
	}
	s.want(http.StatusOK, "PUT", tag, mediaJSON, set(a, ""))
	s.want(http.StatusOK, "PUT", repoPath+"/tags/new", mediaJSON, set(a, "none"))

	s.refused(openapi.CodeConflict, "DELETE", version, "", nil)
	s.refused(openapi.CodeTagMoved, "DELETE", tag+"?expect="+b.digest.String(), "", nil)
	s.want(http.StatusNoContent, "DELETE", tag+"?expect="+a.digest.String(), "", nil)
	s.refused(openapi.CodeNotFound, "GET", tag, "", nil)
	s.want(http.StatusNoContent, "DELETE", repoPath+"/tags/new", "", nil)
	s.want(http.StatusNoContent, "DELETE", version, "", nil)
	for _, below := range []string{"", "/chunks/0", "/chunks?i=0", "/sha256"} {
		s.refused(openapi.CodeNotFound, "GET", version+below, "", nil)
	}
	s.refused(openapi.CodeNotFound, "PUT", tag, mediaJSON, set(a, ""))
}

// TestNothingThere asks an empty registry for everything that can be absent.
func TestNothingThere(t *testing.T) {
	s, m := newServed(t, registry.Config{}), newModel(t, "never pushed")
	version, push := repoPath+"/versions/"+m.digest.String(), "/v1/pushes/00000000000000000000"
	for _, path := range []string{
		version, version + "/chunks/0", version + "/chunks?i=0-3", version + "/sha256",
		repoPath + "/versions", repoPath + "/tags", repoPath + "/tags/main", push,
		"/v1/diff?a=acme/llama&b=acme/llama",
	} {
		s.refused(openapi.CodeNotFound, "GET", path, "", nil)
	}
	s.refused(openapi.CodeNotFound, "DELETE", version, "", nil)
	s.refused(openapi.CodeNotFound, "DELETE", repoPath+"/tags/main", "", nil)
	s.refused(openapi.CodeNotFound, "POST", push+"/missing", openapi.MediaDigests, m.digests())
	s.refused(openapi.CodeNotFound, "POST", push+"/chunks", openapi.MediaChunks, m.batch())
	s.refused(openapi.CodeNotFound, "PUT", push+"/chunks/"+m.digest.String(), openapi.MediaChunk, encode(m.chunks[0]))
	s.refused(openapi.CodeNotFound, "POST", push+"/commit", openapi.MediaManifest, m.doc)
}

// TestFullDisk holds back more than any disk has: chunks are refused, and the
// registry goes on.
func TestFullDisk(t *testing.T) {
	s, m := newServed(t, registry.Config{Reserve: 1 << 62}), newModel(t, "no room")
	push := s.startPush()
	s.refused(openapi.CodeNoSpace, "PUT", push+"/chunks/"+chunker.Sum(m.chunks[0]).String(), openapi.MediaChunk, encode(m.chunks[0]))
	s.refused(openapi.CodeNoSpace, "POST", push+"/chunks", openapi.MediaChunks, m.batch())
	s.want(http.StatusOK, "GET", push, "", nil)
}
