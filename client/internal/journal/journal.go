// Package journal owns the memory of pushes that did not end: for each registry,
// reference and path the id of the push that a later one goes on with.
//
// Laws:
//   - An entry is a hint. One that is lost, damaged, stale or of something else
//     costs bytes and never a push, so its errors are nobody's.
//   - Two pushes of the same thing may share an entry: whoever writes last wins.
package journal

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"

	"github.com/ingot-ml/ingot/chunker"
)

// version is what this build reads and writes.
const version = 1

// maxEntry bounds what is read of an entry's file in bytes.
const maxEntry = 64 << 10

// Entry is the place of one memory. The zero value remembers nothing.
type Entry struct {
	dir  string
	file string
	doc  document
}

// document is the content of an entry's file.
type document struct {
	Version  int    `json:"v"`
	Registry string `json:"registry"`
	Ref      string `json:"ref"`
	Path     string `json:"path"`
	Push     string `json:"push"`
}

// Of returns the entry in the folder dir for pushes of the absolute path to ref
// in a registry. An empty dir gives the zero Entry.
func Of(dir, registry, ref, path string) Entry {
	if dir == "" {
		return Entry{}
	}
	key := chunker.Sum([]byte(strings.Join([]string{registry, ref, path}, "\x00")))
	return Entry{
		dir:  dir,
		file: filepath.Join(dir, key.String()+".json"),
		doc:  document{Version: version, Registry: registry, Ref: ref, Path: path},
	}
}

// Load returns the id of the push to go on with, or nothing.
func (e Entry) Load() string {
	if e.dir == "" {
		return ""
	}
	if info, err := os.Stat(e.file); err != nil || !info.Mode().IsRegular() || info.Size() > maxEntry {
		return ""
	}
	b, err := os.ReadFile(e.file)
	if err != nil {
		return ""
	}
	var doc document
	if json.Unmarshal(b, &doc) != nil {
		return ""
	}
	want := e.doc
	want.Push = doc.Push
	if doc != want || !plausible(doc.Push) {
		return ""
	}
	return doc.Push
}

// plausible reports whether id may go into a URL: the file may hold anything.
func plausible(id string) bool {
	return id != "" && len(id) <= 64 && strings.Trim(id, "0123456789abcdefghijklmnopqrstuvwxyz") == ""
}

// Save remembers the push called id.
func (e Entry) Save(id string) {
	if e.dir == "" {
		return
	}
	// Without a journal a push works as well; it only cannot be gone on with.
	_ = e.write(id)
}

func (e Entry) write(id string) error {
	doc := e.doc
	doc.Push = id
	b, err := json.Marshal(doc)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(e.dir, 0o777); err != nil {
		return err
	}
	f, err := os.CreateTemp(e.dir, "new-*")
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), e.file)
	}
	if err != nil {
		_ = os.Remove(f.Name()) // the first error is the one that counts
	}
	return err
}

// Remove forgets the push.
func (e Entry) Remove() {
	if e.dir == "" {
		return
	}
	_ = os.Remove(e.file) // it is not there, or will be found to be closed
}
