package trust

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/name"
	"github.com/ingot-ml/ingot/registry/signature"
)

// maxKnown bounds the versions that are known to be signed. Others are verified again.
const maxKnown = 4096

// Registry is asked for signatures; *client.Registry is one.
type Registry interface {
	Signatures(ctx context.Context, repo name.Repo, digest chunker.Digest) ([]openapi.Signature, error)
}

// Store keeps signatures beside versions; *disk.Store is one.
type Store interface {
	Signatures(d chunker.Digest) [][]byte
	PutSignature(d chunker.Digest, bundle []byte) error
}

// Rule sets keys for one repository, for a namespace where Repo.Name is empty, or for all
// that has no other Rule where Repo is zero.
type Rule struct {
	Repo name.Repo
	Keys []*signature.PublicKey
}

// Config is what a Gate works with.
type Config struct {
	Registry Registry // nil for none
	Store    Store
	// Keys are those of every repository that has no Rule. The rule of a repository goes
	// before that of its namespace.
	Keys  []*signature.PublicKey
	Rules []Rule
}

// Gate says which versions may be loaded. A nil Gate lets all pass. It is safe for
// concurrent use.
type Gate struct {
	config Config
	rules  map[name.Repo][]*signature.PublicKey

	mu    sync.Mutex         // protects known
	known map[version][]byte // the good signature of each
}

type version struct {
	repo   name.Repo
	digest chunker.Digest
}

// New returns a Gate.
func New(c Config) *Gate {
	g := &Gate{config: c, rules: map[name.Repo][]*signature.PublicKey{}, known: map[version][]byte{}}
	for _, r := range c.Rules {
		g.rules[r.Repo] = r.Keys
	}
	return g
}

// keys returns those of a repository, none where everything may be loaded.
func (g *Gate) keys(repo name.Repo) []*signature.PublicKey {
	if g == nil {
		return nil
	}
	for _, at := range []name.Repo{repo, {Namespace: repo.Namespace}, {}} {
		if keys, ok := g.rules[at]; ok {
			return keys
		}
	}
	return g.config.Keys
}

// Check returns nil for a version that may be loaded. It asks the registry if it has
// to. The error wraps signature.ErrUntrusted for one that may not, and is that of the
// registry if that could not be asked.
func (g *Gate) Check(ctx context.Context, repo name.Repo, d chunker.Digest) error {
	here := g.CheckHere(repo, d)
	if here == nil || g.config.Registry == nil {
		return here
	}
	kept, err := g.config.Registry.Signatures(ctx, repo, d)
	if errors.Is(err, &openapi.Error{Code: openapi.CodeNotFound}) {
		err = nil // it has none, or knows of none
	}
	if err != nil {
		return err
	}
	bundles := make([][]byte, 0, len(kept))
	for _, one := range kept {
		bundles = append(bundles, one.Bundle)
	}
	return g.verify(repo, d, bundles)
}

// CheckHere is Check without the registry.
func (g *Gate) CheckHere(repo name.Repo, d chunker.Digest) error {
	if len(g.keys(repo)) == 0 {
		return nil
	}
	g.mu.Lock()
	_, known := g.known[version{repo, d}]
	g.mu.Unlock()
	if known {
		return nil
	}
	return g.verify(repo, d, g.config.Store.Signatures(d))
}

func (g *Gate) verify(repo name.Repo, d chunker.Digest, bundles [][]byte) error {
	good, err := signature.Verify(d, bundles, g.keys(repo)...)
	if err != nil {
		return fmt.Errorf("%s: %w", repo, err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for other := range g.known {
		if len(g.known) < maxKnown {
			break
		}
		delete(g.known, other)
	}
	g.known[version{repo, d}] = good[0].Text
	return nil
}

// Keep keeps the signature of a version that was checked, once its manifest is on the
// disk. Where nothing was to be checked there is nothing to keep.
func (g *Gate) Keep(repo name.Repo, d chunker.Digest) error {
	if g == nil {
		return nil
	}
	g.mu.Lock()
	bundle := g.known[version{repo, d}]
	g.mu.Unlock()
	if bundle == nil {
		return nil
	}
	return g.config.Store.PutSignature(d, bundle)
}
