package name_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/registry/name"
)

var digest = chunker.Sum([]byte("weights"))

func TestParseRef(t *testing.T) {
	llama := name.Repo{Namespace: "meta-llama", Name: "Llama-3-8B"}
	mini := name.Repo{Namespace: "sentence-transformers", Name: "all-MiniLM-L6-v2"}
	for in, want := range map[string]name.Ref{
		"meta-llama/Llama-3-8B":                     {Repo: llama, Tag: name.DefaultTag},
		"meta-llama/Llama-3-8B:prod":                {Repo: llama, Tag: "prod"},
		"meta-llama/Llama-3-8B@" + digest.String():  {Repo: llama, Digest: digest},
		"sentence-transformers/all-MiniLM-L6-v2:v1": {Repo: mini, Tag: "v1"},
		"a/b:_x.y-z":                       {Repo: name.Repo{Namespace: "a", Name: "b"}, Tag: "_x.y-z"},
		"a/b:" + strings.Repeat("t", 128):  {Repo: name.Repo{Namespace: "a", Name: "b"}, Tag: strings.Repeat("t", 128)},
		"0/" + strings.Repeat("n", 96):     {Repo: name.Repo{Namespace: "0", Name: strings.Repeat("n", 96)}, Tag: "main"},
		"a/b:" + strings.Repeat("f", 41):   {Repo: name.Repo{Namespace: "a", Name: "b"}, Tag: strings.Repeat("f", 41)},
		"a/b:g" + strings.Repeat("f", 39):  {Repo: name.Repo{Namespace: "a", Name: "b"}, Tag: "g" + strings.Repeat("f", 39)},
		"01-ai/Yi_34B":                     {Repo: name.Repo{Namespace: "01-ai", Name: "Yi_34B"}, Tag: "main"},
		"TheBloke/Mistral-7B-v0.1-GGUF:q4": {Repo: name.Repo{Namespace: "TheBloke", Name: "Mistral-7B-v0.1-GGUF"}, Tag: "q4"},
	} {
		got, err := name.ParseRef(in)
		if err != nil || got != want {
			t.Errorf("ParseRef(%q) = %+v, %v; want %+v", in, got, err, want)
		}
		if again, err := name.ParseRef(got.String()); err != nil || again != got {
			t.Errorf("ParseRef(%q) = %+v, %v; want %+v back", got.String(), again, err, got)
		}
	}
}

func TestParseRefRefuses(t *testing.T) {
	for in, want := range map[string]string{
		"":                                "want namespace/name[:tag] or namespace/name@digest",
		"llama":                           `reference "llama": want namespace/name[:tag] or namespace/name@digest`,
		"llama:prod":                      "want namespace/name[:tag] or namespace/name@digest",
		"a/b:t@" + digest.String():        "want namespace/name[:tag] or namespace/name@digest",
		"/b":                              `namespace ""`,
		"a/":                              `name ""`,
		"a/b/c":                           `name "b/c"`,
		"../b":                            `namespace ".."`,
		"a/..":                            `name ".."`,
		"a/b..c":                          `name "b..c"`,
		"a/b.":                            `name "b."`,
		"a/b-":                            `name "b-"`,
		"-a/b":                            `namespace "-a"`,
		"_a/b":                            `namespace "_a"`,
		"a/ b":                            `name " b"`,
		"a/bé":                            `name "bé"`,
		"a/b\n":                           `name "b\n"`,
		"a/b:":                            `tag ""`,
		"a/b:-x":                          `tag "-x"`,
		"a/b:.x":                          `tag ".x"`,
		"a/b:x:y":                         `tag "x:y"`,
		"a/b:x/y":                         `tag "x/y"`,
		"a/b:" + strings.Repeat("f", 40):  "40 hex digits name a version",
		"a/b:" + strings.Repeat("aF", 20): "40 hex digits name a version",
		"a/b:" + digest.String():          "64 hex digits name a version",
		"a/b:" + strings.Repeat("t", 129): "want 1 to 128",
		"a/" + strings.Repeat("n", 97):    "want 1 to 96",
		"a/b@":                            "not a digest",
		"a/b@" + digest.Short():           "not a digest",
		"a/b@" + strings.ToUpper(digest.String()): "not a digest",
		"a/b@" + strings.Repeat("0", 64):          "not a digest",
	} {
		got, err := name.ParseRef(in)
		if err == nil {
			t.Errorf("ParseRef(%q) = %+v, want an error", in, got)
			continue
		}
		if !errors.Is(err, name.ErrName) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("ParseRef(%q): error %q, want one line with %q that matches ErrName", in, err, want)
		}
	}
}

