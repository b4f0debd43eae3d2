package integration_test

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/ingot-ml/ingot/openapi"
)

const protectionsURL = "/v1/protections"

// testAccess asks a registry where everybody may do everything for what is about who may
// do what.
func (s *session) testAccess() {
	s.t.Helper()
	var who openapi.Whoami
	if s.get(http.StatusOK, "GET", "/v1/whoami", "", nil, &who); who.Access != openapi.AccessOpen || who.Subject != "anonymous" {
		s.t.Errorf("who asks: %+v", who)
	}
	var set openapi.Protection
	s.get(http.StatusOK, "PUT", protectionsURL, mediaJSON, []byte(`{"pattern":"acme/*:prod","create":true}`), &set)
	var list openapi.ProtectionList
	if s.get(http.StatusOK, "GET", protectionsURL, "", nil, &list); len(list.Protections) != 1 || list.Protections[0] != set || !set.Create {
		s.t.Errorf("protections: %+v, %+v", list, set)
	}
	s.send(http.StatusNoContent, "DELETE", protectionsURL+"?pattern=acme/*:prod", "", nil)
	for _, m := range []mistake{
		{openapi.CodeForbidden, "GET", "/v1/tokens", "", nil},
		{openapi.CodeForbidden, "POST", "/v1/tokens", mediaJSON, []byte(`{"scopes":["*:admin"]}`)},
		{openapi.CodeForbidden, "DELETE", "/v1/tokens/aaaaaaaaaaaaaaaa", "", nil},
		{openapi.CodeNotFound, "DELETE", protectionsURL + "?pattern=acme/*:prod", "", nil},
		{openapi.CodeBadName, "DELETE", protectionsURL, "", nil},
		{openapi.CodeBadName, "PUT", protectionsURL, mediaJSON, []byte(`{"pattern":"acme/*"}`)},
		{openapi.CodeBadRequest, "PUT", protectionsURL, mediaJSON, []byte(`{}`)},
		{openapi.CodeTooLarge, "PUT", protectionsURL, mediaJSON, make([]byte, openapi.MaxJSON+1)},
	} {
		s.fails(m.want, m.method, m.path, m.media, m.body)
	}
}

// accessWrites are refused by a registry that only reads.
func accessWrites() []mistake {
	return []mistake{
		{openapi.CodeReadOnly, "POST", "/v1/tokens", mediaJSON, []byte(`{"scopes":["*:admin"]}`)},
		{openapi.CodeReadOnly, "DELETE", "/v1/tokens/aaaaaaaaaaaaaaaa", "", nil},
		{openapi.CodeReadOnly, "PUT", protectionsURL, mediaJSON, []byte(`{"pattern":"acme/*:prod"}`)},
		{openapi.CodeReadOnly, "DELETE", protectionsURL + "?pattern=acme/*:prod", "", nil},
	}
}

// bearer is a transport that says who asks.
type bearer struct {
	token string
	next  http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	if b.token != "" {
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", "Bearer "+b.token)
	}
	return b.next.RoundTrip(r)
}

// firstToken is how serve tells the first token.
var firstToken = regexp.MustCompile(`admin token, shown only now: (hf_[a-z2-7]+)\n`)

// testTokens makes tokens, and asks without.
func (s *session) testTokens() {
	s.t.Helper()
	r := serveWith(s.t, "--access", "tokens", "--anonymous", "public/*")
	// It is said before the registry answers; what the program says comes by a pipe.
	told := firstToken.FindStringSubmatch(r.log.String())
	for deadline := time.Now().Add(10 * time.Second); told == nil; told = firstToken.FindStringSubmatch(r.log.String()) {
		if time.Now().After(deadline) {
			s.t.Fatalf("no token is told: %s", r.log)
		}
		time.Sleep(time.Millisecond)
	}
	as := func(token string) *session {
		return &session{t: s.t, base: "http://" + r.addr, http: &http.Client{Transport: bearer{token, s.http.Transport}}}
	}
	root := as(told[1])
	var made openapi.NewToken
	root.get(http.StatusCreated, "POST", "/v1/tokens", mediaJSON, []byte(`{"name":"ci","scopes":["acme/*:push"],"expires_seconds":3600}`), &made)
	var list openapi.TokenList
	if root.get(http.StatusOK, "GET", "/v1/tokens?limit=1", "", nil, &list); len(list.Tokens) != 1 || list.Next == "" {
		s.t.Errorf("tokens: %+v", list)
	}
	ci := as(made.Text)
	var who openapi.Whoami
	if ci.get(http.StatusOK, "GET", "/v1/whoami", "", nil, &who); who.Subject != "ci" || who.Token != made.ID || who.Expires == nil || strings.Join(who.Scopes, " ") != "acme/*:push" {
		s.t.Errorf("who asks: %+v", who)
	}
	ci.fails(openapi.CodeForbidden, "POST", "/v1/tokens", mediaJSON, []byte(`{"scopes":["acme/*:pull"]}`))
	ci.fails(openapi.CodeForbidden, "GET", "/metrics", "", nil)
	ci.fails(openapi.CodeForbidden, "PUT", protectionsURL, mediaJSON, []byte(`{"pattern":"acme/*:prod"}`))
	as("").fails(openapi.CodeUnauthorized, "POST", "/v1/tokens", mediaJSON, []byte(`{"scopes":["acme/*:pull"]}`))
	as("hf_none").fails(openapi.CodeUnauthorized, "GET", "/v1/repos", "", nil)
	for _, m := range []mistake{
		{openapi.CodeBadName, "POST", "/v1/tokens", mediaJSON, []byte(`{"scopes":["acme"]}`)},
		{openapi.CodeBadName, "POST", "/v1/tokens", mediaJSON, []byte(`{"scopes":["acme/*:pull"],"name":"a b"}`)},
		{openapi.CodeBadRequest, "POST", "/v1/tokens", mediaJSON, []byte(`{"scopes":[]}`)},
		{openapi.CodeBadRequest, "POST", "/v1/tokens", mediaJSON, []byte(`{"scopes":["acme/*:pull"],"expires_seconds":31622401}`)},
		{openapi.CodeTooLarge, "POST", "/v1/tokens", mediaJSON, make([]byte, openapi.MaxJSON+1)},
		{openapi.CodeBadName, "GET", "/v1/tokens?after=x", "", nil},
		{openapi.CodeBadRequest, "GET", "/v1/tokens?limit=0", "", nil},
		{openapi.CodeNotFound, "DELETE", "/v1/tokens/aaaaaaaaaaaaaaaa", "", nil},
	} {
		root.fails(m.want, m.method, m.path, m.media, m.body)
	}
	root.send(http.StatusNoContent, "DELETE", "/v1/tokens/"+made.ID, "", nil)
	ci.fails(openapi.CodeUnauthorized, "GET", "/v1/tokens", "", nil)
	if b, err := json.Marshal(list); err != nil || strings.Contains(string(b), made.Text) {
		s.t.Errorf("a list tells a token: %s, %v", b, err)
	}
}
