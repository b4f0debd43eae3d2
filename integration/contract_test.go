package integration_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/synth"
	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/manifest"
	"github.com/ingot-ml/ingot/registry/name"
)

// TestContract runs everything the API can do against a running registry. The
// transport below it compares each request and answer with registry.yaml; what
// the answers mean is compared here.
func TestContract(t *testing.T) {
	c := newContract(t)
	r := serve(t)
	s := &session{t: t, base: "http://" + r.addr, http: &http.Client{Transport: c}}
	base := newVersion(t, chunker.Digest{}, noise(1, 300<<10), noise(2, 1000), []byte("{}"))
	next := newVersion(t, base.digest, noise(1, 300<<10), noise(3, 2000), []byte("{}"))

	s.testRegistry()
	s.testPush(base, next)
	s.testTags(base, next)
	s.testReads(base, next)
	s.testHead(base)
	s.testHistory(base, next)
	s.testSignatures(base, next)
	s.testExchange()
	s.testSummaries(base, next)
	s.testMistakes(base)
	s.testClient()
	s.testNodes(base)
	s.testUpstreams()
	s.testQuotas(next)
	s.testAccess()
	s.testTokens()
	s.testRemoval(base, next)
	s.testUpkeep(next)
	s.testDeltas()
	r.kill()
	r.args = append(r.args, "--read-only")
	r.start()
	s.testReadOnly(next)
	if t.Failed() {
		return
	}
	c.checkSeen()
}

func (s *session) testRegistry() {
	s.t.Helper()
	var health openapi.Health
	if s.get(http.StatusOK, "GET", "/healthz", "", nil, &health); health.Status != "ok" || health.Version == "" {
		s.t.Errorf("health: %+v", health)
	}
	if got := s.send(http.StatusOK, "GET", "/openapi.yaml", "", nil); !bytes.Equal(got.body, openapi.Spec) {
		s.t.Error("/openapi.yaml is not the specification")
	}
	if got := s.send(http.StatusOK, "GET", "/metrics", "", nil); !bytes.Contains(got.body, []byte("\ningot_registry_requests_total{")) {
		s.t.Errorf("the metrics are %.300q", got.body)
	}
	// The client follows where the root leads.
	if got := s.send(http.StatusOK, "GET", "/", "", nil); !bytes.Equal(got.body, openapi.Page) {
		s.t.Error("the root does not lead to the page of the API")
	}
	for _, path := range []string{"/openapi.yaml", "/docs"} {
		tag := s.send(http.StatusOK, "GET", path, "", nil).Header.Get("ETag")
		same := s.do(s.t.Context(), "GET", path, "", nil, http.Header{"If-None-Match": {tag}})
		if same.StatusCode != http.StatusNotModified || len(same.body) > 0 {
			s.t.Errorf("%s, which the caller has: status %d, %d bytes", path, same.StatusCode, len(same.body))
		}
	}
}

