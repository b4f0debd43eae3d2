package known_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/client/internal/known"
)

func digest(s string) chunker.Digest { return chunker.Sum([]byte(s)) }

// place makes a folder with a file of 100 KB and one of a few bytes, and returns what is
// remembered of it.
func place(t *testing.T, version string) known.Place {
	t.Helper()
	dir := t.TempDir()
	p := known.Place{Registry: "http://r", Repo: "acme/m", Version: digest(version).String(), Path: dir}
	for name, size := range map[string]int{"long": 100_000, "short": 10} {
		at := filepath.Join(dir, name)
		if err := os.WriteFile(at, make([]byte, size), 0o666); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(at)
		if err != nil {
			t.Fatal(err)
		}
		p.Add(name, at, info)
	}
	return p
}

func TestPlaces(t *testing.T) {
	m := known.In(filepath.Join(t.TempDir(), "places"))
	a, b := place(t, "1"), place(t, "2")
	m.Note(a)
	m.Note(b)
	if got := m.Of(digest("1")); len(got) != 1 || got[0].Path != a.Path || len(got[0].Files) != 1 || got[0].Files[0].Path != "long" {
		t.Fatalf("places of the first version: %v", got)
	}
	b.Version = digest("1").String()
	m.Note(b)
	if got := m.Of(digest("1")); len(got) != 2 {
		t.Errorf("%d places of the first version, want 2", len(got))
	}
	if got := m.Of(digest("2")); len(got) != 0 {
		t.Errorf("what was at the second place before is still remembered: %v", got)
	}
	if got, ok := m.At(b.Path); !ok || got.Version != digest("1").String() {
		t.Errorf("at the second place: %v, %v", got, ok)
	}
	if got := m.All(); len(got) != 2 {
		t.Errorf("%d places, want 2", len(got))
	}
	known.In("").Note(a)
	if got := known.In("").All(); len(got) != 0 {
		t.Errorf("nothing remembers %v", got)
	}
}

func TestFewAreRemembered(t *testing.T) {
	dir := t.TempDir()
	m, p := known.In(dir), place(t, "1")
	m.Note(p)
	began := time.Now()
	for i := range 300 { // as many as older versions of this program, or others, may leave
		at := filepath.Join(dir, fmt.Sprintf("%03d-x.json", i))
		if err := os.WriteFile(at, nil, 0o666); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(at, time.Time{}, began.Add(time.Duration(i)*time.Second-time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	p.Path = "/next"
	m.Note(p)
	left, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil || len(left) != 256 || len(m.All()) != 2 {
		t.Errorf("%d entries, %v, %d places; want 256, and the last two", len(left), err, len(m.All()))
	}
	if _, err := os.Stat(filepath.Join(dir, "000-x.json")); err == nil {
		t.Error("the oldest is still remembered")
	}
}

func TestReadAt(t *testing.T) {
	p := place(t, "1")
	f, b := p.Files[0], make([]byte, 1000)
	if err := f.ReadAt(b, 5); err != nil {
		t.Fatal(err)
	}
	if err := f.ReadAt(b, 99_500); err == nil {
		t.Error("read beyond the end")
	}
	was := f.Place + ".was"
	if err := os.Rename(f.Place, was); err != nil {
		t.Fatal(err)
	}
	if err := f.ReadAt(b, 0); err == nil {
		t.Error("read a file that is gone")
	}
	if err := os.WriteFile(f.Place, make([]byte, 100_000), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(f.Place, time.Time{}, time.Unix(0, f.Modified)); err != nil {
		t.Fatal(err)
	}
	if err := f.ReadAt(b, 0); err == nil {
		t.Error("read another file of the same size and time")
	}
	if err := os.Remove(f.Place); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(was, f.Place); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(f.Place, time.Time{}, time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if err := f.ReadAt(b, 0); err == nil {
		t.Error("read a file that was written to")
	}
}

// TestDamagedEntries are as good as none.
func TestDamagedEntries(t *testing.T) {
	dir := t.TempDir()
	m, p := known.In(dir), place(t, "1")
	m.Note(p)
	at, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil || len(at) != 1 {
		t.Fatal(at, err)
	}
	for _, content := range []string{"", "{", "null", `{"v":2}`, `{"v":1,"version":"x"}`, `{"v":1,"files":[{}]}`} {
		if err := os.WriteFile(at[0], []byte(content), 0o666); err != nil {
			t.Fatal(err)
		}
		if got := m.Of(digest("1")); len(got) != 0 {
			t.Errorf("%s: %v", content, got)
		}
	}
}
