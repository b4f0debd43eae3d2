package protections_test

import (
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/protections"
	"github.com/ingot-ml/ingot/registry/internal/registers"
	"github.com/ingot-ml/ingot/registry/name"
)

var (
	root = access.Principal{Subject: "root", Scopes: "*:admin"}
	lead = access.Principal{Subject: "lead", Scopes: "acme/*:admin public/*:push"}
)

func newService() *protections.Service {
	return protections.New(protections.Config{Registers: registers.NewMemory(), Rights: access.NewScoped(), Now: time.Now, Rand: rand.Reader})
}

func set(t *testing.T, s *protections.Service, p access.Principal, pattern string, create bool) {
	t.Helper()
	if got, err := s.Set(t.Context(), p, pattern, create); err != nil || got.Pattern != pattern || got.Create != create || got.By != p.Subject {
		t.Fatalf("%s: %+v, %v", pattern, got, err)
	}
}

func TestProtects(t *testing.T) {
	s := newService()
	set(t, s, lead, "acme/*:prod", false)
	set(t, s, root, "*:v*", true)
	set(t, s, lead, "acme/frozen:*", false)
	for ref, want := range map[string]string{
		"acme/llama:prod": "acme/*:prod", "acme/llama:prod2": "", "acme/llama:main": "", "other/llama:prod": "",
		"acme/llama:v1": "*:v*", "other/llama:v1": "*:v*", "other/llama:V1": "",
		"acme/frozen:main": "acme/frozen:*", "acme/frozen.git:main": "", "acme/llama.git:prod": "",
	} {
		r, err := name.ParseRef(ref)
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.Protects(t.Context(), r.Repo, r.Tag, true)
		if err != nil || got != want {
			t.Errorf("%s: %q, %v", ref, got, err)
		}
		if want == "*:v*" {
			want = ""
		}
		if got, err := s.Protects(t.Context(), r.Repo, r.Tag, false); err != nil || got != want {
			t.Errorf("%s, which is not there: %q, %v", ref, got, err)
		}
	}
	set(t, s, root, "*:v*", false)
	if got, err := s.Protects(t.Context(), name.Repo{Namespace: "other", Name: "x"}, "v1", false); err != nil || got != "*:v*" {
		t.Errorf("after it was set anew: %q, %v", got, err)
	}
	if err := s.Remove(t.Context(), root, "*:v*"); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Protects(t.Context(), name.Repo{Namespace: "other", Name: "x"}, "v1", true); err != nil || got != "" {
		t.Errorf("after it was removed: %q, %v", got, err)
	}
}

func TestRefuses(t *testing.T) {
	s := newService()
	for _, pattern := range []string{"acme/x", "acme/x:", ":prod", "acme:prod", "acme/x:a*b", "acme/x:-*", "acme/x:../y", "*/x:prod", "acme/x:" + strings.Repeat("a", 129), ""} {
		_, err := s.Set(t.Context(), root, pattern, false)
		if !errors.Is(err, &openapi.Error{Code: openapi.CodeBadName}) {
			t.Errorf("%q: %v", pattern, err)
		}
	}
	for _, pattern := range []string{"*:prod", "public/*:prod", "other/x:prod"} {
		_, err := s.Set(t.Context(), lead, pattern, false)
		gone := s.Remove(t.Context(), lead, pattern)
		for _, err := range []error{err, gone} {
			if !errors.Is(err, &openapi.Error{Code: openapi.CodeForbidden}) {
				t.Errorf("%q: %v", pattern, err)
			}
		}
	}
	if err := s.Remove(t.Context(), root, "acme/x:prod"); !errors.Is(err, &openapi.Error{Code: openapi.CodeNotFound}) {
		t.Error(err)
	}
	full := registers.NewMemory()
	rules := make([]string, openapi.MaxProtections)
	for i := range rules {
		rules[i] = fmt.Sprintf(`{"pattern":"acme/x%03d:prod"}`, i)
	}
	if _, err := full.CAS(t.Context(), "a/protections", registers.Absent, []byte(`{"v":1,"rules":[`+strings.Join(rules, ",")+`]}`)); err != nil {
		t.Fatal(err)
	}
	s = protections.New(protections.Config{Registers: full, Rights: access.NewScoped(), Now: time.Now, Rand: rand.Reader})
	set(t, s, root, "acme/x007:prod", true)
	if _, err := s.Set(t.Context(), root, "acme/y:prod", false); !errors.Is(err, &openapi.Error{Code: openapi.CodeTooLarge}) {
		t.Errorf("one too many: %v", err)
	}
}

// TestList tells of no repository that one may not read.
func TestList(t *testing.T) {
	s := newService()
	for _, pattern := range []string{"*:v*", "acme/*:prod", "acme/secret:prod", "other/*:prod"} {
		set(t, s, root, pattern, false)
	}
	for scopes, want := range map[string]string{
		"*:admin": "*:v* acme/*:prod acme/secret:prod other/*:prod", "acme/*:pull": "*:v* acme/*:prod acme/secret:prod",
		"acme/llama:push": "*:v* acme/*:prod", "third/*:admin": "*:v*", "*:pull": "*:v* acme/*:prod acme/secret:prod other/*:prod",
	} {
		list, err := s.List(t.Context(), access.Principal{Subject: "p", Scopes: scopes})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, one := range list.Protections {
			got = append(got, one.Pattern)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s sees %q", scopes, got)
		}
	}
	if list, err := s.List(t.Context(), access.Anonymous); err != nil || len(list.Protections) != 0 {
		t.Errorf("a guest sees %+v, %v", list, err)
	}
}

// FuzzSet reads whatever it is given into a pattern, or refuses it.
func FuzzSet(f *testing.F) {
	for _, seed := range []string{"acme/*:prod", "*:v*", "a/b:c*", ":", "a/b*:*", "a/b:*c"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, pattern string) {
		s := newService()
		_, err := s.Set(t.Context(), root, pattern, false)
		list, listErr := s.List(t.Context(), root)
		if listErr != nil || len(list.Protections) == 0 && err == nil {
			t.Fatalf("%q: %v, %+v, %v", pattern, err, list, listErr)
		}
		if err != nil && !errors.Is(err, &openapi.Error{Code: openapi.CodeBadName}) {
			t.Fatalf("%q: %v", pattern, err)
		}
	})
}