// testPush pushes both versions, and every step twice.
func (s *session) testPush(base, next version) {
	s.t.Helper()
	push := s.start()
	if got := s.missing(push, base); !bytes.Equal(got, []byte{0b111}) {
		s.t.Errorf("missing before the upload: %08b", got)
	}
	s.fails(openapi.CodeMissingChunks, "POST", push+"/commit", openapi.MediaManifest, base.doc)
	large := base.chunks[0]
	for i, want := range []int{http.StatusCreated, http.StatusOK} {
		var got openapi.Received
		s.get(want, "PUT", push+"/chunks/"+large.Digest.String(), openapi.MediaChunk, base.encoded[large.Digest], &got)
		if got.Chunks != 1 || got.New != 1-i {
			s.t.Errorf("upload %d of a chunk: %+v", i, got)
		}
		s.get(http.StatusOK, "POST", push+"/chunks", openapi.MediaChunks, base.frames(base.chunks[1:]...), &got)
		if got.Chunks != 2 || got.New != 2-2*i {
			s.t.Errorf("upload %d of a batch: %+v", i, got)
		}
	}
	if got := s.missing(push, base); !bytes.Equal(got, []byte{0}) {
		s.t.Errorf("missing after the upload: %08b", got)
	}
	s.commit(push+"/commit?tag=main&expect=none", base)
	var state openapi.Push
	if s.get(http.StatusOK, "GET", push, "", nil, &state); state.State != openapi.PushDone || state.Repo != "acme/llama" || state.Parallel < 1 {
		s.t.Errorf("the push after its commit: %+v", state)
	}
	s.fails(openapi.CodePushClosed, "PUT", push+"/chunks/"+large.Digest.String(), openapi.MediaChunk, base.encoded[large.Digest])
	s.fails(openapi.CodePushClosed, "POST", push+"/chunks", openapi.MediaChunks, base.frames(large))
	s.fails(openapi.CodePushClosed, "POST", push+"/missing", openapi.MediaDigests, base.digests())
	s.fails(openapi.CodePushClosed, "POST", push+"/commit", openapi.MediaManifest, next.doc)

	again := s.start()
	var done openapi.Committed
	if got := s.missing(again, base); !bytes.Equal(got, []byte{0}) {
		s.t.Errorf("missing of a version that is there: %08b", got)
	}
	if s.get(http.StatusOK, "POST", again+"/commit", openapi.MediaManifest, base.doc, &done); done.Created || done.Tag != nil {
		s.t.Errorf("commit of a version that is there: %+v", done)
	}
	s.pushNext(next)
}

// pushNext uploads only what next has and its parent has not.
func (s *session) pushNext(next version) {
	s.t.Helper()
	push := s.start()
	if got := s.missing(push, next); !bytes.Equal(got, []byte{0b010}) {
		s.t.Errorf("missing beside the parent: %08b", got)
	}
	s.send(http.StatusOK, "POST", push+"/chunks", openapi.MediaChunks, next.frames(next.chunks[1]))
	s.fails(openapi.CodeTagMoved, "POST", push+"/commit?tag=main&expect=none", openapi.MediaManifest, next.doc)
	s.send(http.StatusCreated, "POST", push+"/commit?tag=next&expect=", openapi.MediaManifest, next.doc)
}

// start starts a push and returns its path.
func (s *session) start() string {
	s.t.Helper()
	var push openapi.Push
	s.get(http.StatusCreated, "POST", repoURL+"/pushes", "", nil, &push)
	if push.State != openapi.PushOpen || push.Repo != "acme/llama" || push.Parallel < 1 || push.Expires.IsZero() {
		s.t.Errorf("new push: %+v", push)
	}
	return "/v1/pushes/" + push.ID
}

func (s *session) missing(push string, v version) []byte {
	s.t.Helper()
	return s.send(http.StatusOK, "POST", push+"/missing", openapi.MediaDigests, v.digests()).body
}

// commit commits v for the first time.
func (s *session) commit(path string, v version) {
	s.t.Helper()
	var done openapi.Committed
	s.get(http.StatusCreated, "POST", path, openapi.MediaManifest, v.doc, &done)
	if done.Digest != v.digest || !done.Created || done.Tag == nil || done.Tag.Digest != v.digest {
		s.t.Errorf("commit: %+v", done)
	}
}

