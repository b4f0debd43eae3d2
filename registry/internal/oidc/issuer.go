package oidc

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"

	"github.com/ingot-ml/ingot/registry/internal/access"
)

// Limits of a configuration.
const (
	maxIssuers = 32
	maxRules   = 256
	maxClaims  = 16
)

// Issuer is who vouches for others.
type Issuer struct {
	// URL is what its tokens call it, exactly.
	URL string
	// Audience is what its tokens are to be made for.
	Audience string
	// KeysFile is a file of its public keys, a JWKS; empty asks the issuer for them.
	KeysFile string
	// CAFile is a file of the authorities that its certificate is from, in PEM; empty
	// are those of the system.
	CAFile string
	Rules  []Rule
}

// Rule says what a token is worth.
type Rule struct {
	// Claims have to be what they are here, all of them; a list has to hold it.
	Claims map[string]string
	// Scopes are what its bearer may do, each PATTERN:ROLE.
	Scopes []string
	// Subject is what its bearer is called; empty is made from the issuer and the subject
	// of the token.
	Subject string
}

// algorithms are those by which JWTs may be signed.
var algorithms = []jose.SignatureAlgorithm{
	jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512,
	jose.ES256, jose.ES384, jose.ES512, jose.EdDSA,
}

// open are issuers whose tokens anybody can get, and the claims of which a rule has to
// name one: each of them tells one customer from the others.
var open = map[string][]string{
	"https://token.actions.githubusercontent.com": {"sub", "repository", "repository_id", "repository_owner", "repository_owner_id", "job_workflow_ref"},
	"https://gitlab.com":                          {"sub", "project_path", "project_id", "namespace_path", "namespace_id"},
}

// issuer is an Issuer that is ready.
type issuer struct {
	Issuer
	name     string // in subjects
	rules    []rule
	keys     *keySet
	verifier *gooidc.IDTokenVerifier
}

type rule struct {
	Rule
	scopes access.Scopes
}

// newIssuer checks an Issuer. Nobody is asked for its keys yet.
func newIssuer(c Issuer, now func() time.Time) (*issuer, error) {
	u, err := url.Parse(c.URL)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, fmt.Errorf("issuer %.200q: want the URL that its tokens call it by", c.URL)
	case u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())):
		return nil, fmt.Errorf("issuer %.200q: want https", c.URL)
	case c.Audience == "":
		return nil, fmt.Errorf("issuer %s: no audience: name what its tokens for this registry are made for", c.URL)
	case len(c.Rules) == 0 || len(c.Rules) > maxRules:
		return nil, fmt.Errorf("issuer %s: %d rules, want 1 to %d", c.URL, len(c.Rules), maxRules)
	}
	i := &issuer{Issuer: c, name: u.Host + strings.TrimSuffix(u.Path, "/")}
	for n, r := range c.Rules {
		one, err := newRule(c.URL, r)
		if err != nil {
			return nil, fmt.Errorf("issuer %s: rule %d: %w", c.URL, n+1, err)
		}
		i.rules = append(i.rules, one)
	}
	i.keys = newKeySet(i.load, now)
	supported := make([]string, len(algorithms))
	for n, a := range algorithms {
		supported[n] = string(a)
	}
	i.verifier = gooidc.NewVerifier(c.URL, i.keys, &gooidc.Config{ClientID: c.Audience, SupportedSigningAlgs: supported, Now: now})
	return i, nil
}

func newRule(url string, r Rule) (rule, error) {
	scopes, err := access.ParseScopes(r.Scopes...)
	switch {
	case err != nil:
		return rule{}, err
	case len(scopes) == 0:
		return rule{}, fmt.Errorf("no scopes: say what it allows, such as acme/*:push")
	case len(r.Claims) == 0 || len(r.Claims) > maxClaims:
		return rule{}, fmt.Errorf("%d claims, want 1 to %d: without any it is for everybody whom the issuer knows", len(r.Claims), maxClaims)
	case r.Subject != "" && !isSubject(r.Subject):
		return rule{}, fmt.Errorf("subject %.80q: want at most %d printable characters without spaces", r.Subject, maxSubject)
	}
	for claim, value := range r.Claims {
		if claim == "" || value == "" {
			return rule{}, fmt.Errorf("claim %.80q: want a name and a value, which is compared exactly", claim)
		}
	}
	if one, ok := open[strings.TrimSuffix(url, "/")]; ok && !slices.ContainsFunc(one, func(c string) bool { return r.Claims[c] != "" }) {
		return rule{}, fmt.Errorf("anybody can get tokens of this issuer: name one of the claims %s", strings.Join(one, ", "))
	}
	return rule{r, scopes}, nil
}

// maxSubject bounds who somebody is called in bytes.
const maxSubject = 512

// isSubject tells what people and logs can be given as a name.
func isSubject(s string) bool {
	if s == "" || len(s) > maxSubject || s == access.Anonymous.Subject {
		return false
	}
	for n := range len(s) {
		if s[n] <= ' ' || s[n] > '~' {
			return false
		}
	}
	return true
}
