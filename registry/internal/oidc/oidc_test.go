package oidc_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/oidc"
)

// TestExchange gives tokens for JWTs that are as they should be.
func TestExchange(t *testing.T) {
	one, two := newSigner(t, "one"), edSigner(t, "two")
	i := withFile(t, []oidc.Rule{
		trainer,
		{Claims: map[string]string{"groups": "release", "attempt": "2", "protected": "true"}, Scopes: []string{"ml/prod:admin"}, Subject: "releaser"},
	}, one, two)
	w := newWorld(t, i)
	more := map[string]any{"groups": []string{"dev", "release"}, "attempt": 2, "protected": true}
	tests := []struct {
		what            string
		jwt             string
		subject, scopes string
	}{
		{"a service account", one.sign(t, w.claims(i.URL)), "oidc:kubernetes.default.svc:system:serviceaccount:ml:trainer", "ml/*:push public/*:pull"},
		{"by the other key", two.sign(t, w.claims(i.URL)), "oidc:kubernetes.default.svc:system:serviceaccount:ml:trainer", "ml/*:push public/*:pull"},
		{"without the name of a key", signer{"", one.key, one.alg}.sign(t, w.claims(i.URL)), "oidc:kubernetes.default.svc:system:serviceaccount:ml:trainer", "ml/*:push public/*:pull"},
		{"two rules", one.sign(t, w.claims(i.URL, more)), "releaser", "ml/*:push ml/prod:admin public/*:pull"},
		{"several audiences", one.sign(t, w.claims(i.URL, map[string]any{"aud": []string{"other", audience}})), "oidc:kubernetes.default.svc:system:serviceaccount:ml:trainer", "ml/*:push public/*:pull"},
	}
	for _, tt := range tests {
		got, err := w.Exchange(t.Context(), tt.jwt)
		if err != nil || got.Subject != tt.subject || strings.Join(got.Scopes, " ") != tt.scopes || got.Token != tt.subject+" 15m0s" ||
			!got.Expires.Equal(w.now.Load().Add(oidc.Life)) {
			t.Errorf("%s: %+v, %v", tt.what, got, err)
		}
	}
}

// TestReading sends JWTs as credentials: they read, as often as they are sent.
func TestReading(t *testing.T) {
	s := newSigner(t, "one")
	i := withFile(t, []oidc.Rule{trainer}, s)
	w := newWorld(t, i)
	jwt := s.sign(t, w.claims(i.URL))
	for range 2 {
		p, err := w.Authenticate(t.Context(), jwt)
		if err != nil || p.Scopes != "ml/*:pull public/*:pull" || p.Token != "" || !strings.HasSuffix(p.Subject, ":trainer") {
			t.Errorf("%+v, %v", p, err)
		}
	}
	if _, err := w.Exchange(t.Context(), jwt); err != nil {
		t.Errorf("exchanged after it was read with: %v", err)
	}
	if _, err := w.Authenticate(t.Context(), jwt); err != nil {
		t.Errorf("read with after it was exchanged: %v", err)
	}
	w.pass(time.Hour)
	if _, err := w.Authenticate(t.Context(), jwt); code(err) != openapi.CodeUnauthorized {
		t.Errorf("when it is over: %v", err)
	}
}

// TestOnce exchanges JWTs again, at another replica and in other spellings.
func TestOnce(t *testing.T) {
	s := newSigner(t, "one")
	i := withFile(t, []oidc.Rule{trainer}, s)
	w := newWorld(t, i)
	other := w.replica()
	for what, claims := range map[string]map[string]any{
		"with an id": w.claims(i.URL), "without": w.claims(i.URL, map[string]any{"jti": nil}), "with an id that is no text": w.claims(i.URL, map[string]any{"jti": 7}),
	} {
		jwt := s.sign(t, claims)
		if _, err := w.Exchange(t.Context(), jwt); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		for again, text := range map[string]string{
			"the same": jwt, "another spelling of the signature": malleable(t, s, jwt), "signed again": resigned(t, s, what, claims, jwt),
		} {
			if text == "" {
				continue
			}
			for _, at := range []*oidc.Service{w.Service, other} {
				if _, err := at.Exchange(t.Context(), text); code(err) != openapi.CodeUnauthorized {
					t.Errorf("%s, %s: %v", what, again, err)
				}
			}
		}
	}
	if !strings.Contains(w.log.String(), "exchanged before") {
		t.Errorf("the log does not say why: %s", w.log.String())
	}
	// What is over is forgotten, and stays over.
	w.pass(time.Hour)
	if _, err := w.Exchange(t.Context(), s.sign(t, w.claims(i.URL))); err != nil {
		t.Error(err)
	}
}

