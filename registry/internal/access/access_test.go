package access_test

import (
	"errors"
	"testing"

	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/name"
)

// one allows one repository.
type one name.Repo

func (o one) Allow(_ access.Principal, r name.Repo, _ access.Action) error {
	if r != name.Repo(o) {
		return access.ErrDenied
	}
	return nil
}

// TestByModel gives uploads the access of their model.
func TestByModel(t *testing.T) {
	model := name.Repo{Namespace: "acme", Name: "model"}
	p := access.ByModel(one(model))
	for repo, allowed := range map[name.Repo]bool{
		model: true, {Namespace: "acme", Name: "model.git"}: true,
		{Namespace: "acme", Name: "other.git"}: false, {Namespace: "other", Name: "model.git"}: false, {}: false,
	} {
		if err := p.Allow(access.Anonymous, repo, access.Read); (err == nil) != allowed || err != nil && !errors.Is(err, access.ErrDenied) {
			t.Errorf("%s: %v", repo, err)
		}
	}
}

func TestContext(t *testing.T) {
	if got := access.FromContext(t.Context()); got != access.Anonymous {
		t.Errorf("nobody is %v", got)
	}
	alice := access.Principal{Subject: "alice"}
	if got := access.FromContext(access.NewContext(t.Context(), alice)); got != alice {
		t.Errorf("alice is %v", got)
	}
}
