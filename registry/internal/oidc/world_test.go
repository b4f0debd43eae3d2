package oidc_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/oidc"
	"github.com/ingot-ml/ingot/registry/internal/registers"
)

const audience = "https://models.example"

// signer is a key of an issuer, as it signs.
type signer struct {
	id  string
	key crypto.Signer
	alg jose.SignatureAlgorithm
}

func newSigner(t testing.TB, id string) signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return signer{id, key, jose.ES256}
}

// edSigner has the other curve.
func edSigner(t testing.TB, id string) signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return signer{id, key, jose.EdDSA}
}

func (s signer) jwk() jose.JSONWebKey {
	return jose.JSONWebKey{Key: s.key.Public(), KeyID: s.id, Use: "sig", Algorithm: string(s.alg)}
}

// sign makes a JWT.
func (s signer) sign(t testing.TB, claims map[string]any) string {
	t.Helper()
	return sign(t, jose.SigningKey{Algorithm: s.alg, Key: s.key}, s.id, claims)
}

func sign(t testing.TB, key jose.SigningKey, id string, claims map[string]any) string {
	t.Helper()
	o := (&jose.SignerOptions{}).WithType("JWT")
	if id != "" {
		o = o.WithHeader("kid", id)
	}
	with, err := jose.NewSigner(key, o)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	jws, err := with.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	text, err := jws.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// raw is a JWT with any header and signature.
func raw(header, payload, signature string) string {
	e := base64.RawURLEncoding.EncodeToString
	return e([]byte(header)) + "." + e([]byte(payload)) + "." + e([]byte(signature))
}

// provider is an issuer that can be asked.
type provider struct {
	*httptest.Server
	keys  atomic.Pointer[[]jose.JSONWebKey]
	asked atomic.Int64 // for its keys
	calls atomic.Pointer[string]
	down  atomic.Bool
}

func newProvider(t testing.TB, signers ...signer) *provider {
	t.Helper()
	p := &provider{}
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		name := p.URL
		if says := p.calls.Load(); says != nil {
			name = *says
		}
		_ = json.NewEncoder(w).Encode(map[string]string{"issuer": name, "jwks_uri": p.URL + "/keys"})
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		p.asked.Add(1)
		_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: *p.keys.Load()})
	})
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p.down.Load() {
			http.Error(w, "down", http.StatusServiceUnavailable)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(p.Close)
	p.has(signers...)
	return p
}

func (p *provider) has(signers ...signer) {
	keys := []jose.JSONWebKey{}
	for _, s := range signers {
		keys = append(keys, s.jwk())
	}
	p.keys.Store(&keys)
}

// lender lends what says whose it is.
type lender struct{}

func (lender) Lend(_ context.Context, p access.Principal, life time.Duration) (string, error) {
	return p.Subject + " " + life.String(), nil
}

type world struct {
	*oidc.Service
	t      testing.TB
	now    atomic.Pointer[time.Time]
	engine registers.Engine
	log    strings.Builder
	config oidc.Config
}

func newWorld(t testing.TB, issuers ...oidc.Issuer) *world {
	t.Helper()
	w := &world{t: t, engine: registers.NewMemory()}
	w.set(time.Unix(1_800_000_000, 0))
	w.config = oidc.Config{
		Issuers: issuers, Registers: w.engine, Lender: lender{}, Rand: rand.Reader,
		Now:    func() time.Time { return *w.now.Load() },
		Logger: slog.New(slog.NewTextHandler(&w.log, nil)),
	}
	w.Service = w.replica()
	return w
}

// replica is another registry of the same store.
func (w *world) replica() *oidc.Service {
	w.t.Helper()
	s, err := oidc.New(w.config)
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

func (w *world) set(now time.Time) { w.now.Store(&now) }

func (w *world) pass(d time.Duration) { w.set(w.now.Load().Add(d)) }

// claims are those of a good JWT of an issuer, with others that may replace them; a nil
// value takes one away.
func (w *world) claims(issuer string, others ...map[string]any) map[string]any {
	now := w.now.Load().Unix()
	c := map[string]any{
		"iss": issuer, "sub": "system:serviceaccount:ml:trainer", "aud": audience, "jti": rand.Text(),
		"iat": now - 5, "nbf": now - 5, "exp": now + 600,
	}
	for _, o := range others {
		maps.Copy(c, o)
	}
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	return c
}

var trainer = oidc.Rule{Claims: map[string]string{"sub": "system:serviceaccount:ml:trainer"}, Scopes: []string{"ml/*:push", "public/*:pull"}}

// withFile is an issuer whose keys are in a file.
func withFile(t testing.TB, rules []oidc.Rule, signers ...signer) oidc.Issuer {
	t.Helper()
	file := filepath.Join(t.TempDir(), "jwks.json")
	writeKeys(t, file, signers...)
	return oidc.Issuer{URL: "https://kubernetes.default.svc", Audience: audience, KeysFile: file, Rules: rules}
}

func writeKeys(t testing.TB, file string, signers ...signer) {
	t.Helper()
	var set jose.JSONWebKeySet
	for _, s := range signers {
		set.Keys = append(set.Keys, s.jwk())
	}
	text, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

func code(err error) openapi.Code {
	if e, ok := errors.AsType[*openapi.Error](err); ok {
		return e.Code
	}
	if err != nil {
		return openapi.Code(err.Error())
	}
	return ""
}
