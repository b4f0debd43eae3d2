package httpapi_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/httpapi"
	"github.com/ingot-ml/ingot/registry/name"
)

// passes is an Authenticator that takes what follows Bearer for the scopes of alice.
type passes struct {
	guest access.Principal
	err   error
	asked int
}

func (p *passes) Authenticate(r *http.Request) (access.Principal, error) {
	p.asked++
	header := r.Header.Get("Authorization")
	switch {
	case header == "":
		return p.guest, p.err
	case header == "Bearer wrong":
		return access.Principal{}, openapi.Errorf(openapi.CodeUnauthorized, "this is no token")
	}
	return access.Principal{Subject: "alice", Scopes: strings.TrimPrefix(header, "Bearer "), Token: "id"}, p.err
}

// noTags is a Service that has no tag, which reads like one that may not be seen.
type noTags struct{ httpapi.Service }

func (noTags) Tag(_ context.Context, p access.Principal, repo name.Repo, tag string) (t openapi.Tag, err error) {
	if access.NewScoped().Allow(p, repo, access.Read) == nil && tag == "main" {
		return openapi.Tag{Name: tag, By: p.Subject, Digest: chunker.Sum([]byte(tag))}, nil
	}
	return t, openapi.Errorf(openapi.CodeNotFound, "%s:%s: not found", repo, tag)
}

func (noTags) DeleteTag(context.Context, access.Principal, name.Repo, string, string) error {
	return openapi.Errorf(openapi.CodeForbidden, "no")
}

// controlled is an API where people say who they are.
func controlled(p *passes, views ...httpapi.View) *httpapi.API {
	return httpapi.New(httpapi.Config{Service: noTags{}, Authenticator: p, Policy: access.NewScoped(), Tokens: failingTokens{&failing{}}, Memory: 1 << 20, Views: views})
}

func ask(h http.Handler, method, path, authorization string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, nil)
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// TestGuests are told the same whether what they ask for exists or not.
func TestGuests(t *testing.T) {
	const there, absent, shown = "/v1/repos/acme/model/tags/main", "/v1/repos/acme/absent/tags/none", "/v1/repos/public/model/tags/"
	for what, c := range map[string]struct {
		scopes, method, path, authorization string
		want                                int
	}{
		"nothing is public":              {"", "GET", there, "", 401},
		"nor is what does not exist":     {"", "GET", absent, "", 401},
		"nor a list":                     {"", "GET", "/v1/repos", "", 401},
		"nor a path that is none":        {"", "GET", "/v1/nothing", "", 401},
		"what is public":                 {"public/*:pull", "GET", shown + "main", "", 200},
		"what is not there":              {"public/*:pull", "GET", shown + "none", "", 404},
		"what is not public":             {"public/*:pull", "GET", there, "", 401},
		"what is neither":                {"public/*:pull", "GET", absent, "", 401},
		"a change of what is public":     {"public/*:pull", "DELETE", shown + "main", "", 401},
		"one by who may read it":         {"", "DELETE", shown + "main", "Bearer public/*:pull", 403},
		"who may read it":                {"", "GET", there, "Bearer acme/*:pull", 200},
		"who may not":                    {"", "GET", there, "Bearer other/*:admin", 404},
		"a wrong token":                  {"public/*:pull", "GET", shown + "main", "Bearer wrong", 401},
		"for what nobody is asked for":   {"", "GET", "/healthz", "Bearer wrong", 200},
		"the specification":              {"", "GET", "/openapi.yaml", "", 200},
		"a method that the path has not": {"", "POST", "/v1/whoami", "", 405},
	} {
		w := ask(controlled(&passes{guest: access.Principal{Subject: "anonymous", Scopes: c.scopes}}), c.method, c.path, c.authorization)
		if w.Code != c.want || (w.Code == 401) != (w.Header().Get("WWW-Authenticate") != "") {
			t.Errorf("%s: %d %s, want %d", what, w.Code, w.Body, c.want)
		}
	}
	one := ask(controlled(&passes{guest: access.Anonymous}), "GET", there, "").Body.String()
	if other := ask(controlled(&passes{guest: access.Anonymous}), "GET", absent, "").Body.String(); withoutID(one) != withoutID(other) {
		t.Errorf("%s tells from %s", one, other)
	}
}

