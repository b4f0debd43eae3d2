package registry_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/registry"
)

// TestFirstToken is made by the first start, and by no other as long as it is good.
func TestFirstToken(t *testing.T) {
	config := registry.Config{Data: t.TempDir(), Access: registry.AccessTokens}
	for start, want := range []bool{true, false, false} {
		c := config
		c.ReadOnly = start == 2
		r, err := registry.Open(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		if got := r.AdminToken(); (got != "") != want {
			t.Errorf("start %d tells %q", start, got)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	open, err := registry.Open(t.Context(), registry.Config{Data: t.TempDir()})
	if err != nil || open.AdminToken() != "" {
		t.Fatalf("an open registry tells a token, or %v", err)
	}
	if err := open.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestAccessIsConfigured(t *testing.T) {
	for says, c := range map[string]registry.Config{
		"want open or tokens":                {Access: "everybody"},
		"anonymous is for a registry":        {Anonymous: []string{"public/*"}},
		`anonymous: pattern "public"`:        {Access: registry.AccessTokens, Anonymous: []string{"public"}},
		`anonymous: pattern "public/*:pull"`: {Access: registry.AccessTokens, Anonymous: []string{"public/*:pull"}},
	} {
		c.Data = t.TempDir()
		if _, err := registry.Open(t.Context(), c); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want %q", err, says)
		}
	}
	if err := registry.CheckAnonymous([]string{"public/*", "acme/x", "*"}); err != nil {
		t.Error(err)
	}
}

// TestServeWithTokens is reached by others only where their tokens cannot be read on the
// way.
func TestServeWithTokens(t *testing.T) {
	for what, c := range map[string]struct {
		config registry.Config
		served bool
	}{
		"tokens in the clear": {registry.Config{Access: registry.AccessTokens}, false},
		"tokens over TLS":     {registry.Config{Access: registry.AccessTokens, TLS: &tls.Config{Certificates: []tls.Certificate{{}}}}, true},
		"TLS for everybody":   {registry.Config{TLS: &tls.Config{Certificates: []tls.Certificate{{}}}}, false},
		"tokens, insecure":    {registry.Config{Access: registry.AccessTokens, Insecure: true}, true},
	} {
		c.config.Data = t.TempDir()
		r, err := registry.Open(t.Context(), c.config)
		if err != nil {
			t.Fatal(err)
		}
		l, err := net.Listen("tcp", "0.0.0.0:0")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel() // it is stopped as soon as it serves
		if err := r.Serve(ctx, l); c.served != (err == nil) || err != nil && !errors.Is(err, registry.ErrExposed) {
			t.Errorf("%s: %v", what, err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}
