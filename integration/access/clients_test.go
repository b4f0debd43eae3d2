package access_test

import (
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/crane"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
)

// TestOCIClients log in with a token as the password of any name, and read what all may
// read without.
func TestOCIClients(t *testing.T) {
	w := newWorld(t)
	host := strings.TrimPrefix(w.url, "http://")
	for what, c := range map[string]struct {
		repo, password string
		ok             bool
	}{
		"a token":                      {"acme/llama", w.tokens[pull], true},
		"no token":                     {"acme/llama", "", false},
		"a wrong one":                  {"acme/llama", "hf_wrong", false},
		"another's":                    {"acme/llama", w.tokens[other], false},
		"no token, for what is public": {"public/llama", "", true},
	} {
		repo, err := remote.NewRepository(host + "/" + c.repo)
		if err != nil {
			t.Fatal(err)
		}
		repo.PlainHTTP = true
		client := &auth.Client{}
		config := authn.AuthConfig{}
		if c.password != "" {
			client.Credential = auth.StaticCredential(host, auth.Credential{Username: "anybody", Password: c.password})
			config = authn.AuthConfig{Username: "anybody", Password: c.password}
		}
		repo.Client = client
		if _, err := repo.Resolve(t.Context(), "main"); (err == nil) != c.ok {
			t.Errorf("oras, with %s: %v", what, err)
		}
		if _, err := crane.Manifest(host+"/"+c.repo+":main", crane.Insecure, crane.WithAuth(authn.FromConfig(config))); (err == nil) != c.ok {
			t.Errorf("crane, with %s: %v", what, err)
		}
	}
}
