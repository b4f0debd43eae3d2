package placement_test

import (
	"errors"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/registry/internal/placement"
	"github.com/ingot-ml/ingot/registry/manifest"
	"github.com/ingot-ml/ingot/registry/name"
)

// TestSeal flips every bit of a body: no reader takes it for what was written.
func TestSeal(t *testing.T) {
	body := sample()
	raw := body.Encode()
	repo, d := name.Repo{Namespace: "acme", Name: "llama"}, manifest.Name(body.Document)
	nonce := "0123456789abcdef"
	object := placement.BodyName(repo, d, "push", placement.Seal(nonce, raw))
	if got, err := placement.ReadBody(object, raw); err != nil || len(got.Entries) != len(body.Entries) {
		t.Fatal(err)
	}
	for i := range raw {
		for bit := range 8 {
			raw[i] ^= 1 << bit
			if _, err := placement.ReadBody(object, raw); !errors.Is(err, placement.ErrInvalid) {
				t.Fatalf("bit %d of byte %d flipped: %v", bit, i, err)
			}
			raw[i] ^= 1 << bit
		}
	}
	raw = placement.EncodeList(lists())
	list := placement.ListsOf(7) + placement.Seal(nonce, raw) + ".D"
	if got, err := placement.ReadList(list, raw); err != nil || len(got) != len(lists()) {
		t.Errorf("got %v, %v", got, err)
	}
	raw[len(raw)-1] ^= 1 // still a list
	if _, err := placement.ReadList(list, raw); !errors.Is(err, placement.ErrInvalid) {
		t.Errorf("got %v", err)
	}
}

// TestUnsealed reads what was written before there were seals, and the manifest of
// another version.
func TestUnsealed(t *testing.T) {
	body := sample()
	repo := name.Repo{Namespace: "acme", Name: "llama"}
	old := placement.BodyName(repo, manifest.Name(body.Document), "push", "0123456789abcdef")
	if _, err := placement.ReadBody(old, body.Encode()); err != nil {
		t.Error(err)
	}
	other := placement.BodyName(repo, chunker.Sum([]byte("other")), "push", "0123456789abcdef")
	if _, err := placement.ReadBody(other, body.Encode()); !errors.Is(err, placement.ErrInvalid) {
		t.Errorf("got %v", err)
	}
}
