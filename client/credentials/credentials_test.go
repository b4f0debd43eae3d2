package credentials_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/client/credentials"
)

const token = "hf_abcDEF0123456789"

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func TestOriginOf(t *testing.T) {
	for address, want := range map[string]credentials.Origin{
		"https://Models.Example":        "https://models.example",
		"https://models.example:443/":   "https://models.example",
		"http://models.example:443":     "http://models.example:443",
		"http://127.0.0.1:7070/path":    "http://127.0.0.1:7070",
		"http://[::1]:80":               "http://[::1]",
		"https://[2001:DB8::1]:7443":    "https://[2001:db8::1]:7443",
		"ftp://models.example":          "",
		"models.example:7070":           "",
		"https://":                      "",
		"https://user:hf_abc@a.example": "",
		"https://:7070":                 "",
		"":                              "",
		"https://a b":                   "",
	} {
		got, err := credentials.OriginOf(address)
		if got != want || (err == nil) != (want != "") || err != nil && strings.Contains(err.Error(), "hf_abc") {
			t.Errorf("%s is %q, %v", address, got, err)
		}
	}
}

func TestCheck(t *testing.T) {
	for text, good := range map[string]bool{
		token: true, "a": true, "a.b-c_d~e+f/g=": true, "": false, "a b": false, "a\nb": false, "a\x7f": false, "ä": false,
		strings.Repeat("x", 16<<10): true, strings.Repeat("x", 16<<10+1): false,
	} {
		err := credentials.Check(text)
		if (err == nil) != good {
			t.Errorf("%.20q: %v", text, err)
		}
	}
}

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "below", "credentials.json")
	f := credentials.Open(path)
	if e, ok, err := f.Get("https://a.example"); ok || err != nil {
		t.Errorf("of no file: %v, %v, %v", e, ok, err)
	}
	if removed, err := f.Remove("https://a.example"); removed || err != nil {
		t.Errorf("of no file: %v, %v", removed, err)
	}
	want := credentials.Entry{Token: token, Insecure: true, CAFile: "/ca.pem"}
	for _, origin := range []credentials.Origin{"https://a.example", "http://b.example:7070"} {
		if err := f.Put(origin, want); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", info.Mode(), err)
	}
	folder, err := os.Stat(filepath.Dir(path))
	if err != nil || folder.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", folder.Mode(), err)
	}
	again := credentials.Open(path)
	if got, ok, err := again.Get("http://b.example:7070"); got != want || !ok || err != nil {
		t.Errorf("%v, %v, %v", got, ok, err)
	}
	if _, ok, _ := again.Get("https://b.example"); ok {
		t.Error("another scheme has the token")
	}
	if removed, err := f.Remove("https://a.example"); !removed || err != nil {
		t.Errorf("%v, %v", removed, err)
	}
	if got, err := again.Origins(); err != nil || !slices.Equal(got, []credentials.Origin{"http://b.example:7070"}) {
		t.Errorf("%v, %v", got, err)
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 {
		t.Errorf("%v is left, %v", entries, err)
	}
	if err := f.Put("https://a.example", credentials.Entry{Token: "two words"}); err == nil || strings.Contains(err.Error(), "two") {
		t.Errorf("what is no token is kept: %v", err)
	}
}

// TestReadableFile uses no file that others than the user could have read.
func TestReadableFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "credentials.json")
	text := `{"registries":{"https://a.example":{"token":"` + token + `"}}}`
	for _, mode := range []os.FileMode{0o640, 0o604, 0o644, 0o620, 0o660} {
		write(t, path, text, mode)
		f := credentials.Open(path)
		_, ok, err := f.Get("https://a.example")
		if ok || !errors.Is(err, credentials.ErrReadable) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "chmod 600") {
			t.Errorf("%o: %v, %v", mode, ok, err)
		}
		if err := f.Put("https://a.example", credentials.Entry{Token: token}); !errors.Is(err, credentials.ErrReadable) {
			t.Errorf("%o: it is written to: %v", mode, err)
		}
	}
	write(t, path, text, 0o400)
	if e, ok, err := credentials.Open(path).Get("https://a.example"); e.Token != token || !ok || err != nil {
		t.Errorf("0400: %v, %v, %v", e, ok, err)
	}
}

func TestBrokenFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "credentials.json")
	for _, text := range []string{
		"", "[]", `{"registries":7}`, `{"registries":{"https://a.example":{"token":""}}}`,
		`{"registries":{"https://a.example":{"token":"` + token + ` x"}}}`, `{"registries":{"a.example":{"token":"` + token + `"}}}`,
		`{"registries":{"https://A.example":{"token":"` + token + `"}}}`, strings.Repeat(" ", 5<<20),
	} {
		write(t, path, text, 0o600)
		_, _, err := credentials.Open(path).Get("https://a.example")
		if err == nil || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), token) {
			t.Errorf("%.60q: %v", text, err)
		}
	}
}

