package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/ingot-ml/ingot/integration/measure"
)

// tinyRounds is how often each step is measured; the median is told.
const tinyRounds = 3

// tiny measures the push and the pull of very many tiny files, each beside a copy
// of the same files. Every round has a new registry.
func (b *bench) tiny(files int) error {
	if err := os.RemoveAll(b.work); err != nil {
		return err
	}
	if err := writeTiny(b.base, files); err != nil {
		return fmt.Errorf("write the files: %w", err)
	}
	var pushes, pulls []float64
	for range tinyRounds {
		push, pull, err := b.tinyRound()
		if err != nil {
			return err
		}
		pushes, pulls = append(pushes, push), append(pulls, pull)
	}
	fmt.Printf("%d files of a few bytes, medians of %d rounds: push %.2f × cp, pull %.2f × cp.\n",
		files, tinyRounds, measure.Median(pushes), measure.Median(pulls))
	return nil
}

// writeTiny makes files of a few bytes, each different, a thousand in a folder.
func writeTiny(dir string, files int) error {
	for i := range files {
		folder := filepath.Join(dir, strconv.Itoa(i/1000))
		if err := os.MkdirAll(folder, 0o777); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(folder, strconv.Itoa(i)), fmt.Appendf(nil, "tiny file %d\n", i), 0o666); err != nil {
			return err
		}
	}
	return nil
}

// tinyRound returns what a push and a pull cost, as multiples of a copy.
func (b *bench) tinyRound() (push, pull float64, err error) {
	for _, dir := range []string{"store", "home", "pulled", "first", "copy"} {
		if err := os.RemoveAll(filepath.Join(b.work, dir)); err != nil {
			return 0, 0, fmt.Errorf("empty the work folder: %w", err)
		}
	}
	if err := b.start(); err != nil {
		return 0, 0, err
	}
	defer b.stop()
	pulled := filepath.Join(b.work, "pulled")
	var took [3]time.Duration
	// A first copy makes a virtual machine back the memory that the others use.
	if err := measure.Shell(b.env, fmt.Sprintf("cp -r %q %q", b.base, filepath.Join(b.work, "first"))); err != nil {
		return 0, 0, err
	}
	for i, command := range []string{
		fmt.Sprintf("cp -r %q %q", b.base, filepath.Join(b.work, "copy")),
		fmt.Sprintf("%q push %q bench/tiny", b.program, b.base),
		fmt.Sprintf("%q pull bench/tiny %q --no-cache", b.program, pulled),
	} {
		if took[i], _, err = measure.Clock(b.env, command); err != nil {
			return 0, 0, err
		}
	}
	copied := took[0].Seconds()
	return took[1].Seconds() / copied, took[2].Seconds() / copied, b.check(b.base, pulled, true)
}
