package grants_test

import (
	"crypto/rand"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/grants"
	"github.com/ingot-ml/ingot/registry/internal/registers"
)

type claims struct {
	Repo string
	Size int64
}

func TestGrants(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	config := grants.Config{Registers: registers.NewMemory(), Now: func() time.Time { return now }, Rand: rand.Reader}
	one, other := grants.New(config), grants.New(config)
	want := claims{"acme/model", 7}
	token, err := one.Sign(t.Context(), "upload", want, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	var got claims
	if err := other.Check(t.Context(), "upload", token, &got); err != nil || got != want {
		t.Errorf("another replica reads %v, %v", got, err)
	}
	config.Registers = registers.NewMemory()
	foreign, err := grants.New(config).Sign(t.Context(), "upload", want, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	text, mac, _ := strings.Cut(token, ".")
	refused := map[string]string{
		"none": "", "only text": text, "no mac": text + ".", "another mac": text + "." + strings.Repeat("A", len(mac)),
		"another text": "x" + text + "." + mac, "of another registry": foreign, "long": token + strings.Repeat("A", 5000), "dots": "...",
	}
	for what, token := range refused {
		if err := one.Check(t.Context(), "upload", token, &got); !errors.Is(err, &openapi.Error{Code: openapi.CodeForbidden}) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := one.Check(t.Context(), "read", token, &got); !errors.Is(err, &openapi.Error{Code: openapi.CodeForbidden}) {
		t.Errorf("for something else: %v", err)
	}
	now = now.Add(time.Hour)
	if err := one.Check(t.Context(), "upload", token, &got); !errors.Is(err, &openapi.Error{Code: openapi.CodeForbidden}) || !strings.Contains(err.Error(), "was good until") {
		t.Errorf("when it is over: %v", err)
	}
}

func FuzzCheck(f *testing.F) {
	g := grants.New(grants.Config{Registers: registers.NewMemory(), Now: time.Now, Rand: rand.Reader})
	token, err := g.Sign(f.Context(), "upload", claims{"a/b", 1}, time.Hour)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(token)
	f.Add("")
	f.Add(".")
	f.Fuzz(func(t *testing.T, s string) {
		var got claims
		if err := g.Check(t.Context(), "upload", s, &got); err == nil && s != token {
			t.Errorf("%q is a grant", s)
		}
	})
}
