package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// The real training: so many steps, with a checkpoint every few of them.
const (
	trainSteps = "100"
	trainEvery = "10"
)

// trained keeps the checkpoints of a real model that is really trained, and the state
// of its optimizer.
func (b *bench) trained(ctx context.Context) error {
	root := filepath.Dir(filepath.Dir(b.here))
	setup := exec.CommandContext(ctx, filepath.Join(root, "integration", "env", "setup.sh"), "torch")
	setup.Stdout, setup.Stderr = os.Stderr, os.Stderr
	if err := setup.Run(); err != nil {
		return fmt.Errorf("install PyTorch: %w", err)
	}
	models := filepath.Join(b.work, "models")
	cache := filepath.Join(root, ".cache")
	train := exec.CommandContext(ctx, filepath.Join(cache, "venv-torch", "bin", "python"), filepath.Join(b.here, "train.py"),
		filepath.Join(cache, "weights", "minilm"), filepath.Join(root, "docs"), models, trainSteps, trainEvery)
	train.Stderr = os.Stderr
	if err := train.Run(); err != nil {
		return fmt.Errorf("train: %w", err)
	}
	s := registry()
	if err := b.start(s); err != nil {
		return err
	}
	defer s.stop()
	fmt.Println("\nMiniLM, trained by AdamW, of the raw bytes:")
	fmt.Println("\n| step | weights, BF16: stored | sent | moments, F32: stored | sent |\n|---|---|---|---|---|")
	steps, err := os.ReadDir(filepath.Join(models, "weights"))
	if err != nil {
		return err
	}
	for _, step := range steps {
		fmt.Printf("| %s |", step.Name())
		for _, kind := range []string{"weights", "moments"} {
			dir := filepath.Join(models, kind, step.Name())
			if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
				fmt.Print(" | |") // nothing was trained yet
				continue
			}
			got, _, err := s.push(ctx, dir, "bench/"+kind+":latest")
			if err != nil {
				return err
			}
			fmt.Printf(" %.4f | %.4f |", got.Stored/got.Total, got.Sent/got.Total)
		}
		fmt.Println()
	}
	return nil
}
