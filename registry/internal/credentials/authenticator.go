package credentials

import (
	"context"
	"net/http"

	"github.com/ingot-ml/ingot/registry/internal/access"
)

// Issuer knows the credentials of one form.
type Issuer struct {
	// Issued tells, by the form of them, whether the credentials are its own.
	Issued func(Credentials) bool
	// Authenticate returns who has the secret. Those that are wrong are *openapi.Error
	// with CodeUnauthorized.
	Authenticate func(ctx context.Context, secret string) (access.Principal, error)
}

// Authenticator tells who asks. It is safe for concurrent use if its issuers are.
type Authenticator struct {
	Issuers []Issuer // asked in this order
	// Guest is who says nothing of who they are.
	Guest access.Principal
}

// Authenticate returns who sent a request. Credentials that are wrong are
// *openapi.Error with CodeUnauthorized.
func (a *Authenticator) Authenticate(r *http.Request) (access.Principal, error) {
	c, err := Of(r)
	if err != nil {
		return access.Principal{}, err
	}
	if c.Kind == None {
		return a.Guest, nil
	}
	for _, issuer := range a.Issuers {
		if issuer.Issued(c) {
			return issuer.Authenticate(r.Context(), c.Secret)
		}
	}
	return access.Principal{}, refusef("what was sent is not a token of this registry: make one with \"ingot token create\"")
}