func TestSources(t *testing.T) {
	dir := t.TempDir()
	file := credentials.Open(filepath.Join(dir, "credentials.json"))
	if err := file.Put("https://a.example", credentials.Entry{Token: "kept", CAFile: "/ca.pem"}); err != nil {
		t.Fatal(err)
	}
	named := filepath.Join(dir, "token")
	write(t, named, "  named\n", 0o644)
	for _, tc := range []struct {
		sources   credentials.Sources
		address   string
		want, say string
	}{
		{credentials.Sources{Token: "said", TokenFile: named, File: file}, "https://a.example", "said", "INGOT_TOKEN"},
		{credentials.Sources{TokenFile: named, File: file}, "https://a.example", "named", "INGOT_TOKEN_FILE " + named},
		{credentials.Sources{File: file}, "https://a.example/path", "kept", file.Path()},
		{credentials.Sources{File: file}, "https://a.example:8443", "", ""},
		{credentials.Sources{File: file}, "http://a.example", "", ""},
		{credentials.Sources{}, "https://a.example", "", ""},
	} {
		c, err := tc.sources.For(tc.address)
		if err != nil {
			t.Errorf("%+v: %v", tc.sources, err)
			continue
		}
		if got, err := c.Token(t.Context()); got != tc.want || err != nil || c.From != tc.say {
			t.Errorf("%s: %q from %q, %v", tc.address, got, c.From, err)
		}
	}
	c, err := credentials.Sources{Token: "said", File: file}.For("https://a.example")
	if err != nil || c.Kept.CAFile != "/ca.pem" {
		t.Errorf("the authority that is kept does not count beside a variable: %+v, %v", c, err)
	}
	for _, s := range []credentials.Sources{{Token: "two words"}, {Token: "a\r\nHost: b"}} {
		if _, err := s.For("https://a.example"); err == nil || !strings.Contains(err.Error(), "INGOT_TOKEN") || strings.Contains(err.Error(), "words") {
			t.Errorf("%+v: %v", s, err)
		}
	}
	if _, err := (credentials.Sources{}).For("ftp://a"); err == nil {
		t.Error("an address that is none")
	}
}

// TestRenewed changes files under those who use them, as a mount of secrets does and as
// an editor does.
func TestRenewed(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "token")
	write(t, path, "one-1\n", 0o600)
	file := credentials.OpenTokens(path)
	for i, want := range []string{"one-1", "two-2", "two-3"} {
		if i == 1 {
			write(t, filepath.Join(dir, "next"), want, 0o600)
			if err := os.Rename(filepath.Join(dir, "next"), path); err != nil {
				t.Fatal(err)
			}
		} else {
			write(t, path, want, 0o600)
		}
		for range 2 {
			if got, err := file.Token(t.Context()); got != want || err != nil {
				t.Errorf("%d: %q, %v, want %q", i, got, err, want)
			}
		}
	}
	// A file that has long been as it is gets read once: what it says is remembered.
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(path, old, old); err != nil {
		t.Fatal(err)
	}
	if got, err := file.Token(t.Context()); got != "two-3" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if got, err := file.Token(t.Context()); got != "" || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%q, %v, want that it is gone", got, err)
	}
}

func TestTokens(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens")
	write(t, path, "\nnew-token\n  old-token \r\n\n", 0o600)
	if got, err := credentials.OpenTokens(path).All(); err != nil || !slices.Equal(got, []string{"new-token", "old-token"}) {
		t.Errorf("%q, %v", got, err)
	}
	for _, text := range []string{"", " \n\n", "two words\n", strings.Repeat("x\n", 17), "\x00\n", strings.Repeat("y", 17<<10)} {
		write(t, path, text, 0o600)
		if got, err := credentials.OpenTokens(path).All(); err == nil || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "words") {
			t.Errorf("%.20q: %q, %v", text, got, err)
		}
	}
	if _, err := credentials.OpenTokens(filepath.Dir(path)).All(); err == nil {
		t.Error("a folder is a file of tokens")
	}
}

// FuzzFile reads what may be in a file: what is taken can be written and read again.
func FuzzFile(f *testing.F) {
	f.Add([]byte(`{"registries":{"https://a.example":{"token":"x","insecure":true,"ca_file":"/f"}}}`))
	f.Add([]byte(`{"registries":{"http://[::1]:7070":{"token":"x"},"https://b":{"token":"y"}}}`))
	f.Add([]byte(`{"registries":null}`))
	f.Add([]byte("{"))
	f.Fuzz(func(t *testing.T, text []byte) {
		path := filepath.Join(t.TempDir(), "credentials.json")
		write(t, path, string(text), 0o600)
		file := credentials.Open(path)
		before, err := file.Origins()
		if err != nil {
			return
		}
		if err := file.Put("https://added.example", credentials.Entry{Token: token}); err != nil {
			t.Fatalf("%q was read, and cannot be written: %v", text, err)
		}
		after, err := credentials.Open(path).Origins()
		if err != nil {
			t.Fatalf("%q cannot be read again: %v", text, err)
		}
		for _, origin := range before {
			if !slices.Contains(after, origin) {
				t.Errorf("%s is lost of %q", origin, text)
			}
		}
	})
}
