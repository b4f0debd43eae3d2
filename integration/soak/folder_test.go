package soak_test

import (
	"context"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.etcd.io/bbolt"
)

// folder is the local engine: one process, and a disk that does not fail.
type folder struct{ dir string }

func (f *folder) replicas() int { return 1 }

func (f *folder) pace() time.Duration { return time.Second }

func (f *folder) serve(int) (args, environ []string) {
	return []string{"--data", f.dir, "--reserve", "none"}, nil
}

func (f *folder) disturb(bool) error { return nil }

func (f *folder) strike(context.Context, *rand.Rand, *tally) {}

func (f *folder) faults() map[string]int { return nil }

func (f *folder) close() {}

func (f *folder) contents(context.Context) (*contents, error) {
	root := filepath.Join(f.dir, "blobs")
	c := &contents{registers: map[string][]byte{}, blobs: map[string]int64{}, read: func(blob string) ([]byte, error) {
		return os.ReadFile(filepath.Join(root, filepath.FromSlash(blob)))
	}}
	db, err := bbolt.Open(filepath.Join(f.dir, "meta.db"), 0o600, &bbolt.Options{ReadOnly: true, Timeout: time.Minute})
	if err != nil {
		return nil, err
	}
	defer func() { _ = db.Close() }() // it was only read
	err = db.View(func(tx *bbolt.Tx) error {
		return tx.Bucket([]byte("registers")).ForEach(func(key, value []byte) error {
			c.registers[string(key)] = append([]byte(nil), value[8:]...)
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if name := filepath.ToSlash(rel); err == nil && !strings.HasPrefix(name, ".tmp/") {
			info, err := d.Info()
			if err != nil {
				return err
			}
			c.blobs[name] = info.Size()
		}
		return err
	})
	return c, err
}
