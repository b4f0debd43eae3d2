package registry_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/registry"
)

// TestAuditLog does things by every interface, and looks for them in the file.
func TestAuditLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	s := newServed(t, registry.Config{Data: t.TempDir(), AuditLog: path})
	const lines, js = "application/x-ndjson", "application/json"
	s.want(http.StatusOK, "POST", "/api/repos/create", js, []byte(`{"name":"model","organization":"acme"}`))
	s.want(http.StatusOK, "POST", "/api/models/acme/model/commit/main", lines, []byte(`{"key":"header","value":{"summary":"x"}}`+"\n"+
		`{"key":"file","value":{"path":"a.txt","encoding":"base64","content":"aGVsbG8="}}`))
	s.want(http.StatusOK, "GET", "/api/models/acme/model", "", nil)
	s.want(http.StatusOK, "GET", "/acme/model/resolve/main/a.txt", "", nil)
	s.want(http.StatusOK, "GET", "/v2/acme/model/manifests/main", "", nil)
	s.want(http.StatusOK, "GET", "/v1/repos/acme/model/tags", "", nil) // not recorded
	s.want(http.StatusNotFound, "DELETE", "/v1/repos/acme/model/tags/x", "", nil)
	s.want(http.StatusNoContent, "DELETE", "/v1/repos/acme/model/tags/main", "", nil)
	s.want(http.StatusOK, "PUT", "/v1/quotas/acme", js, []byte(`{"max_bytes":1}`))
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for line := range strings.Lines(string(text)) {
		var e struct{ Who, Action, Repo, Ref, Result, From, Request string }
		if err := json.Unmarshal([]byte(line), &e); err != nil || e.Who != "anonymous" || e.From == "" || e.Request == "" {
			t.Errorf("line %q: %v", line, err)
		}
		got = append(got, strings.Join([]string{e.Action, e.Repo, e.Ref, e.Result}, " "))
	}
	want := []string{
		"hub.repo.create   ok", "hub.commit acme/model main ok", "hub.version acme/model  ok", "hub.file acme/model main a.txt ok",
		"oci.manifests acme/model main ok", "tag.delete acme/model x refused", "tag.delete acme/model main ok", "quota.set acme  ok",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("recorded:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestAuditLogSecrets makes tokens, and looks for them in the file: nobody is to learn
// one there.
func TestAuditLogSecrets(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	r, err := registry.Open(t.Context(), registry.Config{Data: t.TempDir(), AuditLog: path, Access: registry.AccessTokens})
	if err != nil {
		t.Fatal(err)
	}
	secret := r.AdminToken()
	for _, sent := range []string{secret, secret + "x", "hf_" + strings.Repeat("guess", 10)} {
		q := httptest.NewRequest("POST", "/v1/tokens", strings.NewReader(`{"scopes":["acme/*:pull"]}`))
		q.Header.Set("Authorization", "Bearer "+sent)
		q.Header.Set("Content-Type", "application/json")
		r.Handler().ServeHTTP(httptest.NewRecorder(), q)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil || strings.Count(string(text), `"action":"token.create"`) != 4 || strings.Count(string(text), `"result":"denied"`) != 2 {
		t.Errorf("recorded %s, %v", text, err)
	}
	if strings.Contains(string(text), secret[len(secret)-20:]) || strings.Contains(string(text), "guess") {
		t.Errorf("the record has a secret: %s", text)
	}
}

// TestAuditLogNowhere refuses to open where the record cannot be kept.
func TestAuditLogNowhere(t *testing.T) {
	c := registry.Config{Data: t.TempDir(), AuditLog: filepath.Join(t.TempDir(), "none", "audit.jsonl")}
	if r, err := registry.Open(t.Context(), c); err == nil {
		t.Errorf("opened; close: %v", r.Close())
	}
}
