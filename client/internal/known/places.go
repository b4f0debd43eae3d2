package known

import (
	"cmp"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ingot-ml/ingot/chunker"
)

const (
	// version is what this build reads and writes.
	version = 1
	// maxEntry bounds what is read of an entry's file in bytes.
	maxEntry = 4 << 20
	// maxEntries bounds the places that are remembered.
	maxEntries = 256
	// suffix marks the entries: "<version>-<path>.json", both hashed.
	suffix = ".json"
)

// Places are what is remembered in a folder. It is safe for concurrent use, also by
// several processes. The zero value remembers nothing.
type Places struct{ dir string }

// In returns the places that are remembered in the folder dir; an empty one remembers
// nothing.
func In(dir string) Places { return Places{dir} }

// document is the content of an entry's file.
type document struct {
	Version int `json:"v"`
	Place
}

func key(s string) string { return chunker.Sum([]byte(s)).String()[:32] }

// Note remembers p, and forgets what was at its path before.
func (m Places) Note(p Place) {
	if m.dir == "" || len(p.Files) == 0 {
		return
	}
	at := "-" + key(p.Path) + suffix
	name := key(p.Version) + at
	if m.write(name, p) != nil {
		return
	}
	for i, e := range m.entries() {
		if strings.HasSuffix(e.name, at) && e.name != name || i >= maxEntries {
			_ = os.Remove(filepath.Join(m.dir, e.name)) // another process was faster
		}
	}
}

func (m Places) write(name string, p Place) error {
	b, err := json.Marshal(document{version, p})
	if err != nil {
		return err
	}
	if err := os.MkdirAll(m.dir, 0o777); err != nil {
		return err
	}
	f, err := os.CreateTemp(m.dir, "new-*")
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(m.dir, name))
	}
	if err != nil {
		_ = os.Remove(f.Name()) // the first error is the one that counts
	}
	return err
}

// Of returns the places of a version, the newest first.
func (m Places) Of(version chunker.Digest) []Place {
	prefix := key(version.String()) + "-"
	return m.load(func(name string) bool { return strings.HasPrefix(name, prefix) }, func(p *Place) bool { return p.Version == version.String() })
}

// At returns what was last at a path.
func (m Places) At(path string) (p Place, ok bool) {
	end := "-" + key(path) + suffix
	list := m.load(func(name string) bool { return strings.HasSuffix(name, end) }, func(p *Place) bool { return p.Path == path })
	if len(list) == 0 {
		return p, false
	}
	return list[0], true
}

// All returns all places, the newest first.
func (m Places) All() []Place {
	return m.load(func(string) bool { return true }, func(*Place) bool { return true })
}

// entry is the file of one place.
type entry struct {
	name string
	info fs.FileInfo
}

// entries lists what is remembered, the newest first.
func (m Places) entries() []entry {
	if m.dir == "" {
		return nil
	}
	found, err := os.ReadDir(m.dir)
	if err != nil {
		return nil
	}
	var list []entry
	for _, e := range found {
		info, err := e.Info()
		if err == nil && info.Mode().IsRegular() && info.Size() <= maxEntry && strings.HasSuffix(e.Name(), suffix) {
			list = append(list, entry{e.Name(), info})
		}
	}
	slices.SortFunc(list, func(a, b entry) int {
		return cmp.Or(b.info.ModTime().Compare(a.info.ModTime()), strings.Compare(a.name, b.name))
	})
	return list
}

// load reads the entries whose names are wanted, and returns the sound ones.
func (m Places) load(wanted func(name string) bool, right func(*Place) bool) []Place {
	var list []Place
	for _, e := range m.entries() {
		if !wanted(e.name) {
			continue
		}
		b, err := os.ReadFile(filepath.Join(m.dir, e.name))
		if err != nil {
			continue
		}
		var doc document
		if json.Unmarshal(b, &doc) == nil && doc.Version == version && right(&doc.Place) {
			list = append(list, doc.Place)
		}
	}
	return list
}
