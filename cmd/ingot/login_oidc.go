package main

import (
	"context"
	"fmt"

	"github.com/ingot-ml/ingot/client"
)

// exchange has a registry give a token for that of an issuer in a file.
func (p *program) exchange(ctx context.Context, base, file string, o client.Options) (string, error) {
	jwt, err := client.ReadJWT(file)
	if err != nil {
		return "", inputf("login: %v", err)
	}
	r, err := p.dialWith(base, o, firstContact)
	if err != nil {
		return "", err
	}
	defer r.Close()
	got, err := r.Exchange(ctx, jwt)
	if err != nil {
		return "", fmt.Errorf("login: %w", err)
	}
	return got.Token, nil
}
