package credentials

import (
	"encoding/base64"
	"net/http"
	"strings"

	"github.com/ingot-ml/ingot/openapi"
)

// Cookie is the name of the page's cookie, whose value is a token.
const Cookie = "ingot_session"

// maxSecret bounds a secret in bytes: that of the longest that other issuers write.
const maxSecret = 16 << 10

// Kind is where a request has its credentials.
type Kind int

// The kinds.
const (
	None    Kind = iota
	Bearer       // a token
	Basic        // a token as password, of any name
	Session      // a token in the page's cookie
)

// Credentials is what a request says of who asks.
type Credentials struct {
	Kind   Kind
	Secret string
}

// Of returns the credentials of a request. Errors are *openapi.Error with
// CodeUnauthorized.
func Of(r *http.Request) (Credentials, error) {
	headers := r.Header["Authorization"]
	if len(headers) == 0 {
		return ofCookie(r)
	}
	if len(headers) > 1 {
		return Credentials{}, refusef("the request has %d Authorization headers: send one", len(headers))
	}
	scheme, rest, _ := strings.Cut(headers[0], " ")
	c := Credentials{Secret: strings.TrimSpace(rest)}
	switch {
	case strings.EqualFold(scheme, "Bearer"):
		c.Kind = Bearer
	case strings.EqualFold(scheme, "Basic"):
		c.Kind = Basic
		pair, err := base64.StdEncoding.DecodeString(c.Secret)
		_, password, ok := strings.Cut(string(pair), ":")
		if err != nil || !ok {
			return Credentials{}, refusef("Authorization: what follows Basic is not base64 of name:token")
		}
		c.Secret = password
	default:
		return Credentials{}, refusef("Authorization: %.20q is no scheme of this registry: send Bearer TOKEN, or Basic with the token as password", scheme)
	}
	return c.checked()
}

// ofCookie returns the credentials of the page's cookie, for a request that a browser
// has sent for that page, or for somebody who has typed the address.
func ofCookie(r *http.Request) (Credentials, error) {
	if r.Header["Cookie"] == nil || r.Method != http.MethodGet && r.Method != http.MethodHead {
		return Credentials{}, nil
	}
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "same-origin", "none":
	default:
		return Credentials{}, nil
	}
	found := r.CookiesNamed(Cookie)
	switch len(found) {
	case 0:
		return Credentials{}, nil
	case 1:
		return Credentials{Session, found[0].Value}.checked()
	}
	return Credentials{}, refusef("the request has %d cookies %s: send one", len(found), Cookie)
}

func (c Credentials) checked() (Credentials, error) {
	if c.Secret == "" || len(c.Secret) > maxSecret {
		return Credentials{}, refusef("the token has %d bytes, want 1 to %d", len(c.Secret), maxSecret)
	}
	for i := range len(c.Secret) {
		if c.Secret[i] <= ' ' || c.Secret[i] > '~' {
			return Credentials{}, refusef("the token has other characters than a token: copy it again")
		}
	}
	return c, nil
}

func refusef(format string, args ...any) error {
	return openapi.Errorf(openapi.CodeUnauthorized, format, args...)
}
