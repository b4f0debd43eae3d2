package credentials_test

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/credentials"
)

func request(method string, header http.Header) *http.Request {
	r := httptest.NewRequest(method, "/v1/repos", nil)
	r.Header = header
	return r
}

func basic(pair string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(pair)) }

func TestOf(t *testing.T) {
	session := credentials.Cookie + "=tok"
	for _, c := range []struct {
		what, method string
		header       http.Header
		want         credentials.Credentials
	}{
		{"none", "GET", http.Header{}, credentials.Credentials{}},
		{"bearer", "PUT", http.Header{"Authorization": {"Bearer tok"}}, credentials.Credentials{Kind: credentials.Bearer, Secret: "tok"}},
		{"bearer, spelt otherwise", "GET", http.Header{"Authorization": {"bearer  tok "}}, credentials.Credentials{Kind: credentials.Bearer, Secret: "tok"}},
		{"basic", "GET", http.Header{"Authorization": {basic("any:tok")}}, credentials.Credentials{Kind: credentials.Basic, Secret: "tok"}},
		{"basic without a name", "GET", http.Header{"Authorization": {basic(":tok")}}, credentials.Credentials{Kind: credentials.Basic, Secret: "tok"}},
		{"the page's cookie", "GET", http.Header{"Cookie": {session}}, credentials.Credentials{Kind: credentials.Session, Secret: "tok"}},
		{"of the page itself", "HEAD", http.Header{"Cookie": {session}, "Sec-Fetch-Site": {"same-origin"}}, credentials.Credentials{Kind: credentials.Session, Secret: "tok"}},
		{"of a page elsewhere", "GET", http.Header{"Cookie": {session}, "Sec-Fetch-Site": {"cross-site"}}, credentials.Credentials{}},
		{"of a neighbour", "GET", http.Header{"Cookie": {session}, "Sec-Fetch-Site": {"same-site"}}, credentials.Credentials{}},
		{"for a change", "POST", http.Header{"Cookie": {session}}, credentials.Credentials{}},
		{"another cookie", "GET", http.Header{"Cookie": {"other=tok"}}, credentials.Credentials{}},
		{"the header goes first", "GET", http.Header{"Cookie": {session}, "Authorization": {"Bearer other"}}, credentials.Credentials{Kind: credentials.Bearer, Secret: "other"}},
	} {
		if got, err := credentials.Of(request(c.method, c.header)); err != nil || got != c.want {
			t.Errorf("%s: %+v, %v", c.what, got, err)
		}
	}
}

func TestOfRefuses(t *testing.T) {
	for what, header := range map[string]http.Header{
		"two headers":      {"Authorization": {"Bearer tok", "Bearer tok"}},
		"nothing":          {"Authorization": {""}},
		"no token":         {"Authorization": {"Bearer "}},
		"another scheme":   {"Authorization": {"Digest tok"}},
		"no base64":        {"Authorization": {"Basic !"}},
		"no password":      {"Authorization": {basic("tok")}},
		"an empty one":     {"Authorization": {basic("any:")}},
		"a space inside":   {"Authorization": {"Bearer to ken"}},
		"two tokens":       {"Authorization": {"Bearer tok, Bearer tok"}},
		"a control":        {"Authorization": {basic("any:tok\x00")}},
		"too long":         {"Authorization": {"Bearer " + strings.Repeat("x", 20<<10)}},
		"two cookies":      {"Cookie": {credentials.Cookie + "=a; " + credentials.Cookie + "=b"}},
		"a cookie of none": {"Cookie": {credentials.Cookie + "="}},
	} {
		got, err := credentials.Of(request("GET", header))
		if !errors.Is(err, &openapi.Error{Code: openapi.CodeUnauthorized}) || strings.Contains(err.Error(), "tok,") || got.Kind != credentials.None {
			t.Errorf("%s: %+v, %.200v", what, got, err)
		}
	}
}

func TestAuthenticate(t *testing.T) {
	guest := access.Principal{Subject: "anonymous", Scopes: "public/*:pull"}
	issuer := func(prefix string) credentials.Issuer {
		return credentials.Issuer{
			Issued: func(c credentials.Credentials) bool { return strings.HasPrefix(c.Secret, prefix) },
			Authenticate: func(_ context.Context, secret string) (access.Principal, error) {
				return access.Principal{Subject: prefix + " has " + secret}, nil
			},
		}
	}
	a := &credentials.Authenticator{Guest: guest, Issuers: []credentials.Issuer{issuer("a"), issuer("b")}}
	for header, want := range map[string]string{"Bearer a1": "a has a1", "Bearer b1": "b has b1", basic("x:ab"): "a has ab"} {
		if p, err := a.Authenticate(request("GET", http.Header{"Authorization": {header}})); err != nil || p.Subject != want {
			t.Errorf("%s: %+v, %v", header, p, err)
		}
	}
	if p, err := a.Authenticate(request("GET", http.Header{})); err != nil || p != guest {
		t.Errorf("nobody is %+v, %v", p, err)
	}
	if p, err := a.Authenticate(request("GET", http.Header{"Authorization": {"Bearer c1"}})); !errors.Is(err, &openapi.Error{Code: openapi.CodeUnauthorized}) {
		t.Errorf("a token of nobody's: %+v, %v", p, err)
	}
}

// FuzzOf reads whatever headers a request has.
func FuzzOf(f *testing.F) {
	f.Add("GET", "Bearer tok", "", "")
	f.Add("GET", basic("any:tok"), "", "")
	f.Add("GET", "", credentials.Cookie+"=tok", "none")
	f.Add("POST", "Basic Og==", credentials.Cookie+"=a; "+credentials.Cookie+"=b", "cross-site")
	f.Fuzz(func(t *testing.T, method, authorization, cookie, site string) {
		r := &http.Request{Method: method, Header: http.Header{}}
		for key, value := range map[string]string{"Authorization": authorization, "Cookie": cookie, "Sec-Fetch-Site": site} {
			if value != "" {
				r.Header.Set(key, value)
			}
		}
		c, err := credentials.Of(r)
		if (c.Kind == credentials.None) != (c.Secret == "") || err != nil && c.Kind != credentials.None {
			t.Fatalf("%+v, %v", c, err)
		}
		if strings.Trim(c.Secret, "!\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~") != "" {
			t.Fatalf("secret %q", c.Secret)
		}
	})
}
