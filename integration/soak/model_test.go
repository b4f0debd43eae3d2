package soak_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
)

// recipe is a model: the seeds of its files, from which anybody can make them
// again. Equal seeds are equal chunks, whoever pushes them.
type recipe []uint64

const (
	mostFiles = 8
	// ownEvery is how many files there are to one whose chunk is an object of its
	// own; others share bundles.
	ownEvery = 16
)

// newRecipe draws a model of its own.
func newRecipe(r *rand.Rand) recipe {
	made := make(recipe, 1+r.IntN(mostFiles))
	for i := range made {
		made[i] = r.Uint64()
	}
	return made
}

// tuned is a model of which some files are others, or more, or fewer.
func (m recipe) tuned(r *rand.Rand) recipe {
	made := slices.Clone(m)
	made[r.IntN(len(made))] = r.Uint64()
	switch {
	case len(made) < mostFiles && r.IntN(3) == 0:
		made = append(made, r.Uint64())
	case len(made) > 1 && r.IntN(3) == 0:
		made = made[1:]
	}
	return made
}

// merged is a model of files of both.
func (m recipe) merged(other recipe, r *rand.Rand) recipe {
	made := slices.Clone(m)
	for i := range min(len(made), len(other)) {
		if r.IntN(2) == 0 {
			made[i] = other[i]
		}
	}
	return made
}

// content makes the file of a seed. Nothing compresses it.
func content(seed uint64) []byte {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	source := rand.NewChaCha8(key)
	size := 40 + seed/ownEvery%2000
	if seed%ownEvery == 0 {
		size = 257<<10 + seed/ownEvery%(64<<10)
	}
	b := make([]byte, size)
	_, _ = source.Read(b) // never fails
	return b
}

func fileName(i int) string { return fmt.Sprintf("part-%d.bin", i) }

// write makes the model in a folder, which it empties.
func (m recipe) write(dir string) error {
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	for i, seed := range m {
		if err := os.WriteFile(filepath.Join(dir, fileName(i)), content(seed), 0o666); err != nil {
			return err
		}
	}
	return nil
}

// compare says how the folder differs from the model, or returns "".
func (m recipe) compare(dir string) (string, error) {
	for i, seed := range m {
		b, err := os.ReadFile(filepath.Join(dir, fileName(i)))
		if err != nil {
			return err.Error(), nil
		}
		if !bytes.Equal(b, content(seed)) {
			return fileName(i) + " has other bytes", nil
		}
	}
	files := 0
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && d.Name() == ".ingot" {
			return fs.SkipDir
		}
		if !d.IsDir() {
			files++
		}
		return nil
	})
	if err == nil && files != len(m) {
		return fmt.Sprintf("%d files, want %d", files, len(m)), nil
	}
	return "", err
}
