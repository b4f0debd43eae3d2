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
// again. Equal seeds are equal chunks, whoever pushes them; those that differ in their
// low bits alone are nearly equal.
type recipe []uint64

// touch are those bits.
const touch = 1<<16 - 1

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

// tuned is a model of which some files are others, nearly the same, or more, or fewer.
func (m recipe) tuned(r *rand.Rand) recipe {
	made := slices.Clone(m)
	at, seed := r.IntN(len(made)), r.Uint64()
	if r.IntN(3) > 0 {
		seed = made[at]&^touch | seed&touch
	}
	made[at] = seed
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

// content makes the file of a seed. Nothing compresses it but a difference.
func content(seed uint64) []byte {
	root := seed &^ touch >> 16
	size := 40 + root/ownEvery%2000
	if root%ownEvery == 0 {
		size = 257<<10 + root/ownEvery%(64<<10)
	}
	b := make([]byte, size)
	_, _ = chacha(root).Read(b) // never fails
	r := rand.New(chacha(seed))
	for range size / 100 {
		b[r.IntN(len(b))] += 1 + byte(r.IntN(3))
	}
	return b
}

func chacha(seed uint64) *rand.ChaCha8 {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	return rand.NewChaCha8(key)
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
