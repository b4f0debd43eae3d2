package placement_test

import (
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/registry/internal/placement"
	"github.com/ingot-ml/ingot/registry/name"
)

func TestNames(t *testing.T) {
	d := chunker.Sum([]byte("x"))
	hex := d.String()
	repo := name.Repo{Namespace: "acme", Name: "llama.v2"}
	tests := map[string]placement.Named{
		placement.ChunkName(d, "push", 2):            {Kind: placement.Chunk, Push: "push"},
		placement.DeltaName(d, "push", 2):            {Kind: placement.Chunk, Push: "push"},
		placement.BundlesOf("push") + "nonce":        {Kind: placement.Bundle, Push: "push"},
		placement.BodyName(repo, d, "push", "nonce"): {Kind: placement.Bodies, Push: "push", Repo: repo, Version: d},
		placement.HashesName(repo, d, "nonce"):       {Kind: placement.Hashes, Repo: repo, Version: d},
		placement.ListsOf(255) + "nonce.S":           {Kind: placement.Lists},
		"c/" + hex[:3] + "/" + hex + ".push":         {},
		"c/000/" + hex + ".push.0":                   {},
		"c/" + hex[:3]:                               {},
		"b/acme/llama/notes.push.nonce":              {},
		"b/acme/llama/" + hex + ".nonce":             {},
		"h/acme/" + hex + ".nonce":                   {},
		"h/acme/llama/" + hex + ".push.nonce":        {},
		"backup.tar":                                 {},
		"x/y":                                        {},
		"u/push":                                     {},
		"gl/a/b":                                     {},
	}
	for object, want := range tests {
		if got := placement.ParseName(object); got != want {
			t.Errorf("%s is %+v, want %+v", object, got, want)
		}
		if want.Kind != placement.Alien && !strings.HasPrefix(object, want.Kind.Prefix()) {
			t.Errorf("%s does not begin with %s", object, want.Kind.Prefix())
		}
	}
	if got := placement.ListsOf(255); got != "gl/00000000000000ff." {
		t.Error(got)
	}
}
