package hub_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"testing"
)

// TestPythonWithTokens has huggingface_hub ask a registry where tokens say who may do
// what: it takes them for the Hub's.
func TestPythonWithTokens(t *testing.T) {
	s := serve(t, "--access", "tokens")
	push, pull := s.makeToken(t, "writer", "acme/*:push"), s.makeToken(t, "reader", "acme/*:pull")
	for _, env := range []python{{venv: "hub0"}, {venv: "hub1"}} {
		t.Run(env.venv, func(t *testing.T) {
			if got := env.run(t, s.url, "tokens.py", push, pull); len(got.Ran) != 5 {
				t.Errorf("%+v", got)
			}
			// The next client begins anew.
			s.as(t, http.MethodDelete, "/api/repos/delete", `{"name":"acme/private"}`, http.StatusOK)
		})
	}
}

// makeToken makes a token.
func (s *server) makeToken(t *testing.T, name, scope string) string {
	t.Helper()
	var made struct{ Token string }
	doc := s.as(t, http.MethodPost, "/v1/tokens", `{"name":"`+name+`","scopes":["`+scope+`"]}`, http.StatusCreated)
	if err := json.Unmarshal(doc, &made); err != nil {
		t.Fatal(err)
	}
	return made.Token
}

// as asks as who runs the registry.
func (s *server) as(t *testing.T, method, path, body string, want int) []byte {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, s.url+path, bytes.NewReader([]byte(body)))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+s.admin)
	r.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }() // it was only read
	var doc bytes.Buffer
	if _, err := doc.ReadFrom(resp.Body); err != nil || resp.StatusCode != want {
		t.Fatalf("%s %s: %d %s, %v", method, path, resp.StatusCode, doc.Bytes(), err)
	}
	return doc.Bytes()
}
