package disk

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// The folders of documents.
const (
	manifestsName = "manifests"
	hashesName    = "hashes"
	stateName     = "state"

	signaturesName = "signatures"
)

// documents are the small files of the node.
type documents struct {
	root string

	write sync.Mutex // held by the one who writes or removes

	mu    sync.Mutex       // protects what follows
	sizes map[string]int64 // bytes by name, "manifests/…" or "state/…"
	used  int64            // bytes of whole blocks
}

// open makes the folders and lists them. What was being written when a process
// ended goes.
func (d *documents) open(root string) error {
	d.root, d.sizes = root, map[string]int64{}
	for _, folder := range []string{manifestsName, hashesName, signaturesName, stateName} {
		path := filepath.Join(root, folder)
		if err := os.MkdirAll(path, 0o777); err != nil {
			return err
		}
		entries, err := os.ReadDir(path)
		if err != nil {
			return err
		}
		for _, entry := range entries {
			if err := d.take(folder+"/"+entry.Name(), entry); err != nil {
				return err
			}
		}
	}
	return syncFolder(root)
}

func (d *documents) take(name string, entry fs.DirEntry) error {
	if strings.HasSuffix(name, newSuffix) {
		return os.Remove(d.path(name))
	}
	info, err := entry.Info()
	if err == nil && info.Mode().IsRegular() {
		d.note(name, info.Size())
	}
	return err
}

func (d *documents) path(name string) string { return filepath.Join(d.root, filepath.FromSlash(name)) }

// note says that a document has so many bytes now, less than 0 for none.
func (d *documents) note(name string, bytes int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if old, ok := d.sizes[name]; ok {
		d.used -= blocks(old)
		delete(d.sizes, name)
	}
	if bytes >= 0 {
		d.sizes[name] = bytes
		d.used += blocks(bytes)
	}
}

// total is the bytes of whole blocks that the documents take.
func (d *documents) total() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.used
}

// size returns the bytes of a document, less than 0 for none.
func (d *documents) size(name string) int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	if bytes, ok := d.sizes[name]; ok {
		return bytes
	}
	return -1
}

// put writes a document, whose room has been taken. before is the bytes of the one
// that it is instead of, less than 0 for none.
func (d *documents) put(name string, doc []byte, before int64) error {
	err := replaceFile(d.path(name), doc)
	if err != nil {
		d.note(name, before)
	}
	return full(err)
}

func (d *documents) remove(name string) error {
	err := os.Remove(d.path(name))
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		d.note(name, -1)
		return nil
	}
	return err
}