func TestParseRepo(t *testing.T) {
	got, err := name.ParseRepo("acme/llama")
	if want := (name.Repo{Namespace: "acme", Name: "llama"}); err != nil || got != want {
		t.Errorf("ParseRepo = %v, %v; want %v", got, err, want)
	}
	for _, in := range []string{"", "acme", "acme/", "/llama", "acme/llama:prod", "acme/llama@x", "a/b/c"} {
		if got, err := name.ParseRepo(in); !errors.Is(err, name.ErrName) {
			t.Errorf("ParseRepo(%q) = %v, %v; want ErrName", in, got, err)
		}
	}
}

func TestText(t *testing.T) {
	type doc struct {
		Repo name.Repo `json:"repo"`
		Ref  name.Ref  `json:"ref"`
	}
	repo := name.Repo{Namespace: "acme", Name: "llama"}
	in := doc{Repo: repo, Ref: name.Ref{Repo: repo, Tag: "prod"}}
	text, err := json.Marshal(in)
	if want := `{"repo":"acme/llama","ref":"acme/llama:prod"}`; err != nil || string(text) != want {
		t.Fatalf("Marshal = %s, %v; want %s", text, err, want)
	}
	var out doc
	if err := json.Unmarshal(text, &out); err != nil || out != in {
		t.Errorf("Unmarshal = %+v, %v; want %+v", out, err, in)
	}
	for _, bad := range []any{
		name.Repo{}, name.Ref{}, name.Ref{Repo: repo},
		name.Ref{Repo: repo, Tag: "prod", Digest: digest},
		name.Ref{Repo: name.Repo{Namespace: "a/b", Name: "c"}, Tag: "t"},
	} {
		if text, err := json.Marshal(bad); !errors.Is(err, name.ErrName) {
			t.Errorf("Marshal(%+v) = %s, %v; want ErrName", bad, text, err)
		}
	}
	if err := json.Unmarshal([]byte(`{"repo":"x"}`), &out); !errors.Is(err, name.ErrName) {
		t.Errorf("Unmarshal of a bad repo: %v, want ErrName", err)
	}
	if err := json.Unmarshal([]byte(`{"ref":"x"}`), &out); !errors.Is(err, name.ErrName) {
		t.Errorf("Unmarshal of a bad reference: %v, want ErrName", err)
	}
}

func FuzzParseRef(f *testing.F) {
	for _, s := range []string{"a/b", "a/b:c", "a/b@" + digest.String(), "a", "a/b:c@d", "meta-llama/Llama-3-8B:main"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := name.ParseRef(s)
		if err != nil {
			if !errors.Is(err, name.ErrName) || strings.ContainsAny(err.Error(), "\n\r") {
				t.Fatalf("ParseRef(%q): %q", s, err)
			}
			return
		}
		if again, err := name.ParseRef(r.String()); err != nil || again != r {
			t.Fatalf("ParseRef(%q) = %+v, but its String gives %+v, %v", s, r, again, err)
		}
		if (r.Tag == "") == r.Digest.IsZero() {
			t.Fatalf("ParseRef(%q) = %+v: want exactly one of tag and digest", s, r)
		}
	})
}

func TestCheckNode(t *testing.T) {
	for _, s := range []string{"a", "gpu-01.eu_west", "0", strings.Repeat("a", name.MaxNode)} {
		if err := name.CheckNode(s); err != nil {
			t.Errorf("%q: %v", s, err)
		}
	}
	for _, s := range []string{"", "-a", ".a", "_a", "a b", "a/b", "é", strings.Repeat("a", name.MaxNode+1)} {
		if err := name.CheckNode(s); !errors.Is(err, name.ErrName) {
			t.Errorf("%q: got %v, want ErrName", s, err)
		}
	}
}

func TestUploads(t *testing.T) {
	repo := name.Repo{Namespace: "acme", Name: "model"}
	u, err := repo.Uploads()
	if err != nil || u.String() != "acme/model.git" || !u.Reserved() || repo.Reserved() || u.Model() != repo || repo.Model() != repo {
		t.Errorf("%v, %v", u, err)
	}
	if back, err := name.ParseRepo(u.String()); err != nil || back != u {
		t.Errorf("%v, %v", back, err)
	}
	for _, long := range []name.Repo{u, {Namespace: "acme", Name: strings.Repeat("x", name.MaxPart-3)}} {
		if u, err := long.Uploads(); !errors.Is(err, name.ErrName) {
			t.Errorf("%v, %v", u, err)
		}
	}
}
