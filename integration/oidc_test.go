package integration_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/openapi"
)

// issuer gives out tokens for service accounts, as a cluster does, and has its keys in a file.
type issuer struct {
	t   *testing.T
	key *ecdsa.PrivateKey
	dir string
}

const (
	clusterURL = "https://kubernetes.default.svc"
	clusterFor = "https://models.example"
)

// newIssuer returns a cluster, with the file that tells a registry of it: whoever is
// ml:trainer there may push to ml, and ml:node may read that.
func newIssuer(t *testing.T) *issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	point, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	c := &issuer{t, key, t.TempDir()}
	e := base64.RawURLEncoding.EncodeToString
	c.write("jwks.json", fmt.Sprintf(`{"keys":[{"kty":"EC","crv":"P-256","use":"sig","kid":"one","x":%q,"y":%q}]}`, e(point[1:33]), e(point[33:])))
	c.write("oidc.yaml", `
issuers:
- issuer: `+clusterURL+`
  audience: `+clusterFor+`
  jwks_file: jwks.json
  rules:
  - claims: {sub: "system:serviceaccount:ml:trainer"}
    scopes: ["ml/*:push"]
  - claims: {sub: "system:serviceaccount:ml:node"}
    scopes: ["ml/*:pull"]
    subject: nodes
`)
	return c
}

func (c *issuer) path(name string) string { return filepath.Join(c.dir, name) }

func (c *issuer) write(name, text string) {
	c.t.Helper()
	if err := os.WriteFile(c.path(name), []byte(text), 0o600); err != nil {
		c.t.Fatal(err)
	}
}

// jwt is what the cluster says of a service account, with other claims than it would
// make by itself.
func (c *issuer) jwt(account string, others map[string]any) string {
	c.t.Helper()
	all := map[string]any{
		"iss": clusterURL, "aud": []string{clusterFor}, "sub": "system:serviceaccount:" + account, "jti": rand.Text(),
		"iat": time.Now().Unix(), "exp": time.Now().Add(10 * time.Minute).Unix(),
	}
	maps.Copy(all, others)
	claims, err := json.Marshal(all)
	if err != nil {
		c.t.Fatal(err)
	}
	e := base64.RawURLEncoding.EncodeToString
	text := e([]byte(`{"alg":"ES256","kid":"one"}`)) + "." + e(claims)
	sum := sha256.Sum256([]byte(text))
	r, s, err := ecdsa.Sign(rand.Reader, c.key, sum[:])
	if err != nil {
		c.t.Fatal(err)
	}
	return text + "." + e(append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...))
}

// serveFor starts a registry that takes the cluster's word.
func serveFor(t *testing.T, c *issuer) *registry {
	t.Helper()
	r := &registry{t: t, data: filepath.Join(t.TempDir(), "data"), addr: freeAddress(t), home: t.TempDir(),
		args: []string{"--access", "tokens", "--oidc", c.path("oidc.yaml")}}
	r.start()
	t.Cleanup(r.kill)
	return r
}

// denied wants a command to end with the exit code of who may not do something.
func (r *registry) denied(code int, says string, args ...string) {
	r.t.Helper()
	out, err := r.command(args...).CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != code || !strings.Contains(string(out), says) {
		r.t.Errorf("ingot %q: %v, want exit code %d: %s", args, err, code, out)
	}
}

// TestMachinesLogIn has a job and a node come to a registry with what their cluster says
// of them, and nothing else.
func TestMachinesLogIn(t *testing.T) {
	t.Parallel()
	c := newIssuer(t)
	r := serveFor(t, c)
	model := t.TempDir()
	if err := os.WriteFile(filepath.Join(model, "config.json"), []byte(`{"a":1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	r.denied(9, "token", "push", model, "ml/x")

	c.write("job", c.jwt("ml:trainer", nil)+"\n")
	var in struct {
		Subject string   `json:"subject"`
		Scopes  []string `json:"scopes"`
	}
	if r.json(&in, "login", "--oidc-token-file", c.path("job")); in.Subject != "oidc:kubernetes.default.svc:system:serviceaccount:ml:trainer" || len(in.Scopes) != 1 {
		t.Errorf("logged in as %+v", in)
	}
	pushed := r.push(model, "ml/x")
	r.denied(3, "not found", "push", model, "acme/x")
	r.denied(9, "was exchanged before", "login", "--oidc-token-file", c.path("job"))
	c.write("forged", c.jwt("ml:trainer", map[string]any{"aud": "somebody else"}))
	r.denied(9, "is not taken", "login", "--oidc-token-file", c.path("forged"))
	c.write("none", "no JWT")
	r.denied(7, "holds no JWT", "login", "--oidc-token-file", c.path("none"))

	// The node has no other credentials than these.
	r.home = t.TempDir()
	c.write("node", c.jwt("ml:node", nil))
	n := r.node("", "--registry-oidc-token-file", c.path("node"))
	if got := n.load("ml/x:main", openapi.TierDisk); got.Version.String() != pushed.Digest {
		t.Errorf("loaded %+v", got)
	}
}

// TestSignedModels has an agent follow a tag whose versions have to be signed, as they
// are with the program.
func TestSignedModels(t *testing.T) {
	t.Parallel()
	r := serve(t)
	key, model := filepath.Join(t.TempDir(), "key"), t.TempDir()
	r.json(new(any), "sign", "--generate-key", key)
	write := func(text string) receipt {
		if err := os.WriteFile(filepath.Join(model, "config.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return r.push(model, "ml/x:prod")
	}
	first := write(`{"a":1}`)
	r.json(new(any), "sign", "ml/x:prod", "--key", key)
	n := r.node("models: [{ref: ml/x:prod, tier: disk, watch: true, signed-by: " + key + ".pub}]\n")
	n.untilServed("ml/x:prod", first.Digest, openapi.TierDisk)

	next := write(`{"a":2}`)
	n.until("the next version is refused", func() error {
		if m := n.model("ml/x:prod"); !strings.Contains(m.Error, "not signed by a trusted key") || m.Version != first.Digest {
			return fmt.Errorf("it is %+v", m)
		}
		return nil
	})
	_, err := n.Load(t.Context(), openapi.LoadRequest{Ref: "ml/x@" + next.Digest, Tier: openapi.TierDisk})
	refused(t, err, openapi.CodeForbidden, "not signed by a trusted key")
	r.json(new(any), "sign", "ml/x:prod", "--key", key)
	n.untilServed("ml/x:prod", next.Digest, openapi.TierDisk)
	r.denied(2, "a repository has one", "agent", "--print-config", "--config", twoKeys(t, key))
}

// twoKeys is a file in which a repository is to be signed by two keys.
func twoKeys(t *testing.T, key string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "agent.yaml")
	text := fmt.Sprintf("models: [{ref: ml/x:prod, signed-by: %[1]s.pub}, {ref: ml/x:dev, signed-by: %[1]s.other}]\n", key)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
