package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/codec"
	"github.com/ingot-ml/ingot/chunker/format"
)

// freshDelta returns how many bytes it takes at the least to have the files of one
// folder become those of another, of the same names and lengths: of every chunk a
// delta, or the whole one where that is shorter.
func freshDelta(from, to string) (total float64, err error) {
	err = filepath.WalkDir(to, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		relative, err := filepath.Rel(to, path)
		if err != nil {
			return err
		}
		old, err := os.ReadFile(filepath.Join(from, relative))
		if err != nil {
			return err
		}
		now, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		n, err := fileDelta(path, old, now)
		total += float64(n)
		return err
	})
	return total, err
}

func fileDelta(path string, old, now []byte) (total int, err error) {
	if len(old) != len(now) {
		return 0, fmt.Errorf("compare %s: lengths of %d and %d bytes, want equal ones", path, len(old), len(now))
	}
	f, err := format.Open(path, bytes.NewReader(now), int64(len(now)))
	if err != nil {
		return 0, err
	}
	var delta, whole []byte
	for c, err := range f.Cuts(bytes.NewReader(now)) {
		if err != nil {
			return 0, err
		}
		a, b := old[c.Offset:c.Offset+int64(c.Length)], now[c.Offset:c.Offset+int64(c.Length)]
		if bytes.Equal(a, b) {
			continue
		}
		whole = codec.Append(whole[:0], b, c.DType)
		var ok bool
		if delta, ok = codec.AppendDelta(delta[:0], b, a, chunker.Sum(a), c.DType, len(whole)); ok {
			total += len(delta)
		} else {
			total += len(whole)
		}
	}
	return total, nil
}