func (s *session) testTags(base, next version) {
	s.t.Helper()
	set := func(d chunker.Digest, expect string) []byte {
		b, err := json.Marshal(openapi.SetTag{Digest: d, Expect: expect})
		if err != nil {
			s.t.Fatal(err)
		}
		return b
	}
	var tag openapi.Tag
	s.get(http.StatusOK, "PUT", repoURL+"/tags/prod", mediaJSON, set(base.digest, openapi.ExpectNone), &tag)
	s.fails(openapi.CodeTagMoved, "PUT", repoURL+"/tags/prod", mediaJSON, set(next.digest, openapi.ExpectNone))
	s.get(http.StatusOK, "PUT", repoURL+"/tags/prod", mediaJSON, set(next.digest, base.digest.String()), &tag)
	if s.get(http.StatusOK, "GET", repoURL+"/tags/prod", "", nil, &tag); tag.Digest != next.digest || tag.Name != "prod" || tag.By == "" {
		s.t.Errorf("the tag that was moved: %+v", tag)
	}
	s.fails(openapi.CodeNotFound, "PUT", repoURL+"/tags/prod", mediaJSON, set(chunker.Sum([]byte("nothing")), ""))
	s.fails(openapi.CodeTagMoved, "DELETE", repoURL+"/tags/prod?expect="+base.digest.String(), "", nil)

	var names []string
	for after := ""; ; {
		var page openapi.TagList
		s.get(http.StatusOK, "GET", repoURL+"/tags?limit=1&after="+after, "", nil, &page)
		for _, tag := range page.Tags {
			names = append(names, tag.Name)
		}
		if after = page.Next; after == "" {
			break
		}
	}
	if got := strings.Join(names, " "); got != "main next prod" {
		s.t.Errorf("tags, page by page: %s", got)
	}
}

func (s *session) testReads(base, next version) {
	s.t.Helper()
	var view manifest.View
	if s.get(http.StatusOK, "GET", next.url(), "", nil, &view); view.Digest != next.digest.String() || view.Parent != base.digest.String() {
		s.t.Errorf("view of a version: %+v", view)
	}
	doc := s.do(s.t.Context(), "GET", next.url(), "", nil, http.Header{"Accept": {openapi.MediaManifest}})
	if !bytes.Equal(doc.body, next.doc) || doc.Header.Get("Content-Type") != openapi.MediaManifest {
		s.t.Errorf("manifest of %d bytes, %s", len(doc.body), doc.Header.Get("Content-Type"))
	}
	s.testChunks(next)

	var hashes openapi.FileHashes
	if s.get(http.StatusOK, "GET", next.url()+"/sha256", "", nil, &hashes); len(hashes.Files) != 3 ||
		hashes.Files[2].SHA256 != "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a" { // of {}
		s.t.Errorf("sha256 of files: %+v", hashes)
	}
	var diff openapi.Diff
	s.get(http.StatusOK, "GET", "/v1/diff?a=acme/llama:main&b=acme/llama@"+next.digest.String(), "", nil, &diff)
	if diff.ChunksShared != 2 || diff.ChunksNew != 1 || diff.BytesNew != 2000 || len(diff.Files.Changed) != 1 || diff.Files.Same != 2 {
		s.t.Errorf("diff: %+v", diff)
	}
	var versions openapi.VersionList
	if s.get(http.StatusOK, "GET", repoURL+"/versions", "", nil, &versions); len(versions.Versions) != 2 {
		s.t.Errorf("versions: %+v", versions)
	}
	var repos openapi.RepoList
	if s.get(http.StatusOK, "GET", "/v1/repos?namespace=acme", "", nil, &repos); len(repos.Repos) != 1 || repos.Repos[0].Name != "acme/llama" {
		s.t.Errorf("repositories: %+v", repos)
	}
	var all, other openapi.Stats
	s.get(http.StatusOK, "GET", "/v1/stats", "", nil, &all)
	s.get(http.StatusOK, "GET", "/v1/stats?namespace=other", "", nil, &other)
	if all.Versions != 2 || all.Tags != 3 || all.Stored == 0 || len(all.Namespaces) != 1 || other.Versions != 0 || len(other.Namespaces) != 0 {
		s.t.Errorf("stats: %+v, of a namespace that is not there: %+v", all, other)
	}
}

