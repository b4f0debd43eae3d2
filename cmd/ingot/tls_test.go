package main

import (
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
)

// lentCertificate is that of a test server, which is its own authority, in a file.
func lentCertificate(t *testing.T) (cert, key string) {
	t.Helper()
	lender := httptest.NewUnstartedServer(http.NotFoundHandler())
	lender.StartTLS()
	defer lender.Close()
	pair := lender.TLS.Certificates[0]
	secret, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	spell := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	return writeFile(t, "cert.pem", spell("CERTIFICATE", pair.Certificate[0])), writeFile(t, "key.pem", spell("PRIVATE KEY", secret))
}

// TestTLS has a registry and an agent that speak https, and want tokens.
func TestTLS(t *testing.T) {
	home := t.TempDir()
	cert, key := lentCertificate(t)
	plain := map[string]string{"HOME": home}
	served := startReady(t, plain, "serve", "--data", filepath.Join(home, "data"), "--listen", "127.0.0.1:0", "--access", "tokens", "--tls-cert", cert, "--tls-key", key)
	if !strings.HasPrefix(served["url"], "https://127.0.0.1:") {
		t.Errorf("it says %v", served)
	}
	env := map[string]string{"HOME": home, "INGOT_REGISTRY": served["url"], "INGOT_TOKEN": served["admin_token"]}
	if got := call(t.Context(), env, "ls"); got.code != exitUnreachable || !strings.Contains(got.stderr, "INGOT_CA_FILE") {
		t.Errorf("whom nobody vouches for: %+v", got)
	}
	env["INGOT_CA_FILE"] = cert
	if got := call(t.Context(), env, "push", "tls_test.go", "acme/file"); got.code != exitDone {
		t.Fatalf("push: %+v", got)
	}
	env["INGOT_REGISTRY"] = strings.Replace(served["url"], "https", "http", 1)
	if got := call(t.Context(), env, "ls", "--timeout", "1ms"); got.code == exitDone {
		t.Errorf("it speaks plain HTTP: %+v", got)
	}

	// login keeps whom to believe.
	delete(env, "INGOT_CA_FILE")
	if got := call(t.Context(), env, "login", served["url"], "--ca-file", cert, "--token-file", writeFile(t, "token", served["admin_token"])); got.code != exitDone {
		t.Fatalf("login: %+v", got)
	}
	plain["INGOT_REGISTRY"] = served["url"]
	if got := call(t.Context(), plain, "ls"); got.code != exitDone || !strings.Contains(got.stdout, "acme/file") {
		t.Errorf("ls: %+v", got)
	}

	// An agent with what login has kept, and one with files of its own.
	tokens := writeFile(t, "tokens", "hf_theTokenOfTheAgent\n")
	for name, told := range map[string][]string{
		"kept":  nil,
		"files": {"--registry-token-file", writeFile(t, "shown", served["admin_token"]), "--ca-file", cert},
	} {
		own := map[string]string{"HOME": home, "INGOT_REGISTRY": served["url"]}
		if told != nil {
			own["HOME"] = t.TempDir()
		}
		args := append([]string{"agent", "--socket", filepath.Join(t.TempDir(), "s"), "--data", t.TempDir(), "--listen", "127.0.0.1:0", "--disk", "16MiB", "--ram", "none",
			"--token-file", tokens, "--tls-cert", cert, "--tls-key", key}, told...)
		agent := startReady(t, own, args...)
		asks := map[string]string{"HOME": home, "INGOT_AGENT": agent["url"], "INGOT_CA_FILE": cert}
		if got := call(t.Context(), asks, "status"); got.code != exitDenied {
			t.Errorf("%s: status without a token: %+v", name, got)
		}
		asks["INGOT_AGENT_TOKEN_FILE"] = tokens
		if got := call(t.Context(), asks, "load", "acme/file", "--tier", "disk"); got.code != exitDone {
			t.Errorf("%s: load: %+v", name, got)
		}
	}
}

// TestTLSMistakes ends serve and agent before they begin.
func TestTLSMistakes(t *testing.T) {
	cert, key := lentCertificate(t)
	home := t.TempDir()
	env := map[string]string{"HOME": home}
	for _, tc := range []struct {
		says string
		args []string
	}{
		{"--tls-key", []string{"serve", "--tls-cert", cert}},
		{"--tls-cert", []string{"serve", "--tls-key", key}},
		{"no such file", []string{"serve", "--tls-cert", cert, "--tls-key", filepath.Join(home, "none")}},
		{"tls-cert (flag --tls-cert)", []string{"serve", "--tls-cert", key, "--tls-key", key}},
		{"--tls-key", []string{"agent", "--listen", "127.0.0.1:0", "--tls-cert", cert}},
		{"--listen", []string{"agent", "--tls-cert", cert, "--tls-key", key}},
		{"--listen", []string{"agent", "--token-file", cert}},
		{"--listen", []string{"agent", "--allow-host", "a.example"}},
		{"--token-file", []string{"agent", "--listen", "0.0.0.0:0"}},
		{"--token-file", []string{"agent", "--listen", "0.0.0.0:0", "--tls-cert", cert, "--tls-key", key}},
		{"--tls-cert", []string{"agent", "--listen", "0.0.0.0:0", "--token-file", writeFile(t, "tokens", "hf_theTokenOfTheAgent")}},
		{"can be guessed", []string{"agent", "--listen", "127.0.0.1:0", "--token-file", writeFile(t, "tokens", "short")}},
		{"no token in it", []string{"agent", "--listen", "127.0.0.1:0", "--token-file", writeFile(t, "tokens", "\n")}},
		{"no such file", []string{"agent", "--registry-token-file", filepath.Join(home, "none")}},
		{"no certificate", []string{"agent", "--ca-file", key}},
	} {
		args := append(tc.args, "--print-config", "--data", home)
		if strings.Contains(tc.says, "tls-cert (") || tc.args[0] == "serve" && tc.says == "no such file" {
			args = append(tc.args, "--data", home, "--listen", "127.0.0.1:0")
		}
		if got := call(t.Context(), env, args...); got.code != exitUsage || !strings.Contains(got.stderr, tc.says) || strings.Count(got.stderr, "\n") != 1 {
			t.Errorf("%v: %+v, want %q", tc.args, got, tc.says)
		}
	}
}
