package hub_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestOffline has every client in Python read a model with no server: from a folder
// that was made straight from a registry, from one that was made of what a node has,
// and from the node's own.
func TestOffline(t *testing.T) {
	t.Parallel()
	registry := serve(t)
	tiny := writeTiny(t, 1)
	commit := registry.push(t, tiny, "acme/tiny")
	registry.ingot(t, nil, "tag", "acme/tiny:main", "v1")
	node := registry.agent(t)
	fromRegistry, fromNode := filepath.Join(t.TempDir(), "registry"), filepath.Join(t.TempDir(), "node")
	var made struct {
		HFCache string `json:"hf_cache"`
		Models  []struct{ Commit, Path string }
	}
	both := []string{"materialize", "acme/tiny", "acme/tiny:v1"}
	registry.ingot(t, nil, append(both, "--registry", registry.url, "--hf-cache", fromRegistry)...)
	registry.ingot(t, nil, append(both, "--socket", node.socket(), "--hf-cache", fromNode)...)
	registry.ingot(t, &made, append(both, "--socket", node.socket())...)
	if len(made.Models) != 2 || made.Models[1].Commit != commit {
		t.Fatalf("materialize: %+v", made)
	}
	nobody := unheard(t)
	for _, p := range pythons {
		if !strings.HasSuffix(p.name, "hf_xet") && p.env.vars != nil {
			continue // nothing is moved
		}
		for _, folder := range []string{fromRegistry, fromNode, made.HFCache} {
			t.Run(p.env.venv+"/"+filepath.Base(folder), func(t *testing.T) {
				t.Parallel()
				env := p.env
				env.vars = append(env.vars[:len(env.vars):len(env.vars)], "HF_HUB_OFFLINE=1", "HF_HUB_CACHE="+folder)
				got := env.run(t, nobody, "offline.py", "acme/tiny", commit, tiny)
				same(t, got.Snapshot, tiny)
			})
		}
	}
}

// TestNoCopy has a client that asks the node find everything in the node's folder: it
// reads metadata and no bytes, so its folder stays what it was.
func TestNoCopy(t *testing.T) {
	t.Parallel()
	registry := serve(t)
	tiny := writeTiny(t, 1)
	commit := registry.push(t, tiny, "acme/tiny")
	registry.ingot(t, nil, "tag", "acme/tiny:main", "v1")
	node := registry.agent(t)
	var made struct {
		HFCache string `json:"hf_cache"`
	}
	registry.ingot(t, &made, "materialize", "acme/tiny", "acme/tiny:v1", "--socket", node.socket())
	blobs := filepath.Join(made.HFCache, "models--acme--tiny", "blobs")
	before, err := os.ReadDir(blobs)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range pythons[:1] {
		env := p.env
		env.vars = append(env.vars[:len(env.vars):len(env.vars)], "HF_HUB_CACHE="+made.HFCache)
		got := env.run(t, node.url, "cached.py", "acme/tiny", commit, tiny)
		same(t, got.Snapshot, tiny)
	}
	after, err := os.ReadDir(blobs)
	if err != nil || len(after) != len(before) {
		t.Errorf("%d blobs, before %d, %v", len(after), len(before), err)
	}
}
