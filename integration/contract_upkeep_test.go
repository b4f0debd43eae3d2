package integration_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"testing"

	"github.com/ingot-ml/ingot/openapi"
)

// work asks for something whose answer is lines, and decodes the last.
func work[Line any](t *testing.T, s *session, path, ask string) (last Line) {
	t.Helper()
	got := s.send(http.StatusOK, "POST", path, mediaJSON, []byte(ask))
	lines := bytes.Split(bytes.TrimSpace(got.body), []byte("\n"))
	if err := json.Unmarshal(lines[len(lines)-1], &last); err != nil || got.Header.Get("Content-Type") != openapi.MediaLines {
		t.Fatalf("%s: %v in %s %.300s", path, err, got.Header.Get("Content-Type"), got.body)
	}
	return last
}

// testUpkeep collects what only a retired version needed, and chooses anew how what is
// left is stored, and verifies it.
func (s *session) testUpkeep(left version) {
	s.t.Helper()
	dry := work[openapi.GCLine](s.t, s, "/v1/gc", `{"dry_run":true,"grace_seconds":0}`).Report
	if dry == nil || !dry.DryRun || dry.Versions == 0 || dry.Freed.Objects == 0 {
		s.t.Fatalf("dry run: %+v", dry)
	}
	done := work[openapi.GCLine](s.t, s, "/v1/gc", `{"dry_run":false,"grace_seconds":0}`).Report
	if done == nil || done.DryRun || done.Freed != dry.Freed {
		s.t.Errorf("collection: %+v, want to free %+v", done, dry.Freed)
	}
	if again := work[openapi.GCLine](s.t, s, "/v1/gc", `{"dry_run":true}`).Report; again == nil || again.Freed.Objects != 0 {
		s.t.Errorf("after a collection: %+v", again)
	}
	got := work[openapi.CompactLine](s.t, s, "/v1/compact", `{"repo":"acme/llama"}`).Report
	if got == nil || got.BytesBefore == 0 || got.BytesAfter != got.BytesBefore-got.BytesGained {
		s.t.Errorf("compaction: %+v", got)
	}
	for _, deep := range []string{`{"deep":true}`, `{"deep":false}`} {
		found := work[openapi.VerifyLine](s.t, s, "/v1/verify", deep).Report
		if found == nil || found.Versions == 0 || found.Objects == 0 || len(found.Bad)+len(found.Missing)+len(found.Foreign) > 0 {
			s.t.Errorf("verification %s: %+v", deep, found)
		}
	}
	if got := s.send(http.StatusOK, "GET", left.url()+"/chunks/0", "", nil); !bytes.Equal(got.body, left.encoded[left.chunks[0].Digest]) {
		s.t.Error("a chunk is another after a collection")
	}
}

// testReadOnly asks a read-only registry for everything that it refuses, and for what
// it does not.
func (s *session) testReadOnly(v version) {
	s.t.Helper()
	set, push := []byte(`{"digest":"`+v.digest.String()+`"}`), "/v1/pushes/00000000000000000000"
	chunk := v.chunks[0]
	for _, m := range append(append(append(append(historyWrites(), quotaWrites()...), accessWrites()...), s.provenanceWrites(v)...), []mistake{
		{openapi.CodeReadOnly, "DELETE", v.url(), "", nil},
		{openapi.CodeReadOnly, "PUT", repoURL + "/tags/main", mediaJSON, set},
		{openapi.CodeReadOnly, "DELETE", repoURL + "/tags/next", "", nil},
		{openapi.CodeReadOnly, "POST", repoURL + "/pushes", "", nil},
		{openapi.CodeReadOnly, "POST", push + "/missing", openapi.MediaDigests, v.digests()},
		{openapi.CodeReadOnly, "PUT", push + "/chunks/" + chunk.Digest.String(), openapi.MediaChunk, v.encoded[chunk.Digest]},
		{openapi.CodeReadOnly, "POST", push + "/chunks", openapi.MediaChunks, v.frames(chunk)},
		{openapi.CodeReadOnly, "POST", push + "/commit", openapi.MediaManifest, v.doc},
		{openapi.CodeReadOnly, "POST", "/v1/gc", mediaJSON, []byte(`{"dry_run":false}`)},
		{openapi.CodeReadOnly, "POST", "/v1/compact", mediaJSON, []byte(`{}`)},
		{openapi.CodeReadOnly, "PUT", "/v1/upstreams/archive", mediaJSON, []byte(`{"url":"http://127.0.0.1:9","ttl":60}`)},
		{openapi.CodeReadOnly, "DELETE", "/v1/upstreams/archive", "", nil},
	}...) {
		s.fails(m.want, m.method, m.path, m.media, m.body)
	}
	if got := s.send(http.StatusOK, "GET", v.url()+"/chunks/0?direct=yes", "", nil); !bytes.Equal(got.body, v.encoded[chunk.Digest]) {
		s.t.Error("a chunk is another in a read-only registry")
	}
	// Nobody has asked for these before, and they cannot be kept.
	var tag openapi.Tag
	s.get(http.StatusOK, "GET", "/v1/repos/acme/synthetic/tags/main", "", nil, &tag)
	for range 2 {
		s.send(http.StatusOK, "GET", "/v1/repos/acme/synthetic/versions/"+tag.Digest.String()+"/sha256", "", nil)
	}
	if dry := work[openapi.GCLine](s.t, s, "/v1/gc", `{"dry_run":true}`).Report; dry == nil {
		s.t.Error("no dry run in a read-only registry")
	}
	if found := work[openapi.VerifyLine](s.t, s, "/v1/verify", `{"deep":true}`).Report; found == nil || len(found.Bad)+len(found.Missing) > 0 {
		s.t.Errorf("verification in a read-only registry: %+v", found)
	}
}

func upkeepMistakes() []mistake {
	return []mistake{
		{openapi.CodeNotAllowed, "GET", "/v1/gc", "", nil},
		{openapi.CodeBadRequest, "POST", "/v1/gc", mediaJSON, nil},
		{openapi.CodeBadRequest, "POST", "/v1/gc", mediaJSON, []byte("{}")},
		{openapi.CodeBadRequest, "POST", "/v1/gc", mediaJSON, []byte(`{"dry_run":true,"grace_seconds":-1}`)},
		{openapi.CodeTooLarge, "POST", "/v1/gc", mediaJSON, make([]byte, openapi.MaxJSON+1)},
		{openapi.CodeNotAllowed, "GET", "/v1/verify", "", nil},
		{openapi.CodeBadRequest, "POST", "/v1/verify", mediaJSON, []byte(`{"deep":1}`)},
		{openapi.CodeTooLarge, "POST", "/v1/verify", mediaJSON, make([]byte, openapi.MaxJSON+1)},
		{openapi.CodeNotAllowed, "GET", "/v1/compact", "", nil},
		{openapi.CodeBadRequest, "POST", "/v1/compact", mediaJSON, []byte(`{"repo":1}`)},
		{openapi.CodeBadName, "POST", "/v1/compact", mediaJSON, []byte(`{"repo":"acme"}`)},
		{openapi.CodeNotFound, "POST", "/v1/compact", mediaJSON, []byte(`{"repo":"acme/none"}`)},
		{openapi.CodeTooLarge, "POST", "/v1/compact", mediaJSON, make([]byte, openapi.MaxJSON+1)},
	}
}
