package registry

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"time"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/hub"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/credentials"
	"github.com/ingot-ml/ingot/registry/internal/grants"
	"github.com/ingot-ml/ingot/registry/internal/httpapi"
	"github.com/ingot-ml/ingot/registry/internal/oidc"
	"github.com/ingot-ml/ingot/registry/internal/protections"
	"github.com/ingot-ml/ingot/registry/internal/tokens"
)

// AccessMode is who may do what.
type AccessMode string

// The modes.
const (
	AccessOpen   AccessMode = openapi.AccessOpen   // everybody may do everything
	AccessTokens AccessMode = openapi.AccessTokens // what the scopes of their token allow
)

// CheckAnonymous returns nil for patterns of repositories, such as public/*.
func CheckAnonymous(patterns []string) error {
	_, err := anonymous(patterns)
	return err
}

// anonymous returns what everybody may do who does not say who they are.
func anonymous(patterns []string) (access.Scopes, error) {
	scopes := make([]string, len(patterns))
	for i, text := range patterns {
		p, err := access.ParsePattern(text)
		if err != nil {
			return nil, err
		}
		scopes[i] = access.Scope{Pattern: p, Role: access.RolePull}.String()
	}
	return access.ParseScopes(scopes...)
}

// control is who may do what in a registry.
type control struct {
	rights      access.Rights
	guest       access.Principal
	tokens      *tokens.Tokens // nil where everybody may do everything
	protections *protections.Service
	grants      *grants.Grants
	issuers     []credentials.Issuer
	oidc        *oidc.Service // nil where nobody vouches for others
}

// newControl returns the control of a registry as it is configured.
func newControl(c Config, p *place) (*control, error) {
	k := &control{rights: access.Open{}, guest: access.Anonymous}
	k.grants = grants.New(grants.Config{Registers: p.registers, Now: time.Now, Rand: rand.Reader})
	switch c.Access {
	case "", AccessOpen:
		if len(c.Anonymous) > 0 {
			return nil, fmt.Errorf("anonymous is for a registry with access %s: here everybody may do everything", AccessTokens)
		}
	case AccessTokens:
		k.rights = access.NewScoped()
		k.tokens = tokens.New(tokens.Config{Registers: p.registers, Rights: k.rights, Grants: k.grants, Now: time.Now, Rand: rand.Reader})
		k.issuers = append(k.issuers, credentials.Issuer{
			Issued:       func(c credentials.Credentials) bool { return tokens.Issued(c.Secret) },
			Authenticate: k.tokens.Authenticate,
		})
	default:
		return nil, fmt.Errorf("access %.20q: want %s or %s", c.Access, AccessOpen, AccessTokens)
	}
	k.protections = protections.New(protections.Config{Registers: p.registers, Rights: k.rights, Now: time.Now, Rand: rand.Reader})
	may, err := anonymous(c.Anonymous)
	if err != nil {
		return nil, fmt.Errorf("anonymous: %w", err)
	}
	if k.controlled() {
		k.guest = access.Guest(may)
	}
	return k, k.vouch(c, p)
}

// controlled reports whether people have to say who they are.
func (k *control) controlled() bool { return k.tokens != nil }

// authenticator returns what tells who asks; nil where nobody is asked.
func (k *control) authenticator() httpapi.Authenticator {
	if !k.controlled() {
		return nil
	}
	return &credentials.Authenticator{Issuers: k.issuers, Guest: k.guest}
}

// apiTokens are the tokens as package httpapi wants them: nothing where there are none.
func (k *control) apiTokens() httpapi.Tokens {
	if k.tokens == nil {
		return nil
	}
	return k.tokens
}

// valid returns nil if somebody who was given a grant may still ask.
func (k *control) valid(ctx context.Context, p access.Principal) error {
	if k.tokens == nil {
		return nil
	}
	return k.tokens.Valid(ctx, p)
}

// guests tells requests of people who should say who they are.
func (k *control) guests(r *http.Request) bool {
	return k.controlled() && !access.FromContext(r.Context()).Named()
}

// identify returns what tells the hub who asks; nil where nobody is asked.
func (k *control) identify() func(*http.Request) hub.Identity {
	if !k.controlled() {
		return nil
	}
	return func(r *http.Request) hub.Identity {
		p := access.FromContext(r.Context())
		writes := k.rights.Holds(p, access.Scope{Pattern: access.All, Role: access.RolePush})
		if own, err := access.ParseScopes(p.Scopes); err == nil {
			writes = writes || len(own.Of(access.RolePush)) > 0
		}
		return hub.Identity{Name: p.Subject, Known: p.Named(), Reads: !writes, Controlled: true}
	}
}

// AdminToken returns the token that was made when the registry was opened, because no
// admin had one; empty if some had. It is told nowhere else.
func (r *Registry) AdminToken() string { return r.adminToken }

// firstToken makes a token for an admin, if nobody has one.
func (r *Registry) firstToken(ctx context.Context) (err error) {
	if r.control.tokens == nil || r.config.ReadOnly {
		return nil
	}
	r.adminToken, err = r.control.tokens.First(ctx)
	r.recordFirst()
	return err
}
