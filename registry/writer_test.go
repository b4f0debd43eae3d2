package registry_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry"
)

// TestUploadsOutliveTheirCollection uploads two files by the Hub's protocol and
// commits one. After the week that uploads last, and a collection, and a new start,
// that one is there and the other is not.
func TestUploadsOutliveTheirCollection(t *testing.T) {
	config := registry.Config{Data: t.TempDir(), GCGrace: -1}
	r, err := registry.Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(r.Handler())
	s := &served{t, server.URL}
	s.want(200, "POST", "/api/repos/create", "application/json", []byte(`{"name":"acme/model"}`))
	wanted, lost := bytesOf(1), bytesOf(2)
	s.upload(wanted)
	s.upload(lost)
	line := fmt.Sprintf(`{"key":"header","value":{"summary":"w"}}`+"\n"+`{"key":"lfsFile","value":{"path":"w","algo":"sha256","oid":%q,"size":%d}}`, hashOf(wanted), len(wanted))
	s.want(200, "POST", "/api/models/acme/model/commit/main", "application/x-ndjson", []byte(line))
	if n, err := registry.DropUploads(r, time.Now().Add(time.Hour)); n != 2 || err != nil {
		t.Errorf("%d uploads dropped, %v", n, err)
	}
	for range 2 {
		s.want(200, "POST", "/v1/gc", "application/json", []byte(`{"dry_run":false,"grace_seconds":0}`))
	}
	server.Close()
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if entries, err := os.ReadDir(filepath.Join(config.Data, "arriving")); err != nil || len(entries) != 0 {
		t.Errorf("of arriving files there are left: %v, %v", entries, err)
	}

	if r, err = registry.Open(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	closeAtEnd(t, r)
	server = httptest.NewServer(r.Handler())
	t.Cleanup(server.Close)
	s = &served{t, server.URL}
	if got := s.want(200, "GET", "/acme/model/resolve/main/w", "", nil); !bytes.Equal(got, wanted) {
		t.Errorf("the file has %d other bytes", len(got))
	}
	if href := s.address(lost); href == "" {
		t.Error("what nobody committed is there")
	}
	stats := decode[openapi.Stats](t, s.want(200, "GET", "/v1/stats", "", nil))
	if stats.Stored > int64(len(wanted)+len(lost)/2) {
		t.Errorf("%d bytes are stored of %d that are wanted", stats.Stored, len(wanted))
	}
	repos := decode[openapi.RepoList](t, s.want(200, "GET", "/v1/repos", "", nil))
	if len(repos.Repos) != 1 || repos.Repos[0].Name != "acme/model" {
		t.Errorf("repositories: %v", repos.Repos)
	}
	s.refused(openapi.CodeBadName, "POST", "/v1/repos/acme/model.git/pushes", "", nil)
	s.refused(openapi.CodeBadName, "PUT", "/v1/repos/acme/model.git/tags/x", "application/json", []byte(`{"digest":"`+hashOf(lost)+`"}`))
}

// TestReadOnlyTakesNothing has a registry that only reads refuse what clients push.
func TestReadOnlyTakesNothing(t *testing.T) {
	data := t.TempDir()
	r, err := registry.Open(t.Context(), registry.Config{Data: data})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if r, err = registry.Open(t.Context(), registry.Config{Data: data, ReadOnly: true}); err != nil {
		t.Fatal(err)
	}
	closeAtEnd(t, r)
	server := httptest.NewServer(r.Handler())
	t.Cleanup(server.Close)
	s := &served{t, server.URL}
	got := s.want(403, "POST", "/api/repos/create", "application/json", []byte(`{"name":"acme/model"}`))
	if !strings.Contains(string(got), "only reads") {
		t.Errorf("refused with %s", got)
	}
}

func bytesOf(seed byte) []byte {
	b := make([]byte, 700_000)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(b) // never fails
	return b
}

func hashOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// address returns where a file is to be uploaded; nothing for one that is there.
func (s *served) address(b []byte) string {
	s.t.Helper()
	q := fmt.Sprintf(`{"operation":"upload","transfers":["basic"],"objects":[{"oid":%q,"size":%d}]}`, hashOf(b), len(b))
	var a struct {
		Objects []struct {
			Actions map[string]struct{ Href string }
		}
	}
	answer := s.want(200, "POST", "/acme/model.git/info/lfs/objects/batch", "application/vnd.git-lfs+json", []byte(q))
	if err := json.Unmarshal(answer, &a); err != nil || len(a.Objects) != 1 {
		s.t.Fatalf("%s: %v", answer, err)
	}
	return a.Objects[0].Actions["upload"].Href
}

func (s *served) upload(b []byte) {
	s.t.Helper()
	u, err := url.Parse(s.address(b))
	if err != nil {
		s.t.Fatal(err)
	}
	s.want(200, "PUT", u.RequestURI(), "", b)
}
