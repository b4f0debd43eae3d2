package access_test

import (
	"slices"
	"testing"

	"github.com/ingot-ml/ingot/registry/internal/access"
)

func TestReach(t *testing.T) {
	policy := access.ByModel(access.NewScoped())
	for scopes, want := range map[string][]string{
		"": nil, "acme/*:pull": {"acme"}, "b/x:push acme/y*:pull acme/z:admin": {"acme", "b"},
		"a/x:pull a-b/x:pull": {"a-b", "a"}, // as keys are sorted
	} {
		got, all := access.Reach(policy, access.Principal{Subject: "alice", Scopes: scopes})
		if all || !slices.Equal(got, want) {
			t.Errorf("%q reaches %v, all %v; want %v", scopes, got, all, want)
		}
	}
	for name, p := range map[string]access.Policy{"open": access.ByModel(access.Open{}), "scoped": policy} {
		if _, all := access.Reach(p, access.Principal{Subject: "root", Scopes: "acme/*:push *:pull"}); !all {
			t.Errorf("%s: not everything is reached", name)
		}
	}
}
