package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"path"
	"path/filepath"
)

// fileSums returns the sha256 of every file at root, a folder or a file, by its
// path below root with slashes. Links are followed. It reads with nothing of what
// pushed or pulled the files, for it judges them.
func fileSums(ctx context.Context, root string) (map[string]string, error) {
	sums := map[string]string{}
	info, err := os.Stat(root)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return sums, addSum(ctx, sums, root, filepath.Base(root))
	}
	return sums, addFolder(ctx, sums, root, "")
}

func addFolder(ctx context.Context, sums map[string]string, dir, below string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		file, rel := filepath.Join(dir, e.Name()), path.Join(below, e.Name())
		info, err := os.Stat(file)
		switch {
		case err != nil:
		case info.IsDir():
			err = addFolder(ctx, sums, file, rel)
		default:
			err = addSum(ctx, sums, file, rel)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func addSum(ctx context.Context, sums map[string]string, file, rel string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // it was only read
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return err
	}
	sums[rel] = hex.EncodeToString(h.Sum(nil))
	return nil
}