// malleable returns the JWT with the other signature that ECDSA has for it.
func malleable(t *testing.T, s signer, jwt string) string {
	t.Helper()
	at := strings.LastIndexByte(jwt, '.')
	sig, err := base64.RawURLEncoding.DecodeString(jwt[at+1:])
	if err != nil {
		t.Fatal(err)
	}
	order := s.key.(*ecdsa.PrivateKey).Params().N
	new(big.Int).Sub(order, new(big.Int).SetBytes(sig[32:])).FillBytes(sig[32:])
	return jwt[:at+1] + base64.RawURLEncoding.EncodeToString(sig)
}

// resigned returns a JWT of the same id that its issuer signed once more; where it has no
// id that is another JWT.
func resigned(t *testing.T, s signer, what string, claims map[string]any, jwt string) string {
	t.Helper()
	if what != "with an id" {
		return jwt
	}
	claims["exp"] = claims["exp"].(int64) + 1
	return s.sign(t, claims)
}

// TestForged sends what is no good JWT, or not a good one: everybody is told the same,
// and nothing is noted as exchanged.
func TestForged(t *testing.T) {
	good, other := newSigner(t, "one"), newSigner(t, "one")
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	small := signer{"small", weak, jose.RS256}
	i := withFile(t, []oidc.Rule{trainer}, good, small)
	w := newWorld(t, i)
	now := w.now.Load().Unix()
	with := func(claim string, v any) string { return good.sign(t, w.claims(i.URL, map[string]any{claim: v})) }
	payload, err := json.Marshal(w.claims(i.URL))
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(good.key.Public())
	if err != nil {
		t.Fatal(err)
	}
	public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	whole := good.sign(t, w.claims(i.URL))
	parts := strings.Split(whole, ".")
	swapped := strings.Split(good.sign(t, w.claims(i.URL, map[string]any{"sub": "system:serviceaccount:ml:other"})), ".")
	tests := map[string]string{
		"nothing": "", "no JWT": "x", "dots": "..", "an empty one": raw("", "", ""),
		"alg none":                        raw(`{"alg":"none"}`, string(payload), ""),
		"alg None":                        raw(`{"alg":"None","kid":"one"}`, string(payload), ""),
		"alg none with a signature":       raw(`{"alg":"none","kid":"one"}`, string(payload), "x"),
		"HS256 by the public key":         sign(t, jose.SigningKey{Algorithm: jose.HS256, Key: public}, "one", w.claims(i.URL)),
		"HS256 by its DER":                sign(t, jose.SigningKey{Algorithm: jose.HS256, Key: der}, "one", w.claims(i.URL)),
		"without a signature":             parts[0] + "." + parts[1] + ".",
		"with another one's":              parts[0] + "." + parts[1] + "." + swapped[2],
		"another one's claims":            parts[0] + "." + swapped[1] + "." + parts[2],
		"a fourth part":                   whole + ".x",
		"a space in it":                   parts[0] + ". " + parts[1] + "." + parts[2],
		"a stranger's key":                other.sign(t, w.claims(i.URL)),
		"a stranger's key, unnamed":       signer{"", other.key, other.alg}.sign(t, w.claims(i.URL)),
		"a forged name of the key":        signer{"two", good.key, good.alg}.sign(t, w.claims(i.URL)),
		"the key in its own header":       raw(embedded(t, other), string(payload), "x"),
		"a weak key":                      small.sign(t, w.claims(i.URL)),
		"another issuer":                  good.sign(t, w.claims("https://evil.example")),
		"an issuer that only begins so":   good.sign(t, w.claims(i.URL+".evil.example")),
		"no issuer":                       with("iss", nil),
		"another audience":                with("aud", "https://other.example"),
		"no audience":                     with("aud", nil),
		"an audience that only begins so": with("aud", audience+"x"),
		"over":                            with("exp", now-1),
		"no end":                          with("exp", nil),
		"an end in a year":                with("exp", now+365*24*3600),
		"not yet":                         with("nbf", now+120),
		"made in future":                  with("iat", now+120),
		"made at no time":                 with("iat", "yesterday"),
		"of somebody else":                with("sub", "system:serviceaccount:ml:other"),
		"of a longer name":                with("sub", "system:serviceaccount:ml:trainer2"),
		"of a list":                       with("sub", []int{1}),
		"of nobody":                       with("sub", nil),
		"too long":                        with("more", strings.Repeat("x", 16<<10)),
	}
	for what, jwt := range tests {
		_, err := w.Exchange(t.Context(), jwt)
		_, read := w.Authenticate(t.Context(), jwt)
		for _, err := range []error{err, read} {
			if code(err) != openapi.CodeUnauthorized || !strings.HasPrefix(err.Error(), "this JWT is not taken") {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
	if page, err := w.engine.List(t.Context(), "j/", "", 1); err != nil || len(page) > 0 {
		t.Errorf("what was refused counts as exchanged: %v, %v", page, err)
	}
	if strings.Contains(w.log.String(), parts[2]) {
		t.Error("the log has JWTs")
	}
	if _, err := w.Exchange(t.Context(), whole); err != nil {
		t.Errorf("the good one: %v", err)
	}
}

// embedded is a header that brings its key along.
func embedded(t *testing.T, s signer) string {
	t.Helper()
	key, err := json.Marshal(s.jwk())
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf(`{"alg":"ES256","jwk":%s}`, key)
}

// TestBadIssuers configures what would let in whom nobody meant.
func TestBadIssuers(t *testing.T) {
	good := oidc.Issuer{URL: "https://issuer.example", Audience: "x", KeysFile: "keys", Rules: []oidc.Rule{trainer}}
	rule := func(r oidc.Rule) oidc.Issuer { i := good; i.Rules = []oidc.Rule{r}; return i }
	github := good
	github.URL = "https://token.actions.githubusercontent.com"
	github.Rules = []oidc.Rule{{Claims: map[string]string{"ref": "refs/heads/main"}, Scopes: trainer.Scopes}}
	change := func(f func(*oidc.Issuer)) oidc.Issuer { i := good; f(&i); return i }
	for what, list := range map[string][]oidc.Issuer{
		"no URL":              {change(func(i *oidc.Issuer) { i.URL = "" })},
		"http":                {change(func(i *oidc.Issuer) { i.URL = "http://issuer.example" })},
		"a password":          {change(func(i *oidc.Issuer) { i.URL = "https://a:b@issuer.example" })},
		"no audience":         {change(func(i *oidc.Issuer) { i.Audience = "" })},
		"no rules":            {change(func(i *oidc.Issuer) { i.Rules = nil })},
		"a rule for all":      {rule(oidc.Rule{Scopes: trainer.Scopes})},
		"an empty claim":      {rule(oidc.Rule{Claims: map[string]string{"sub": ""}, Scopes: trainer.Scopes})},
		"no scopes":           {rule(oidc.Rule{Claims: trainer.Claims})},
		"no such scope":       {rule(oidc.Rule{Claims: trainer.Claims, Scopes: []string{"acme/*:write"}})},
		"nobody's name":       {rule(oidc.Rule{Claims: trainer.Claims, Scopes: trainer.Scopes, Subject: "anonymous"})},
		"a name with a space": {rule(oidc.Rule{Claims: trainer.Claims, Scopes: trainer.Scopes, Subject: "a b"})},
		"twice":               {good, good},
		"all of GitHub":       {github},
	} {
		if err := oidc.Check(list); err == nil || bytes.ContainsRune([]byte(err.Error()), '\n') {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := oidc.Check([]oidc.Issuer{good}); err != nil {
		t.Error(err)
	}
}

// FuzzAuthenticate sends anything as a JWT.
func FuzzAuthenticate(f *testing.F) {
	s := newSigner(f, "one")
	i := withFile(f, []oidc.Rule{trainer}, s)
	w := newWorld(f, i)
	good := s.sign(f, w.claims(i.URL))
	f.Add(good)
	f.Add(raw(`{"alg":"none"}`, `{"iss":"https://kubernetes.default.svc"}`, ""))
	f.Add("..")
	f.Fuzz(func(t *testing.T, jwt string) {
		at := strings.LastIndexByte(good, '.')
		if _, err := w.Authenticate(t.Context(), jwt); err == nil && !strings.HasPrefix(jwt, good[:at]) {
			t.Errorf("%q is somebody", jwt)
		}
	})
}
