package tokens_test

import (
	"crypto/rand"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/registers"
	"github.com/ingot-ml/ingot/registry/internal/tokens"
	"github.com/ingot-ml/ingot/registry/name"
)

// BenchmarkRequest is what access control costs a request for a chunk: to find out whose
// the token is, and what it allows.
func BenchmarkRequest(b *testing.B) {
	policy := access.NewScoped()
	all := tokens.New(tokens.Config{Registers: registers.NewMemory(), Rights: policy, Now: time.Now, Rand: rand.Reader})
	scopes, err := access.ParseScopes("acme/*:push", "public/*:pull")
	if err != nil {
		b.Fatal(err)
	}
	text, _, err := all.Create(b.Context(), root, tokens.Spec{Scopes: scopes})
	if err != nil {
		b.Fatal(err)
	}
	repo := name.Repo{Namespace: "acme", Name: "llama"}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			p, err := all.Authenticate(b.Context(), text)
			if err != nil || policy.Allow(p, repo, access.Push) != nil {
				b.Error(err)
				return
			}
		}
	})
}
