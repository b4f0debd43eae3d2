package trust_test

import (
	"context"
	"errors"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/nodecache/internal/trust"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/name"
	"github.com/ingot-ml/ingot/registry/signature"
)

var (
	doc   = []byte("a manifest")
	d     = chunker.Sum(doc)
	llama = name.Repo{Namespace: "acme", Name: "llama"}
	qwen  = name.Repo{Namespace: "acme", Name: "qwen"}
	corp  = name.Repo{Namespace: "corp", Name: "llama"}

	errGone = errors.New("no answer")
)

// fake is a registry and a disk.
type fake struct {
	there, here [][]byte
	err         error
	asked       int
}

func (f *fake) Signatures(context.Context, name.Repo, chunker.Digest) (list []openapi.Signature, err error) {
	f.asked++
	for _, b := range f.there {
		list = append(list, openapi.Signature{Bundle: b})
	}
	return list, f.err
}

type disk struct{ *fake }

func (s disk) Signatures(chunker.Digest) [][]byte { return s.here }

func (s disk) PutSignature(_ chunker.Digest, b []byte) error {
	s.here = append(s.here, b)
	return nil
}

func keyed(t *testing.T) (*signature.PrivateKey, []byte) {
	t.Helper()
	key, err := signature.Generate()
	if err != nil {
		t.Fatal(err)
	}
	b, err := signature.Sign(key, doc, signature.Claim{})
	if err != nil {
		t.Fatal(err)
	}
	return key, b
}

func TestGate(t *testing.T) {
	key, signed := keyed(t)
	_, foreign := keyed(t)
	f := &fake{}
	config := trust.Config{Registry: f, Store: disk{f}, Keys: []*signature.PublicKey{key.Public()}}
	g := trust.New(config)
	check := func(what string, want error) {
		t.Helper()
		if err := g.Check(t.Context(), llama, d); !errors.Is(err, want) || (err == nil) != (want == nil) {
			t.Errorf("%s: %v, want %v", what, err, want)
		}
	}
	check("no signature", signature.ErrUntrusted)
	f.there = [][]byte{foreign, []byte("{}")}
	check("of a stranger", signature.ErrUntrusted)
	f.err = openapi.Errorf(openapi.CodeNotFound, "no such path")
	check("a registry that knows of none", signature.ErrUntrusted)
	f.err = errGone
	check("a registry that is gone", errGone)
	f.err, f.there = nil, append(f.there, signed)
	check("signed", nil)
	f.err, f.asked = errGone, 0
	check("again", nil)
	if f.asked != 0 {
		t.Errorf("the registry is asked %d times more", f.asked)
	}
	if err := g.Check(t.Context(), llama, chunker.Sum([]byte("x"))); !errors.Is(err, errGone) {
		t.Errorf("another version: %v", err)
	}

	// After a restart.
	g = trust.New(config)
	check("with nothing on the disk", errGone)
	f.here = [][]byte{foreign}
	check("with another on the disk", errGone)
	if err := g.Keep(llama, d); err != nil || len(f.here) != 1 {
		t.Errorf("what was not checked is kept: %d, %v", len(f.here), err)
	}
	f.here = append(f.here, signed)
	check("with it on the disk", nil)
	if err := g.Keep(llama, d); err != nil || string(f.here[len(f.here)-1]) != string(signed) {
		t.Errorf("%d are kept, %v", len(f.here), err)
	}
}

// TestRules asks whose keys hold where.
func TestRules(t *testing.T) {
	one, byOne := keyed(t)
	two, byTwo := keyed(t)
	keys := func(list ...*signature.PrivateKey) (public []*signature.PublicKey) {
		for _, k := range list {
			public = append(public, k.Public())
		}
		return public
	}
	tests := []struct {
		what   string
		all    []*signature.PublicKey
		rules  []trust.Rule
		repo   name.Repo
		signed [][]byte
		good   bool
	}{
		{"nothing is said", nil, nil, llama, nil, true},
		{"of another repository", nil, []trust.Rule{{qwen, keys(one)}}, llama, nil, true},
		{"of the repository", nil, []trust.Rule{{llama, keys(one)}}, llama, nil, false},
		{"of the namespace", nil, []trust.Rule{{name.Repo{Namespace: "acme"}, keys(one)}}, llama, [][]byte{byTwo}, false},
		{"of another namespace", nil, []trust.Rule{{name.Repo{Namespace: "acme"}, keys(one)}}, corp, nil, true},
		{"of all", nil, []trust.Rule{{name.Repo{}, keys(one)}}, corp, nil, false},
		{"by the key of all", keys(one), nil, llama, [][]byte{byOne}, true},
		{"the repository's own goes before that of all", keys(one), []trust.Rule{{llama, keys(two)}}, llama, [][]byte{byOne}, false},
		{"and is enough", keys(one), []trust.Rule{{llama, keys(two)}}, llama, [][]byte{byTwo}, true},
		{"the repository's goes before the namespace's", nil, []trust.Rule{{name.Repo{Namespace: "acme"}, keys(one)}, {llama, keys(two)}}, llama, [][]byte{byOne}, false},
		{"any of two", keys(one, two), nil, llama, [][]byte{byTwo}, true},
	}
	for _, tt := range tests {
		f := &fake{there: tt.signed}
		g := trust.New(trust.Config{Registry: f, Store: disk{f}, Keys: tt.all, Rules: tt.rules})
		if err := g.Check(t.Context(), tt.repo, d); (err == nil) != tt.good {
			t.Errorf("%s: %v", tt.what, err)
		}
	}
	var none *trust.Gate
	if err := errors.Join(none.Check(t.Context(), llama, d), none.CheckHere(llama, d), none.Keep(llama, d)); err != nil {
		t.Errorf("no gate: %v", err)
	}
}
