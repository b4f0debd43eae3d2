package tokens

import (
	"context"
	"errors"
	"fmt"

	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/record"
	"github.com/ingot-ml/ingot/registry/internal/registers"
)

// firstKey is the register of who makes the first token: of replicas that start at the
// same time one.
const firstKey = "a/first"

// first is that register.
type first struct{ record.Stamp }

// First makes a token for an admin of the registry, if nobody has one that is good. It
// returns none otherwise.
func (t *Tokens) First(ctx context.Context) (string, error) {
	var rec first
	turn, err := t.book.Load(ctx, firstKey, &rec)
	if err != nil {
		return "", fmt.Errorf("look for an admin's token: %w", err)
	}
	there, err := t.hasAdmin(ctx)
	if there || err != nil {
		return "", err
	}
	if _, err := t.book.Swap(ctx, firstKey, turn, &rec); errors.Is(err, registers.ErrConflict) {
		return "", nil // another replica tells one
	} else if err != nil {
		return "", fmt.Errorf("make the first token: %w", err)
	}
	operator := access.Principal{Subject: "operator", Scopes: everything.String()}
	text, _, err := t.Create(ctx, operator, Spec{Name: "admin", Scopes: access.Scopes{everything}, Life: MaxLife})
	return text, err
}

// hasAdmin reports whether a token of an admin of the registry is good.
func (t *Tokens) hasAdmin(ctx context.Context) (found bool, err error) {
	err = t.each(ctx, func(_ string, rec *stored) (bool, error) {
		scopes, err := access.ParseScopes(rec.Scopes)
		found = err == nil && (access.Scopes{everything}).Within(scopes) && rec.Revoked.IsZero() && t.Now().Before(rec.Expires)
		return !found, nil
	})
	if err != nil {
		return false, fmt.Errorf("look for an admin's token: %w", err)
	}
	return found, nil
}

// each calls f with all tokens until it returns false.
func (t *Tokens) each(ctx context.Context, f func(id string, rec *stored) (bool, error)) error {
	return t.book.Each(ctx, prefix, "", func(e registers.Entry) (bool, error) {
		var rec stored
		if _, err := t.book.Load(ctx, e.Key, &rec); err != nil {
			return false, err
		}
		return f(e.Key[len(prefix):], &rec)
	})
}
