package tokens_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/grants"
	"github.com/ingot-ml/ingot/registry/internal/registers"
	"github.com/ingot-ml/ingot/registry/internal/tokens"
)

var (
	root  = access.Principal{Subject: "root", Scopes: "*:admin"}
	guest = access.Anonymous
)

// engine counts reads of registers.
type engine struct {
	registers.Engine
	gets atomic.Int64
}

func (e *engine) Get(ctx context.Context, key string) ([]byte, registers.Version, error) {
	e.gets.Add(1)
	return e.Engine.Get(ctx, key)
}

type world struct {
	*tokens.Tokens
	t      *testing.T
	engine *engine
	clock  time.Time
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, engine: &engine{Engine: registers.NewMemory()}, clock: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	w.Tokens = w.replica()
	return w
}

// replica is another process over the same registers.
func (w *world) replica() *tokens.Tokens {
	now := func() time.Time { return w.clock }
	return tokens.New(tokens.Config{
		Registers: w.engine, Rights: access.NewScoped(), Now: now, Rand: rand.Reader,
		Grants: grants.New(grants.Config{Registers: w.engine, Now: now, Rand: rand.Reader}),
	})
}

func (w *world) create(p access.Principal, name string, life time.Duration, scopes ...string) (string, openapi.Token) {
	w.t.Helper()
	text, made, err := w.try(p, name, life, scopes...)
	if err != nil {
		w.t.Fatal(err)
	}
	return text, made
}

func (w *world) try(p access.Principal, name string, life time.Duration, scopes ...string) (string, openapi.Token, error) {
	w.t.Helper()
	s, err := access.ParseScopes(scopes...)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.Create(w.t.Context(), p, tokens.Spec{Name: name, Scopes: s, Life: life})
}

