package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/registry"
)

// settled returns what serve makes of flags and variables.
func settled(t *testing.T, environ []string, args ...string) (registry.Config, error) {
	t.Helper()
	told, c := newServeConfig(), newServeConfig()
	p := &program{environ: append(environ, "HOME="+t.TempDir())}
	cmd := p.serveCommand()
	cmd.ResetFlags()
	told.bind(cmd.Flags())
	if err := cmd.Flags().Parse(args); err != nil {
		return registry.Config{}, err
	}
	err := c.load("", p.environ, cmd.Flags())
	if err == nil {
		err = c.settle(p)
	}
	return c.registry, err
}

// TestUpstreamFlags reads hubs, hosts and tokens.
func TestUpstreamFlags(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(secret, []byte("hf_acme\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := settled(t, []string{tokenVariable + "=hf_all"},
		"--upstream", "https://hub.example", "--upstream=acme=http://127.0.0.1:8080/hub", "--upstream", "other=https://other.example",
		"--upstream-host", "cdn.example,*.parts.example:8443", "--upstream-token-file", "acme="+secret, "--upstream-refresh", "30s", "--offline")
	if err != nil {
		t.Fatal(err)
	}
	want := []registry.Upstream{
		{URL: "https://hub.example", Token: "hf_all"},
		{Namespace: "acme", URL: "http://127.0.0.1:8080/hub", Token: "hf_acme"},
		{Namespace: "other", URL: "https://other.example"},
	}
	if len(c.Upstreams) != len(want) {
		t.Fatalf("upstreams %+v", c.Upstreams)
	}
	for i := range want {
		if c.Upstreams[i] != want[i] {
			t.Errorf("upstream %d is %+v, want %+v", i, c.Upstreams[i], want[i])
		}
	}
	if len(c.UpstreamHosts) != 2 || !c.Offline || c.UpstreamRefresh.Seconds() != 30 {
		t.Errorf("hosts %q, offline %v, refresh %v", c.UpstreamHosts, c.Offline, c.UpstreamRefresh)
	}
}

// TestUpstreamMistakes says what is wrong, and no secret.
func TestUpstreamMistakes(t *testing.T) {
	spaces := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(spaces, []byte("hf_one hf_two"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		says string
		args []string
	}{
		{"https://HOST", []string{"--upstream", "hub.example"}},
		{"https://HOST", []string{"--upstream", "https://user:secret@hub.example"}},
		{"https://HOST", []string{"--upstream", "https://a.example,https://b.example"}},
		{"https://HOST", []string{"--upstream", "a/b=https://a.example"}},
		{"HOST:PORT", []string{"--upstream-host", "https://cdn.example"}},
		{"at least 1s", []string{"--upstream-refresh", "1ms"}},
		{"whole path", []string{"--upstream", "https://a.example", "--upstream-token-file", "token"}},
		{"no upstream of its own", []string{"--upstream", "https://a.example", "--upstream-token-file", "acme=" + spaces}},
		{"one word", []string{"--upstream", "https://a.example", "--upstream-token-file", spaces}},
		{"no such file", []string{"--upstream", "https://a.example", "--upstream-token-file", "/no/such/file"}},
		{"read-only", []string{"--upstream", "https://a.example", "--read-only"}},
	} {
		_, err := settled(t, nil, c.args...)
		if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "hf_") {
			t.Errorf("%q: %v, want %q", c.args, err, c.says)
		}
	}
}
