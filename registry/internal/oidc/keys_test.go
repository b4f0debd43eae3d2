package oidc_test

import (
	"strings"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/oidc"
)

// TestDiscovery asks an issuer for its keys, which change and cannot always be had.
func TestDiscovery(t *testing.T) {
	one, two := newSigner(t, "one"), newSigner(t, "two")
	p := newProvider(t, one)
	p.down.Store(true)
	w := newWorld(t, oidc.Issuer{URL: p.URL, Audience: audience, Rules: []oidc.Rule{trainer}}) // nobody is asked
	try := func(what string, s signer, want openapi.Code, asked int64) {
		t.Helper()
		_, err := w.Exchange(t.Context(), s.sign(t, w.claims(p.URL)))
		if code(err) != want || p.asked.Load() != asked {
			t.Errorf("%s: %v after %d questions, want %q after %d", what, err, p.asked.Load(), want, asked)
		}
	}
	try("an issuer that does not answer", one, openapi.CodeUnavailable, 0)
	p.down.Store(false)
	try("a moment later", one, openapi.CodeUnavailable, 0)
	w.pass(11 * time.Second)
	try("later", one, "", 1)
	try("again", one, "", 1)
	p.has(two)
	for range 20 {
		try("a key that is new, a moment later", two, openapi.CodeUnauthorized, 1)
	}
	w.pass(11 * time.Second)
	try("a key that is new", two, "", 2)
	try("one that is no more", one, openapi.CodeUnauthorized, 2)
	for n := range 20 { // a forger makes it ask, at most so often
		w.pass(time.Second)
		forged := newSigner(t, "forged")
		if _, err := w.Exchange(t.Context(), forged.sign(t, w.claims(p.URL))); code(err) != openapi.CodeUnauthorized || p.asked.Load() > 2+int64(n)/10+1 {
			t.Errorf("%v after %d questions", err, p.asked.Load())
		}
	}
	p.down.Store(true)
	asked := p.asked.Load()
	w.pass(30 * time.Minute)
	try("an issuer that is down, for keys that are known", two, "", asked)
	w.pass(time.Hour)
	try("for too long", two, openapi.CodeUnavailable, asked)
}

// TestDiscoveryOfAnother asks an issuer that calls itself otherwise, or sends elsewhere.
func TestDiscoveryOfAnother(t *testing.T) {
	s := newSigner(t, "one")
	p := newProvider(t, s)
	w := newWorld(t, oidc.Issuer{URL: p.URL, Audience: audience, Rules: []oidc.Rule{trainer}})
	other := "https://other.example"
	p.calls.Store(&other)
	if _, err := w.Exchange(t.Context(), s.sign(t, w.claims(p.URL))); code(err) != openapi.CodeUnavailable || p.asked.Load() != 0 {
		t.Errorf("%v after %d questions", err, p.asked.Load())
	}
	if !strings.Contains(w.log.String(), "did not match") {
		t.Errorf("the log does not say why: %s", w.log.String())
	}
}

// TestKeysFile changes the file of keys.
func TestKeysFile(t *testing.T) {
	one, two := newSigner(t, "one"), newSigner(t, "two")
	i := withFile(t, []oidc.Rule{trainer}, one)
	w := newWorld(t, i)
	for what, step := range []struct {
		by   signer
		want openapi.Code
		then func()
	}{
		{one, "", func() { writeKeys(t, i.KeysFile, two) }},
		{two, openapi.CodeUnauthorized, func() { w.pass(11 * time.Second) }},
		{two, "", func() { writeKeys(t, i.KeysFile); w.pass(6 * time.Minute) }},
		{two, "", func() { w.pass(time.Hour) }}, // a file without keys is a mistake for a while
		{two, openapi.CodeUnavailable, func() {}},
	} {
		if _, err := w.Exchange(t.Context(), step.by.sign(t, w.claims(i.URL))); code(err) != step.want {
			t.Errorf("step %d: %v, want %q", what, err, step.want)
		}
		step.then()
	}
}
