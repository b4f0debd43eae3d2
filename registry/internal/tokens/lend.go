package tokens

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/access"
)

// purpose of the grants that are tokens for a short time.
const purpose = "token"

// MaxLent is the longest for which rights are lent: nobody can take them back.
const MaxLent = time.Hour

// Lend returns a token for a short time, of which nothing is stored and which nobody can
// revoke: for those whom somebody else vouches for, again and again.
func (t *Tokens) Lend(ctx context.Context, p access.Principal, life time.Duration) (string, error) {
	if t.Grants == nil || life > MaxLent {
		return "", errors.New("lend a token: there is nothing to sign it with, or it is for too long")
	}
	return t.Grants.Sign(ctx, purpose, p, life)
}

// isLent tells a token that was lent from one that is stored, and from a JWT, which has
// another dot.
func isLent(text string) bool { return strings.Count(text, ".") == 1 }

// borrower returns to whom a token was lent.
func (t *Tokens) borrower(ctx context.Context, text string) (p access.Principal, err error) {
	if t.Grants == nil {
		return p, misspelt
	}
	err = t.Grants.Check(ctx, purpose, text, &p)
	if e, ok := errors.AsType[*openapi.Error](err); ok {
		return access.Principal{}, openapi.Errorf(openapi.CodeUnauthorized, "this token was not given by this registry, or is over (%s): log in again", e.Message)
	}
	if err == nil && (p.Subject == "" || !p.Named()) {
		return access.Principal{}, misspelt
	}
	return p, err
}
