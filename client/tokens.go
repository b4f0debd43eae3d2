package client

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"

	"github.com/ingot-ml/ingot/client/internal/wire"
	"github.com/ingot-ml/ingot/openapi"
)

// CreateToken makes a token. Nobody is told it again. When
// the answer is lost, a token may be left that nobody knows.
func (r *Registry) CreateToken(ctx context.Context, spec openapi.TokenSpec) (openapi.NewToken, error) {
	body, err := json.Marshal(spec)
	if err != nil {
		return openapi.NewToken{}, fmt.Errorf("make a token: %w", err)
	}
	return call[openapi.NewToken](ctx, r, wire.Request{Method: http.MethodPost, Path: []string{"v1", "tokens"}, Type: mediaJSON, Body: body})
}

// Tokens yields the tokens that one may know of. It ends with the first error.
func (r *Registry) Tokens(ctx context.Context) iter.Seq2[openapi.Token, error] {
	return pages(func(after string) ([]openapi.Token, string, error) {
		page, err := get[openapi.TokenList](ctx, r, query("after", after, "limit", pageSize), "v1", "tokens")
		return page.Tokens, page.Next, err
	})
}

// RevokeToken ends a token.
func (r *Registry) RevokeToken(ctx context.Context, id string) error {
	return r.remove(ctx, nil, "v1", "tokens", id)
}

// Protections returns which tags only admins move and delete.
func (r *Registry) Protections(ctx context.Context) ([]openapi.Protection, error) {
	list, err := get[openapi.ProtectionList](ctx, r, nil, "v1", "protections")
	return list.Protections, err
}

// Protect has tags moved and deleted by admins only.
func (r *Registry) Protect(ctx context.Context, spec openapi.ProtectionSpec) (openapi.Protection, error) {
	body, err := json.Marshal(spec)
	if err != nil {
		return openapi.Protection{}, fmt.Errorf("protect %s: %w", spec.Pattern, err)
	}
	return call[openapi.Protection](ctx, r, wire.Request{Method: http.MethodPut, Path: []string{"v1", "protections"}, Type: mediaJSON, Body: body})
}

// Unprotect takes a protection away.
func (r *Registry) Unprotect(ctx context.Context, pattern string) error {
	return r.remove(ctx, query("pattern", pattern), "v1", "protections")
}
