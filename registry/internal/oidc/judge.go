package oidc

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"

	gooidc "github.com/coreos/go-oidc/v3/oidc"

	"github.com/ingot-ml/ingot/registry/internal/access"
)

// judge says what a JWT is worth that was verified.
func (i *issuer) judge(jwt string, token *gooidc.IDToken, claims map[string]json.RawMessage) (*bearer, error) {
	b := &bearer{issuer: i.URL, id: identity(jwt, claims), expires: token.Expiry}
	b.who.Subject = "oidc:" + i.name + ":" + token.Subject
	var texts []string
	named := false
	for _, r := range i.rules {
		if !r.matches(claims) {
			continue
		}
		texts = append(texts, r.Scopes...)
		if r.Subject != "" && !named {
			b.who.Subject, named = r.Subject, true
		}
	}
	if len(texts) == 0 {
		return nil, refusef("issuer %s: no rule is for the subject %.200q", i.URL, token.Subject)
	}
	if token.Subject == "" || !isSubject(b.who.Subject) {
		return nil, refusef("issuer %s: the subject %.200q is no name", i.URL, token.Subject)
	}
	var err error
	if b.scopes, err = access.ParseScopes(texts...); err != nil {
		return nil, refusef("issuer %s: the rules for the subject %.200q allow too much together: %w", i.URL, token.Subject, err)
	}
	b.who.Scopes = b.scopes.String()
	return b, nil
}

// identity names a JWT: by the id that its issuer gave it, or by what is signed. Of the
// signature itself there may be several spellings.
func identity(jwt string, claims map[string]json.RawMessage) string {
	var id string
	if json.Unmarshal(claims["jti"], &id) == nil && id != "" {
		return "jti " + id
	}
	sum := sha256.Sum256([]byte(jwt[:strings.LastIndexByte(jwt, '.')]))
	return "sum " + hex.EncodeToString(sum[:])
}

// matches reports whether all claims of the rule are as it says.
func (r *rule) matches(claims map[string]json.RawMessage) bool {
	for claim, want := range r.Claims {
		if !is(claims[claim], want) {
			return false
		}
	}
	return true
}

// is reports whether a claim is that value: a text, a number or a truth as it is
// written, or a list in which a text is.
func is(raw json.RawMessage, want string) bool {
	if len(raw) == 0 {
		return false
	}
	var value any
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if d.Decode(&value) != nil {
		return false
	}
	switch v := value.(type) {
	case string:
		return v == want
	case json.Number:
		return v.String() == want
	case bool:
		return v && want == "true" || !v && want == "false"
	case []any:
		for _, one := range v {
			if one == any(want) {
				return true
			}
		}
	}
	return false
}
