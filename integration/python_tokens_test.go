package integration_test

import (
	"bufio"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// tokensScript publishes by the program and reads by the package itself: with a token of
// the environment, of what login keeps, and with none.
const tokensScript = `
import os, sys, ingot, numpy
tensors = {"w": numpy.arange(1000, dtype=numpy.float32)}
def read(): return {p for p in ingot.resolve("acme/python:main", registry=os.environ["INGOT_REGISTRY"]).files}
ingot.publish(tensors, "acme/python:main", asynchronously=False)
assert read() == {"model.safetensors"}, read()
folder = ingot.snapshot_download("acme/python:main", registry=os.environ["INGOT_REGISTRY"], cache_dir=os.environ["OUT"])
assert os.listdir(folder) == ["model.safetensors"]
del os.environ["INGOT_TOKEN"]
assert read() == {"model.safetensors"}  # by what login keeps
os.environ["XDG_CONFIG_HOME"] = os.environ["OUT"]
try:
    read()
    sys.exit("it reads without a token")
except FileNotFoundError as e:  # whether it is there is not for everybody either
    assert "ingot login" in str(e), e
del os.environ["INGOT_CA_FILE"]
try:
    read()
    sys.exit("it believes whom nobody vouches for")
except ConnectionError:
    pass
`

// TestPythonTokens has the package use a registry that speaks https and wants tokens.
func TestPythonTokens(t *testing.T) {
	t.Parallel()
	interpreter := python(t)
	r := &registry{t: t, home: t.TempDir(), plain: true}
	lender := httptest.NewUnstartedServer(http.NotFoundHandler())
	lender.StartTLS()
	pair := lender.TLS.Certificates[0]
	lender.Close()
	secret, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	both := filepath.Join(r.home, "both.pem")
	text := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})...)
	if err := os.WriteFile(both, text, 0o600); err != nil {
		t.Fatal(err)
	}
	server := r.command("serve", "--data", filepath.Join(r.home, "registry"), "--listen", "127.0.0.1:0", "--access", "tokens", "--tls-cert", both, "--tls-key", both, "--json")
	said, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = server.Process.Kill(), server.Wait() }) // it was killed, so it failed
	var ready struct {
		URL   string `json:"url"`
		Admin string `json:"admin_token"`
	}
	if err := json.NewDecoder(bufio.NewReader(said)).Decode(&ready); err != nil || ready.Admin == "" {
		t.Fatalf("%+v, %v", ready, err)
	}
	env := append(os.Environ(), "HOME="+r.home, "XDG_CONFIG_HOME="+filepath.Join(r.home, "config"), "XDG_CACHE_HOME="+filepath.Join(r.home, "cache"),
		"INGOT_REGISTRY="+ready.URL, "INGOT_CA_FILE="+both, "INGOT_TOKEN="+ready.Admin, "INGOT_PROGRAM="+r.program(), "OUT="+t.TempDir(),
		"INGOT_AGENT=", "PYTHONPATH="+filepath.Join("..", "python", "src"), "PYTHONDONTWRITEBYTECODE=1")
	login := exec.Command(r.program(), "login", "--token-stdin")
	login.Env, login.Stdin = env, strings.NewReader(ready.Admin)
	if out, err := login.CombinedOutput(); err != nil {
		t.Fatalf("login: %v\n%s", err, out)
	}
	script := exec.Command(interpreter, "-c", tokensScript)
	script.Env = env
	if out, err := script.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
