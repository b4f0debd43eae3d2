package main

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/ingot-ml/ingot/registry"
)

// controlled FILE runs a registry where tokens say who may do what, which INGOT_REGISTRY
// names from then on, and writes its first token into the file.
func controlled(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: controlled FILE")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	r, err := registry.Open(context.Background(), registry.Config{
		Data: ts.MkAbs(".controlled"), Access: registry.AccessTokens, Anonymous: []string{"public/*"}, Version: version,
	})
	ts.Check(err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- serveRegistry(ctx, r, listener) }()
	ts.Defer(func() {
		cancel()
		ts.Check(<-done)
	})
	ts.Setenv("INGOT_REGISTRY", listener.Addr().String())
	writeBytes(ts, false, []string{args[0], r.AdminToken()})
}

// keep VARIABLE FIELD keeps a field of the JSON document on standard output.
func keep(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: keep VARIABLE FIELD")
	}
	value, err := lookup([]byte(ts.ReadFile("stdout")), strings.Split(args[1], "."))
	ts.Check(err)
	ts.Setenv(args[0], value)
}

// TestReach refuses an address that others can reach where they could do what they want,
// or read tokens on their way.
func TestReach(t *testing.T) {
	const exposed = "--listen=0.0.0.0:7070"
	tls := []string{"--tls-cert=/cert", "--tls-key=/key"}
	for _, c := range []struct {
		args []string
		says string // or nothing
	}{
		{nil, ""},
		{[]string{"--access=tokens"}, ""},
		{[]string{"--listen=[::1]:1"}, ""},
		{[]string{exposed}, "listen 0.0.0.0:7070 (flag --listen) can be reached by others, and access is open, so that they may do everything: use 127.0.0.1:7070, add --access tokens, or allow it with --insecure"},
		{[]string{"--listen=models.example:80"}, "access is open"},
		{append(tls, exposed), "access is open"},
		{[]string{exposed, "--insecure"}, ""},
		{[]string{exposed, "--access=tokens"}, "tokens could be read on their way: add --tls-cert and --tls-key"},
		{[]string{exposed, "--access=tokens", "--insecure"}, ""},
		{append(tls, exposed, "--access=tokens"), ""},
		{[]string{"--anonymous=public/*"}, "anonymous (flag --anonymous) is for a registry where others need a token: add --access tokens"},
		{[]string{"--anonymous=none"}, ""},
		{[]string{"--anonymous=public/*", "--anonymous=acme/x", "--access=tokens"}, ""},
	} {
		config, err := loadArgs(t, "", nil, c.args...)
		if err != nil {
			t.Fatal(err)
		}
		err = config.settle(&program{environ: []string{"HOME=/u"}})
		if (err == nil) != (c.says == "") || err != nil && (!strings.Contains(err.Error(), c.says) || !errors.Is(err, errUsage)) {
			t.Errorf("%q: %v; want %q", c.args, err, c.says)
		}
	}
}
