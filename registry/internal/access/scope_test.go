package access_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/name"
)

// TestParseScopes spells scopes in one way, whatever the order they came in.
func TestParseScopes(t *testing.T) {
	for text, want := range map[string]string{
		"":                                        "",
		"acme/*:push":                             "acme/*:push",
		" public/*:pull  acme/*:push ":            "acme/*:push public/*:pull",
		"acme/*:pull acme/*:push acme/*:pull":     "acme/*:push",
		"acme/llama:push acme/l*:admin":           "acme/l*:admin",
		"acme/llama:admin acme/l*:push":           "acme/l*:push acme/llama:admin",
		"*:pull acme/x:pull b/y:push":             "*:pull b/y:push",
		"a.b/c-d_e*:pull":                         "a.b/c-d_e*:pull",
		"*:admin other/*:admin x/y:pull q/*:push": "*:admin",
	} {
		got, err := access.ParseScopes(text)
		if err != nil || got.String() != want {
			t.Errorf("%q: %q, %v", text, got, err)
		}
		again, err := access.ParseScopes(got.String())
		if err != nil || again.String() != want {
			t.Errorf("%q read again: %q, %v", text, again, err)
		}
	}
}

func TestBadScopes(t *testing.T) {
	many := strings.Repeat("a/b:pull ", access.MaxScopes) + "a/c:pull"
	long := make([]string, 16)
	for i := range long {
		long[i] = strings.Repeat(string(rune('a'+i)), 90) + "/" + strings.Repeat("n", 90) + ":pull"
	}
	for _, text := range []string{
		"acme/*", "acme/*:write", "acme/*:", ":pull", "acme:pull", "*/llama:pull", "ac*:pull", "acme/*x:pull",
		"acme/**:pull", "/x:pull", "acme/:pull", "acme/../x:pull", "acme/x/y:pull", "acme/*:pull:push", "acme/-*:pull",
		"*:ADMIN", "acme/\x00:pull", "acme/" + strings.Repeat("x", 97) + ":pull", many, strings.Join(long, " "), strings.Repeat(" ", 1<<20),
	} {
		if got, err := access.ParseScopes(text); !errors.Is(err, access.ErrScope) || len(err.Error()) > 400 {
			t.Errorf("%.60q: %q, %.500v", text, got, err)
		}
	}
}

func TestWithin(t *testing.T) {
	for _, c := range []struct {
		s, other string
		within   bool
	}{
		{"", "", true},
		{"acme/x:pull", "", false},
		{"acme/x:pull", "acme/*:push", true},
		{"acme/x*:push", "acme/*:push", true},
		{"acme/*:push", "acme/x*:admin", false},
		{"acme/*:admin", "acme/*:push", false},
		{"acme/*:pull b/c:pull", "acme/*:admin", false},
		{"acme/*:pull b/c:pull", "acme/*:admin b/*:pull", true},
		{"*:pull", "acme/*:admin", false},
		{"acmex/y:pull", "acme/*:admin", false},
		{"acme/*:admin", "*:admin", true},
	} {
		s, other := scopes(t, c.s), scopes(t, c.other)
		if got := s.Within(other); got != c.within {
			t.Errorf("%q within %q: %v", s, other, got)
		}
	}
}

// TestOf narrows scopes to what a role may hand on.
func TestOf(t *testing.T) {
	s := scopes(t, "acme/*:admin public/*:pull ci/x:push")
	for role, want := range map[access.Role]string{
		access.RoleAdmin: "acme/*:admin", access.RolePush: "acme/*:push ci/x:push", access.RolePull: "acme/*:pull ci/x:pull public/*:pull",
	} {
		if got := s.Of(role).String(); got != want {
			t.Errorf("%s: %q, want %q", role, got, want)
		}
	}
	for pattern, want := range map[access.Pattern]bool{"acme/x": true, "ci/*": true, "ci/y": false, "other/*": false, "*": true} {
		if got := s.Overlap(pattern); got != want {
			t.Errorf("overlap with %s: %v", pattern, got)
		}
	}
}

// TestScoped gives each role what it may do, and nothing in other repositories.
func TestScoped(t *testing.T) {
	acme, other, registry := name.Repo{Namespace: "acme", Name: "llama"}, name.Repo{Namespace: "acmes", Name: "llama"}, name.Repo{}
	policy := access.ByModel(access.NewScoped())
	for _, c := range []struct {
		scopes string
		repo   name.Repo
		may    string
	}{
		{"", acme, ""},
		{"acme/*:pull", acme, "read"},
		{"acme/*:push", acme, "read push"},
		{"acme/*:admin", acme, "read push delete admin"},
		{"acme/llama:push", acme, "read push"},
		{"acme/ll*:push", acme, "read push"},
		{"acme/llamas:push", acme, ""},
		{"acme/*:admin", other, ""},
		{"acme/*:admin", registry, ""},
		{"acme/*:pull", name.Repo{Namespace: "acme", Name: "llama.git"}, "read"},
		{"*:push", registry, "read push"},
		{"*:admin", registry, "read push delete admin"},
		{"acme/*:pull *:push", acme, "read push"},
		{"not a scope", acme, ""},
	} {
		var may []string
		for _, a := range []access.Action{access.Read, access.Push, access.Delete, access.Admin} {
			for range 2 { // asked anew, and as it is remembered
				if err := policy.Allow(access.Principal{Subject: "p", Scopes: c.scopes}, c.repo, a); err == nil {
					may = append(may, string(a))
				} else if !errors.Is(err, access.ErrDenied) {
					t.Errorf("%q: %v", c.scopes, err)
				}
			}
		}
		got := ""
		for i := 0; i < len(may); i += 2 {
			got += may[i] + " "
		}
		if strings.TrimSpace(got) != c.may {
			t.Errorf("%q may, in %s: %q, want %q", c.scopes, c.repo, got, c.may)
		}
	}
}

// TestGuest is nobody, with what nobody may do.
func TestGuest(t *testing.T) {
	g := access.Guest(scopes(t, "public/*:pull"))
	if g.Named() || !(access.Principal{Subject: "alice"}).Named() || access.Anonymous.Named() {
		t.Error("who has a name is mistaken")
	}
	if !access.NewScoped().Holds(g, scopes(t, "public/x:pull")[0]) || access.NewScoped().Holds(g, scopes(t, "public/x:push")[0]) {
		t.Error("a guest may do something else")
	}
}

func scopes(t *testing.T, text string) access.Scopes {
	t.Helper()
	s, err := access.ParseScopes(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// FuzzParseScopes reads whatever it is given into scopes that are read again as the
// same, and that allow what their parts do.
func FuzzParseScopes(f *testing.F) {
	for _, seed := range []string{"", "acme/*:push", "*:admin", "a/b*:pull a/bc:push", "a/b:pull:x", "*:pull *", strings.Repeat("a/b:pull ", 40)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := access.ParseScopes(text)
		if err != nil {
			return
		}
		again, err := access.ParseScopes(s.String())
		if err != nil || again.String() != s.String() || !s.Within(again) {
			t.Fatalf("%q is read again as %q, %v", s, again, err)
		}
		for _, word := range strings.Fields(text) {
			one, err := access.ParseScope(word)
			if err != nil || !(access.Scopes{one}).Within(s) {
				t.Fatalf("%q is not in %q, %v", word, s, err)
			}
		}
	})
}
