package registry

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/credentials"
	"github.com/ingot-ml/ingot/registry/internal/httpapi"
	"github.com/ingot-ml/ingot/registry/internal/oidc"
)

// Issuer is who vouches for machines by OpenID Connect.
type Issuer = oidc.Issuer

// IssuerRule is what the word of an Issuer is worth.
type IssuerRule = oidc.Rule

// CheckIssuers returns nil for issuers that a registry can be told of.
func CheckIssuers(issuers []Issuer) error { return oidc.Check(issuers) }

// exchangeFirst is for whoever sends a JWT as a token.
var exchangeFirst = openapi.Errorf(openapi.CodeUnauthorized, "a JWT is no token: exchange it first, as \"ingot login --oidc-token-file\" does, or send it as the password of Basic to read")

// vouch has issuers say who somebody is.
func (k *control) vouch(c Config, p *place) (err error) {
	if len(c.OIDC) == 0 {
		return nil
	}
	if !k.controlled() {
		return fmt.Errorf("oidc is for a registry with access %s: here everybody may do everything", AccessTokens)
	}
	k.oidc, err = oidc.New(oidc.Config{
		Issuers: c.OIDC, Registers: p.registers, Lender: k.tokens, Now: time.Now, Rand: rand.Reader, Logger: c.Logger,
	})
	if err != nil {
		return fmt.Errorf("oidc: %w", err)
	}
	jwt := func(basic bool) func(credentials.Credentials) bool {
		return func(c credentials.Credentials) bool {
			return (c.Kind == credentials.Basic) == basic && oidc.IsJWT(c.Secret)
		}
	}
	k.issuers = append(k.issuers,
		credentials.Issuer{Issued: jwt(true), Authenticate: k.oidc.Authenticate},
		credentials.Issuer{Issued: jwt(false), Authenticate: func(context.Context, string) (access.Principal, error) {
			return access.Principal{}, exchangeFirst
		}},
	)
	return nil
}

// exchanger gives tokens for those of issuers; nothing where there are none.
func (k *control) exchanger() httpapi.Exchanger {
	if k.oidc == nil {
		return nil
	}
	return k.oidc
}
