package journal_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/client/internal/journal"
)

func TestEntry(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "deep/journal")
	e := journal.Of(dir, "http://r", "a/b:main", "/m")
	if got := e.Load(); got != "" {
		t.Errorf("an entry that is not there holds %q", got)
	}
	e.Save("abc123")
	e.Save("abc124")
	if got := journal.Of(dir, "http://r", "a/b:main", "/m").Load(); got != "abc124" {
		t.Errorf("got %q", got)
	}
	for _, other := range []journal.Entry{
		journal.Of(dir, "http://s", "a/b:main", "/m"), journal.Of(dir, "http://r", "a/b:dev", "/m"), journal.Of(dir, "http://r", "a/b:main", "/n"),
	} {
		if got := other.Load(); got != "" {
			t.Errorf("another push holds %q", got)
		}
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 1 {
		t.Errorf("the journal holds %v, %v", files, err)
	}
	e.Remove()
	if got := e.Load(); got != "" {
		t.Errorf("a removed entry holds %q", got)
	}
}

func TestNoJournal(t *testing.T) {
	e := journal.Of("", "http://r", "a/b:main", "/m")
	e.Save("abc")
	if got := e.Load(); got != "" {
		t.Errorf("got %q", got)
	}
	e.Remove()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	e = journal.Of(file, "http://r", "a/b:main", "/m") // no folder can be there
	e.Save("abc")
	if got := e.Load(); got != "" {
		t.Errorf("got %q", got)
	}
}

func TestDamage(t *testing.T) {
	dir := t.TempDir()
	e := journal.Of(dir, "http://r", "a/b:main", "/m")
	e.Save("abc")
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%v, %v", files, err)
	}
	sound, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, content := range []string{
		"", "{", "null", string(sound[:len(sound)-2]),
		strings.Replace(string(sound), `"v":1`, `"v":2`, 1),
		strings.Replace(string(sound), "http://r", "http://s", 1),
		strings.Replace(string(sound), `"abc"`, `"../abc"`, 1),
		strings.Replace(string(sound), `"abc"`, `"`+strings.Repeat("a", 65)+`"`, 1),
		string(sound) + strings.Repeat(" ", 1<<17),
	} {
		if err := os.WriteFile(files[0], []byte(content), 0o666); err != nil {
			t.Fatal(err)
		}
		if got := e.Load(); got != "" {
			t.Errorf("%.60q is taken for %q", content, got)
		}
	}
}