func (s *session) testChunks(v version) {
	s.t.Helper()
	large := v.chunks[0].Digest
	one := s.send(http.StatusOK, "GET", v.url()+"/chunks/0", "", nil)
	if !bytes.Equal(one.body, v.encoded[large]) || one.Header.Get("Ingot-Chunk") != large.String() ||
		!strings.Contains(one.Header.Get("Cache-Control"), "immutable") {
		s.t.Errorf("chunk 0: %d bytes, header %v", len(one.body), one.Header)
	}
	same := s.do(s.t.Context(), "GET", v.url()+"/chunks/0", "", nil, http.Header{"If-None-Match": {one.Header.Get("ETag")}})
	if same.StatusCode != http.StatusNotModified || len(same.body) > 0 {
		s.t.Errorf("a chunk that the caller has: status %d, %d bytes", same.StatusCode, len(same.body))
	}
	order := []chunker.Ref{v.chunks[2], v.chunks[0], v.chunks[1], v.chunks[2]}
	batch := s.send(http.StatusOK, "GET", v.url()+"/chunks?i=2,0-1,2", "", nil)
	if want := v.frames(order...); !bytes.Equal(batch.body, want) || batch.ContentLength != int64(len(want)) {
		s.t.Errorf("batch of %d bytes, want %d", len(batch.body), len(want))
	}
}

// testHead asks without the contract, which has no HEAD of its own.
func (s *session) testHead(v version) {
	s.t.Helper()
	for _, path := range []string{"/healthz", v.url(), v.url() + "/chunks/0", v.url() + "/chunks?i=0-2"} {
		get := s.send(http.StatusOK, "GET", path, "", nil)
		head, err := http.Head(s.base + path)
		if err != nil {
			s.t.Fatal(err)
		}
		head.Body.Close()
		if head.StatusCode != http.StatusOK || head.ContentLength != int64(len(get.body)) {
			s.t.Errorf("HEAD %s: status %d, length %d, GET has %d", path, head.StatusCode, head.ContentLength, len(get.body))
		}
	}
}

// testClient runs the client over the same transport: it has to keep the contract
// too.
func (s *session) testClient() {
	s.t.Helper()
	r, err := client.New(s.base, client.Options{HTTP: s.http})
	if err != nil {
		s.t.Fatal(err)
	}
	defer r.Close()
	dir, copied := filepath.Join(s.t.TempDir(), "model"), filepath.Join(s.t.TempDir(), "copy")
	if err := synth.Write(s.t.Context(), dir, synth.ForSize(4<<20)); err != nil {
		s.t.Fatal(err)
	}
	ref := name.Ref{Repo: name.Repo{Namespace: "acme", Name: "synthetic"}, Tag: "main"}
	_, pushed := r.Push(s.t.Context(), dir, ref, client.PushOptions{})
	_, pulled := r.Pull(s.t.Context(), ref, copied, client.PullOptions{})
	_, verified := r.Verify(s.t.Context(), ref, client.VerifyOptions{})
	if err := errors.Join(pushed, pulled, verified); err != nil {
		s.t.Fatal(err)
	}
	compareTrees(s.t, copied, dir)
}

func (s *session) testRemoval(base, next version) {
	s.t.Helper()
	s.fails(openapi.CodeConflict, "DELETE", base.url(), "", nil)
	s.send(http.StatusNoContent, "DELETE", repoURL+"/tags/main?expect="+base.digest.String(), "", nil)
	s.fails(openapi.CodeNotFound, "GET", repoURL+"/tags/main", "", nil)
	s.fails(openapi.CodeNotFound, "DELETE", repoURL+"/tags/main", "", nil)
	s.send(http.StatusNoContent, "DELETE", base.url(), "", nil)
	for _, path := range []string{"", "/chunks/0", "/chunks?i=0", "/sha256"} {
		s.fails(openapi.CodeNotFound, "GET", base.url()+path, "", nil)
	}
	s.fails(openapi.CodeNotFound, "DELETE", base.url(), "", nil)
	if got := s.send(http.StatusOK, "GET", next.url()+"/chunks/0", "", nil); !bytes.Equal(got.body, next.encoded[next.chunks[0].Digest]) {
		s.t.Error("a chunk that the retired version shared is another now")
	}
}