// withoutID takes the id of the request away, which no two have.
func withoutID(body string) string {
	var doc struct{ Error openapi.Error }
	if err := json.Unmarshal([]byte(body), &doc); err != nil {
		return body
	}
	return string(doc.Error.Code) + doc.Error.Message
}

// TestViews refuse wrong credentials in their own words, and find out by themselves who
// asks if they have credentials of their own.
func TestViews(t *testing.T) {
	seen := ""
	view := func(prefix string, own bool) httpapi.View {
		return httpapi.View{
			Owns: func(path string) bool { return strings.HasPrefix(path, prefix) }, OwnGrants: own,
			Refuse: func(w http.ResponseWriter, _ *http.Request, e *openapi.Error) {
				http.Error(w, "refused: "+e.Message, 418)
			},
			Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				seen = access.FromContext(r.Context()).Subject
			}),
		}
	}
	p := &passes{guest: access.Anonymous}
	api := controlled(p, view("/hub/", false), view("/cas/", true))
	for _, c := range []struct {
		path, authorization, seen string
		want, asked               int
	}{
		{"/hub/x", "Bearer acme/*:pull", "alice", 200, 1},
		{"/hub/x", "", "anonymous", 200, 1},
		{"/hub/x", "Bearer wrong", "", 418, 1},
		{"/cas/x", "Bearer wrong", "anonymous", 200, 0},
	} {
		seen, p.asked = "", 0
		w := ask(api, "GET", c.path, c.authorization)
		if w.Code != c.want || seen != c.seen || p.asked != c.asked {
			t.Errorf("%s, %s: %d, as %q, asked %d times", c.path, c.authorization, w.Code, seen, p.asked)
		}
	}
}

// TestAuthenticatorFails is a fault of the registry and not of who asks.
func TestAuthenticatorFails(t *testing.T) {
	w := ask(controlled(&passes{guest: access.Anonymous, err: errors.New("the store is away")}), "GET", "/v1/repos", "")
	if w.Code != 500 || strings.Contains(w.Body.String(), "away") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// known are Tokens that know one.
type known struct{ failingTokens }

func (known) Info(context.Context, access.Principal) (openapi.Token, bool, error) {
	return openapi.Token{Expires: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}, true, nil
}

func TestWhoami(t *testing.T) {
	p := &passes{guest: access.Principal{Subject: "anonymous", Scopes: "public/*:pull"}}
	api := httpapi.New(httpapi.Config{Authenticator: p, Tokens: known{}, Memory: 1 << 20})
	open := httpapi.New(httpapi.Config{Memory: 1 << 20})
	for _, c := range []struct {
		h                   http.Handler
		authorization, want string
	}{
		{api, "", `{"subject":"anonymous","scopes":["public/*:pull"],"access":"tokens"}`},
		{api, "Bearer acme/*:push", `{"subject":"alice","scopes":["acme/*:push"],"token":"id","expires":"2026-01-02T03:04:05Z","access":"tokens"}`},
		{open, "Bearer whatever", `{"subject":"anonymous","scopes":["*:admin"],"access":"open"}`},
	} {
		w := ask(c.h, "GET", "/v1/whoami", c.authorization)
		if w.Code != 200 || w.Body.String() != c.want || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%q: %d %s, want %s", c.authorization, w.Code, w.Body, c.want)
		}
	}
	w := ask(controlled(p), "GET", "/v1/whoami", "Bearer acme/*:push")
	if w.Code != 200 || strings.Contains(w.Body.String(), "expires") {
		t.Errorf("of a token that is not stored: %d %s", w.Code, w.Body)
	}
	// Where everybody may do everything nobody makes a token that is good later.
	for method, path := range map[string]string{"GET": "/v1/tokens", "DELETE": "/v1/tokens/id"} {
		if w := ask(open, method, path, ""); w.Code != 403 {
			t.Errorf("%s %s of an open registry: %d", method, path, w.Code)
		}
	}
}