func (w *world) who(text string) access.Principal {
	w.t.Helper()
	p, err := w.Authenticate(w.t.Context(), text)
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

func wants(t *testing.T, what string, err error, want openapi.Code) {
	t.Helper()
	if !errors.Is(err, &openapi.Error{Code: want}) {
		t.Errorf("%s: %v, want %s", what, err, want)
	}
}

func TestCreate(t *testing.T) {
	w := newWorld(t)
	text, made := w.create(root, "ci", 30*24*time.Hour, "acme/*:push", "public/*:pull")
	if !strings.HasPrefix(text, tokens.Prefix) || len(text) != 78 || strings.Trim(text[3:], "abcdefghijklmnopqrstuvwxyz234567") != "" {
		t.Errorf("token %q", text)
	}
	want := access.Principal{Subject: "ci", Scopes: "acme/*:push public/*:pull", Token: made.ID}
	if got := w.who(text); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if made.By != "root" || !made.Expires.Equal(w.clock.Add(30*24*time.Hour)) || made.Revoked != nil || len(made.Scopes) != 2 {
		t.Errorf("%+v", made)
	}
	if _, made := w.create(root, "", 0, "*:pull"); made.Name != made.ID || made.Subject != made.ID || !made.Expires.Equal(w.clock.Add(tokens.DefaultLife)) {
		t.Errorf("without a name and a time: %+v", made)
	}
	info, ok, err := w.Info(t.Context(), want)
	if err != nil || !ok || info.Subject != "ci" {
		t.Errorf("%+v, %v, %v", info, ok, err)
	}
}

// TestAtRest looks at what is stored: no secret.
func TestAtRest(t *testing.T) {
	w := newWorld(t)
	text, made := w.create(root, "ci", 0, "acme/*:push")
	val, _, err := w.engine.Get(t.Context(), "a/token/"+made.ID)
	if err != nil {
		t.Fatal(err)
	}
	secret := text[len(tokens.Prefix)+len(made.ID):]
	for i := range len(secret) - 12 {
		if bytes.Contains(val, []byte(secret[i:i+12])) {
			t.Fatalf("%s has a part of %s", val, secret)
		}
	}
}

func TestAuthenticateRefuses(t *testing.T) {
	w := newWorld(t)
	text, made := w.create(root, "ci", time.Hour, "acme/*:push")
	other, _ := w.create(root, "other", time.Hour, "acme/*:push")
	last := text[:len(text)-1] + string('a'+(text[len(text)-1]-'a'+1)%26)
	for what, wrong := range map[string]string{
		"nothing": "", "a word": "password", "cut off": text[:len(text)-1], "too long": text + "a", "a letter of it": last,
		"capitals": strings.ToUpper(text), "a space": text[:10] + " " + text[11:], "hub's": "hf_AbCdEfGhIjKlMnOpQrStUvWxYzAbCdEfGh",
		"lent by nobody": "e30.AAAA", "a JWT": "a.b.c",
	} {
		_, err := w.Authenticate(t.Context(), wrong)
		wants(t, what, err, openapi.CodeUnauthorized)
		if err != nil && wrong != "" && strings.Contains(err.Error(), wrong) {
			t.Errorf("%s: the error tells it: %v", what, err)
		}
	}
	// Somebody who knows an id, and how tokens are spelt, does not have its secret.
	id, rest := len(tokens.Prefix)+16, len(text)-7
	forged := text[:id] + other[id:rest]
	_, err := w.Authenticate(t.Context(), forged+tokens.Checksum(forged[3:]))
	wants(t, "another's secret", err, openapi.CodeUnauthorized)
	if !strings.Contains(err.Error(), "not known") {
		t.Errorf("the checksum was not right, so that nothing was tried: %v", err)
	}
	w.clock = w.clock.Add(time.Hour)
	_, err = w.Authenticate(t.Context(), text)
	wants(t, "over", err, openapi.CodeUnauthorized)
	if !strings.Contains(err.Error(), "2026-01-02T04:04:05Z") {
		t.Errorf("it does not say since when: %v", err)
	}
	wants(t, "a grant of one that is over", w.Valid(t.Context(), access.Principal{Subject: "ci", Token: made.ID}), openapi.CodeUnauthorized)
}

// TestRevoke has every replica refuse a token within half a minute, and this one at once.
func TestRevoke(t *testing.T) {
	w := newWorld(t)
	far := w.replica()
	text, made := w.create(root, "ci", 0, "acme/*:push")
	p := w.who(text)
	if _, err := far.Authenticate(t.Context(), text); err != nil {
		t.Fatal(err)
	}
	if err := w.Revoke(t.Context(), root, made.ID); err != nil {
		t.Fatal(err)
	}
	if err := w.Revoke(t.Context(), root, made.ID); err != nil {
		t.Errorf("again: %v", err)
	}
	_, err := w.Authenticate(t.Context(), text)
	wants(t, "revoked", err, openapi.CodeUnauthorized)
	wants(t, "a grant of one that is revoked", w.Valid(t.Context(), p), openapi.CodeUnauthorized)
	w.clock = w.clock.Add(30 * time.Second)
	_, err = far.Authenticate(t.Context(), text)
	wants(t, "revoked elsewhere", err, openapi.CodeUnauthorized)
	list, err := w.List(t.Context(), root, "", 10)
	if err != nil || len(list.Tokens) != 1 || list.Tokens[0].Revoked == nil {
		t.Errorf("%+v, %v", list, err)
	}
}

// TestReads counts how often the store is asked: once in a while, however many requests
// there are.
func TestReads(t *testing.T) {
	w := newWorld(t)
	text, _ := w.create(root, "ci", 0, "acme/*:push")
	before := w.engine.gets.Load()
	for range 100 {
		w.who(text)
	}
	if n := w.engine.gets.Load() - before; n != 1 {
		t.Errorf("%d reads for 100 requests, want 1", n)
	}
}

// TestHandsOn has admins of some repositories make tokens for these, for no longer than
// they are.
func TestHandsOn(t *testing.T) {
	w := newWorld(t)
	text, mine := w.create(root, "lead", 10*24*time.Hour, "acme/*:admin", "public/*:pull", "ci/x:push")
	lead := w.who(text)
	_, made := w.create(lead, "ci", 0, "acme/llama:push", "acme/mistral:admin")
	if made.Subject != "lead/ci" || made.By != "lead" || !made.Expires.Equal(mine.Expires) {
		t.Errorf("%+v", made)
	}
	for what, scope := range map[string]string{"all": "*:pull", "another's": "other/x:pull", "what it reads": "public/*:pull", "what it pushes to": "ci/x:pull"} {
		_, _, err := w.try(lead, "x", 0, "acme/*:pull", scope)
		wants(t, what, err, openapi.CodeForbidden)
	}
	_, _, err := w.try(lead, "x", 11*24*time.Hour, "acme/*:pull")
	wants(t, "for longer", err, openapi.CodeForbidden)
	text, _ = w.create(root, "pusher", 0, "acme/*:push")
	for what, p := range map[string]access.Principal{"who pushes": w.who(text), "a guest": guest, "a guest who may read": {Subject: "anonymous", Scopes: "acme/*:pull"}} {
		_, _, err := w.try(p, "x", 0, "acme/*:pull")
		wants(t, what, err, openapi.CodeForbidden)
	}
	long, _ := w.create(root, strings.Repeat("n", 64), 0, "acme/*:admin")
	p := w.who(long)
	for range 2 {
		long, _ = w.create(p, strings.Repeat("n", 64), 0, "acme/*:admin")
		p = w.who(long)
	}
	_, _, err = w.try(p, strings.Repeat("n", 64), 0, "acme/*:admin")
	wants(t, "a subject that grows", err, openapi.CodeBadName)
}

func TestBadSpecs(t *testing.T) {
	w := newWorld(t)
	for what, c := range map[string]struct {
		name string
		life time.Duration
		want openapi.Code
	}{
		"everybody's":       {"anonymous", 0, openapi.CodeBadName},
		"the registry's":    {"upstream", 0, openapi.CodeBadName},
		"another's":         {"alice/ci", 0, openapi.CodeBadName},
		"an issuer's":       {"oidc:host:sub", 0, openapi.CodeBadName},
		"two lines":         {"a\nb", 0, openapi.CodeBadName},
		"too long":          {strings.Repeat("n", 65), 0, openapi.CodeBadName},
		"for too long":      {"x", 367 * 24 * time.Hour, openapi.CodeBadRequest},
		"for a moment":      {"x", time.Second, openapi.CodeBadRequest},
		"for less than now": {"x", -time.Hour, openapi.CodeBadRequest},
	} {
		_, _, err := w.try(root, c.name, c.life, "acme/*:pull")
		wants(t, what, err, c.want)
	}
	_, _, err := w.try(root, "x", 0)
	wants(t, "for nothing", err, openapi.CodeBadRequest)
}

// TestList shows tokens to those who made them, to who has them, and to who runs the
// registry.
func TestList(t *testing.T) {
	w := newWorld(t)
	text, mine := w.create(root, "lead", 0, "acme/*:admin")
	lead := w.who(text)
	text, made := w.create(lead, "ci", 0, "acme/*:pull")
	ci := w.who(text)
	_, other := w.create(root, "other", 0, "other/*:admin")
	for what, c := range map[string]struct {
		p    access.Principal
		want int
	}{"root": {root, 3}, "lead": {lead, 2}, "ci": {ci, 1}, "guest": {guest, 0}, "somebody": {access.Principal{Subject: "somebody"}, 0}} {
		var seen []string
		for after := ""; ; {
			page, err := w.List(t.Context(), c.p, after, 1)
			if err != nil {
				t.Fatal(err)
			}
			for _, one := range page.Tokens {
				seen = append(seen, one.ID)
			}
			if after = page.Next; after == "" {
				break
			}
		}
		if len(seen) != c.want {
			t.Errorf("%s sees %v", what, seen)
		}
	}
	_, err := w.List(t.Context(), root, "../x", 1)
	wants(t, "a page behind nothing", err, openapi.CodeBadName)
	for what, id := range map[string]string{"another's": other.ID, "none": "aaaaaaaaaaaaaaaa", "no id": "../../t/acme"} {
		wants(t, what, w.Revoke(t.Context(), lead, id), openapi.CodeNotFound)
	}
	if err := w.Revoke(t.Context(), ci, made.ID); err != nil {
		t.Errorf("its own: %v", err)
	}
	wants(t, "that of who made it", w.Revoke(t.Context(), ci, mine.ID), openapi.CodeNotFound)
}

// TestFirst makes one token for an admin, and another only when nobody has a good one.
func TestFirst(t *testing.T) {
	w := newWorld(t)
	first := func(want bool) string {
		t.Helper()
		text, err := w.replica().First(t.Context())
		if err != nil || (text != "") != want {
			t.Fatalf("%q, %v", text, err)
		}
		return text
	}
	text := first(true)
	if p := w.who(text); p.Scopes != "*:admin" || p.Subject != "admin" {
		t.Errorf("%+v", p)
	}
	first(false)
	w.create(w.who(text), "lead", 0, "acme/*:admin")
	if err := w.Revoke(t.Context(), root, w.who(text).Token); err != nil {
		t.Fatal(err)
	}
	first(true)
	first(false)
	w.clock = w.clock.Add(tokens.MaxLife)
	first(true)
}

// TestLend gives out tokens of which nothing is stored.
func TestLend(t *testing.T) {
	w := newWorld(t)
	p := access.Principal{Subject: "oidc:ci.example:repo", Scopes: "acme/*:push"}
	text, err := w.Lend(t.Context(), p, 15*time.Minute)
	if err != nil || !tokens.Issued(text) {
		t.Fatal(text, err)
	}
	if got, err := w.replica().Authenticate(t.Context(), text); err != nil || got != p {
		t.Errorf("%+v, %v", got, err)
	}
	if err := w.Valid(t.Context(), p); err != nil {
		t.Error(err)
	}
	_, _, err = w.try(access.Principal{Subject: p.Subject, Scopes: "acme/*:admin"}, "x", 0, "acme/*:pull")
	wants(t, "who was lent its rights hands them on", err, openapi.CodeForbidden)
	w.clock = w.clock.Add(15 * time.Minute)
	_, err = w.Authenticate(t.Context(), text)
	wants(t, "over", err, openapi.CodeUnauthorized)
	if _, err := w.Lend(t.Context(), p, tokens.MaxLent+1); err == nil {
		t.Error("lent for too long")
	}
}

// FuzzAuthenticate takes whatever somebody sends for a token of nobody's.
func FuzzAuthenticate(f *testing.F) {
	for _, seed := range []string{"", "hf_", "hf_" + strings.Repeat("a", 75), "a.b", "..", "hf_." + strings.Repeat("7", 100)} {
		f.Add(seed)
	}
	engine := registers.NewMemory()
	now := time.Now
	all := tokens.New(tokens.Config{
		Registers: engine, Rights: access.NewScoped(), Now: now, Rand: rand.Reader,
		Grants: grants.New(grants.Config{Registers: engine, Now: now, Rand: rand.Reader}),
	})
	f.Fuzz(func(t *testing.T, text string) {
		p, err := all.Authenticate(t.Context(), text)
		if !errors.Is(err, &openapi.Error{Code: openapi.CodeUnauthorized}) || p != (access.Principal{}) {
			t.Fatalf("%+v, %v", p, err)
		}
	})
}
