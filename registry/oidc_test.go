package registry_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry"
)

const (
	cluster  = "https://kubernetes.default.svc"
	audience = "https://models.example"
)

// clusterKey signs what a cluster says of its service accounts.
type clusterKey struct{ key *ecdsa.PrivateKey }

// newClusterKey returns a key, and the file in which it is published.
func newClusterKey(t *testing.T) (clusterKey, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	point, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	e := base64.RawURLEncoding.EncodeToString
	text := fmt.Sprintf(`{"keys":[{"kty":"EC","crv":"P-256","use":"sig","kid":"one","x":%q,"y":%q}]}`, e(point[1:33]), e(point[33:]))
	file := filepath.Join(t.TempDir(), "jwks.json")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return clusterKey{key}, file
}

// jwt is what the cluster says of a service account, for an audience.
func (k clusterKey) jwt(t *testing.T, account, audience string) string {
	t.Helper()
	claims, err := json.Marshal(map[string]any{
		"iss": cluster, "aud": []string{audience}, "sub": "system:serviceaccount:" + account, "jti": rand.Text(),
		"iat": time.Now().Unix(), "exp": time.Now().Add(10 * time.Minute).Unix(),
	})
	if err != nil {
		t.Fatal(err)
	}
	e := base64.RawURLEncoding.EncodeToString
	text := e([]byte(`{"alg":"ES256","kid":"one"}`)) + "." + e(claims)
	sum := sha256.Sum256([]byte(text))
	r, s, err := ecdsa.Sign(rand.Reader, k.key, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + e(append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...))
}

// asks sends a request with an Authorization header.
func (s *served) asks(method, path, authorization, body string) (int, []byte) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp.StatusCode, answer
}

func basic(password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte("jwt:"+password))
}

// TestOIDC has a service account push and read by what its cluster says of it.
func TestOIDC(t *testing.T) {
	key, file := newClusterKey(t)
	s := newServed(t, registry.Config{Access: registry.AccessTokens, OIDC: []registry.Issuer{{
		URL: cluster, Audience: audience, KeysFile: file,
		Rules: []registry.IssuerRule{{Claims: map[string]string{"sub": "system:serviceaccount:ml:trainer"}, Scopes: []string{"ml/*:push"}}},
	}}})
	exchange := func(jwt string) (int, openapi.Exchanged) {
		body, err := json.Marshal(openapi.Exchange{Token: jwt})
		if err != nil {
			t.Fatal(err)
		}
		status, answer := s.asks("POST", "/v1/tokens/exchange", "", string(body))
		var got openapi.Exchanged
		if err := json.Unmarshal(answer, &got); err != nil {
			t.Fatalf("%s: %v", answer, err)
		}
		return status, got
	}
	jwt := key.jwt(t, "ml:trainer", audience)
	status, got := exchange(jwt)
	if status != http.StatusOK || got.Subject != "oidc:kubernetes.default.svc:system:serviceaccount:ml:trainer" || strings.Join(got.Scopes, " ") != "ml/*:push" {
		t.Fatalf("%d, %+v", status, got)
	}
	if left := time.Until(got.Expires); left < 14*time.Minute || left > 15*time.Minute {
		t.Errorf("it is good for %s", left)
	}
	if status, _ := exchange(jwt); status != http.StatusUnauthorized {
		t.Errorf("exchanged again: %d", status)
	}
	stranger, _ := newClusterKey(t)
	for what, jwt := range map[string]string{
		"of another account": key.jwt(t, "ml:other", audience), "for another audience": key.jwt(t, "ml:trainer", "x"), "of a stranger": stranger.jwt(t, "ml:trainer", audience), "nothing": "",
	} {
		if status, _ := exchange(jwt); status != http.StatusUnauthorized {
			t.Errorf("a JWT %s: %d", what, status)
		}
	}
	for _, tt := range []struct {
		what, method, path, authorization string
		want                              int
	}{
		{"the token pushes", "POST", "/v1/repos/ml/x/pushes", "Bearer " + got.Token, http.StatusCreated},
		{"the token pushes elsewhere", "POST", "/v1/repos/acme/x/pushes", "Bearer " + got.Token, http.StatusNotFound},
		{"the token is one of Basic too", "GET", "/v1/repos", basic(got.Token), http.StatusOK},
		{"a JWT reads", "GET", "/v1/repos", basic(jwt), http.StatusOK},
		{"and reads again", "GET", "/v1/repos", basic(jwt), http.StatusOK},
		{"a JWT reads by OCI, as kubelets do", "GET", "/v2/", basic(jwt), http.StatusOK},
		{"a JWT of a stranger by OCI", "GET", "/v2/", basic(stranger.jwt(t, "ml:trainer", audience)), http.StatusUnauthorized},
		{"a JWT does not push", "POST", "/v1/repos/ml/x/pushes", basic(jwt), http.StatusForbidden},
		{"a JWT is no token", "GET", "/v1/repos", "Bearer " + jwt, http.StatusUnauthorized},
		{"a JWT of a stranger does not read", "GET", "/v1/repos", basic(stranger.jwt(t, "ml:trainer", audience)), http.StatusUnauthorized},
		{"a JWT for another does not read", "GET", "/v1/repos", basic(key.jwt(t, "ml:trainer", "x")), http.StatusUnauthorized},
		{"a changed token", "GET", "/v1/repos", "Bearer x" + got.Token, http.StatusUnauthorized},
	} {
		if status, answer := s.asks(tt.method, tt.path, tt.authorization, ""); status != tt.want {
			t.Errorf("%s: %d, want %d: %s", tt.what, status, tt.want, answer)
		}
	}
	var who openapi.Whoami
	if _, answer := s.asks("GET", "/v1/whoami", "Bearer "+got.Token, ""); json.Unmarshal(answer, &who) != nil || who.Subject != got.Subject {
		t.Errorf("who it is: %s", answer)
	}
}

// TestOIDCWithoutAccess opens registries that cannot take anybody's word.
func TestOIDCWithoutAccess(t *testing.T) {
	issuer := registry.Issuer{URL: cluster, Audience: audience, KeysFile: "keys", Rules: []registry.IssuerRule{{Claims: map[string]string{"sub": "x"}, Scopes: []string{"a/*:pull"}}}}
	for what, c := range map[string]registry.Config{
		"open": {OIDC: []registry.Issuer{issuer}}, "bad": {Access: registry.AccessTokens, OIDC: []registry.Issuer{{URL: cluster}}},
	} {
		c.Data = t.TempDir()
		if r, err := registry.Open(t.Context(), c); err == nil || !strings.Contains(err.Error(), "oidc") {
			t.Errorf("%s: opened with %v", what, err)
			if r != nil {
				_ = r.Close()
			}
		}
	}
	s := newServed(t, registry.Config{})
	if status, answer := s.asks("POST", "/v1/tokens/exchange", "", `{"token":"a.b.c"}`); status != http.StatusForbidden {
		t.Errorf("where nobody vouches for others: %d, %s", status, answer)
	}
}
