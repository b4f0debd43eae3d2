// Command checkpoints measures what many nearly equal versions of a model cost:
// checkpoints of a training and fine-tunes, synthetic and real, in ingot and in other
// stores.
//
// It prints Markdown tables. Stored bytes are the sizes of all files in a store, in MB
// of 10^6 bytes; what is pulled is compared with the original, byte for byte, and a
// difference ends the run.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"

	"github.com/ingot-ml/ingot/chunker/synth"
)

// bench is what all measurements have in common.
type bench struct {
	spec  synth.Spec
	count int
	share float64

	program string // ingot
	path    string // where programs are looked for
	here    string // the folder of this program
	stores  []*store
	work    string // a folder to be emptied
}

func main() {
	b := &bench{}
	mib := flag.Int64("mib", 64, "size of the model in MiB")
	flag.IntVar(&b.count, "count", 100, "checkpoints in a series")
	flag.Float64Var(&b.share, "share", 2, "percent of the values that move from one checkpoint to the next")
	only := flag.String("only", "tunes|optimizer|pairs|series|training|inplace", "regular expression of what to measure; trained needs PyTorch, 5 GB")
	names := flag.String("stores", ".", "regular expression of the stores to fill with a series")
	flag.Parse()
	b.spec = synth.ForSize(*mib << 20)
	if err := b.run(context.Background(), *only, *names); err != nil {
		fmt.Fprintln(os.Stderr, "checkpoints:", err)
		os.Exit(1)
	}
}

func (b *bench) run(ctx context.Context, only, names string) error {
	chosen, err := regexp.Compile(only)
	if err != nil {
		return fmt.Errorf("parse -only: %w", err)
	}
	wanted, err := regexp.Compile(names)
	if err != nil {
		return fmt.Errorf("parse -stores: %w", err)
	}
	for _, s := range stores() {
		if wanted.MatchString(s.name) {
			b.stores = append(b.stores, s)
		}
	}
	root, err := os.Getwd() // go run is called in the root, by make bench-checkpoints
	if err != nil {
		return fmt.Errorf("find the repository: %w", err)
	}
	cache := filepath.Join(root, ".cache")
	b.here = filepath.Join(root, "integration", "checkpoints")
	b.work = filepath.Join(cache, "checkpoints")
	b.program = filepath.Join(root, "bin", "ingot")
	b.path = filepath.Dir(b.program) + ":" + filepath.Join(cache, "venv-hub1", "bin") + ":" + os.Getenv("PATH")
	setup := exec.CommandContext(ctx, filepath.Join(b.here, "setup.sh"))
	setup.Stdout, setup.Stderr = os.Stderr, os.Stderr
	if err := setup.Run(); err != nil {
		return fmt.Errorf("install what is compared with: %w", err)
	}
	for _, part := range []struct {
		name    string
		measure func(context.Context) error
	}{
		{"tunes", b.tunes}, {"optimizer", b.optimizer}, {"pairs", b.pairs}, {"series", b.series}, {"training", b.training},
		{"inplace", b.inplace}, {"trained", b.trained},
	} {
		if !chosen.MatchString(part.name) {
			continue
		}
		if err := os.RemoveAll(b.work); err != nil {
			return fmt.Errorf("empty the work folder: %w", err)
		}
		if err := part.measure(ctx); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	return os.RemoveAll(b.work)
}
