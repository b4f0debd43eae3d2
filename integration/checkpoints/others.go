package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/ingot-ml/ingot/chunker/synth"
)

// optimizer keeps the state of an optimizer, with checkpoints that are near and that
// are far from each other.
func (b *bench) optimizer(ctx context.Context) error {
	fmt.Println("\nThe moments of an optimizer, of their raw bytes:")
	fmt.Println("\n| steps between checkpoints | first stored | second | third |\n|---|---|---|---|")
	s := registry()
	if err := b.start(s); err != nil {
		return err
	}
	defer s.stop()
	for _, steps := range []int{1, 10, 100, 1000} {
		fmt.Printf("| %d |", steps)
		for n := range 3 {
			dir := filepath.Join(b.work, "models", fmt.Sprintf("moments-%d-%d", steps, n))
			if err := os.MkdirAll(dir, 0o777); err != nil {
				return err
			}
			if err := synth.WriteMoments(ctx, filepath.Join(dir, "optimizer.safetensors"), b.spec, n, steps); err != nil {
				return err
			}
			got, _, err := s.push(ctx, dir, fmt.Sprintf("bench-%d/moments:latest", steps))
			if err != nil {
				return err
			}
			fmt.Printf(" %.4f |", got.Stored/got.Total)
		}
		fmt.Println()
		if err := os.RemoveAll(filepath.Join(b.work, "models")); err != nil {
			return err
		}
	}
	return nil
}

// pairs keeps the versions of models that packages ship, each as what follows the one
// before it, and alone.
func (b *bench) pairs(ctx context.Context) error {
	models := filepath.Join(b.work, "models")
	fetch := exec.CommandContext(ctx, "python", filepath.Join(b.here, "versions.py"), models)
	fetch.Env, fetch.Stderr = append(os.Environ(), "PATH="+b.path), os.Stderr
	if err := fetch.Run(); err != nil {
		return fmt.Errorf("fetch the models: %w", err)
	}
	s := registry()
	if err := b.start(s); err != nil {
		return err
	}
	defer s.stop()
	fmt.Println("\nVersions that packages ship, stored of the raw bytes:")
	fmt.Println("\n| model | version | raw, bytes | alone | after the version before |\n|---|---|---|---|---|")
	names, err := os.ReadDir(models)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := b.versions(ctx, s, models, name.Name()); err != nil {
			return fmt.Errorf("%s: %w", name.Name(), err)
		}
	}
	return nil
}

// versions keeps the folders of one model, in the order of their names.
func (b *bench) versions(ctx context.Context, s *store, models, model string) error {
	folders, err := os.ReadDir(filepath.Join(models, model))
	if err != nil {
		return err
	}
	for _, folder := range folders {
		dir := filepath.Join(models, model, folder.Name())
		line, _, errLine := s.push(ctx, dir, "line/"+model+":latest")
		alone, errAlone := b.alone(ctx, dir)
		if err := errors.Join(errAlone, errLine); err != nil {
			return err
		}
		fmt.Printf("| %s | %s | %.0f | %.4f | %.4f |\n", model, folder.Name(), line.Total, alone.Stored/alone.Total, line.Stored/line.Total)
	}
	return nil
}

// alone pushes a folder to a registry that has nothing else.
func (b *bench) alone(ctx context.Context, dir string) (receipt, error) {
	s := registry()
	s.name = "alone"
	if err := b.start(s); err != nil {
		return receipt{}, err
	}
	defer s.stop()
	got, _, err := s.push(ctx, dir, "alone/model:latest")
	return got, err
}
