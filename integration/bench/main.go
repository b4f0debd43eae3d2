// Command bench measures the whole program on a synthetic bf16 model: the
// pushes and pulls of a base and of a variant with one layer changed, with the
// registry on loopback.
//
// It prints a Markdown table. Times are multiples of a "cp -r" of the same files
// run right before (page cache warm, dirty pages written back first, no fsync in
// cp); processor time is a multiple of a memcpy of the model. Every number is
// the median of all rounds; each round has a new registry and new caches. Every
// pull is compared with the original, byte for byte, and a difference ends the
// run. With -files it measures very many tiny files instead.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/ingot-ml/ingot/chunker/synth"
	"github.com/ingot-ml/ingot/integration/measure"
)

func main() {
	mib := flag.Int("mib", 1024, "size of the model in MiB")
	rounds := flag.Int("rounds", 3, "rounds whose median is reported")
	files := flag.Int("files", 0, "measure so many tiny files instead of a model")
	flag.Parse()
	if err := run(*mib, *rounds, *files); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(mib, rounds, files int) error {
	root, err := os.Getwd() // go run is called in the root, by make bench
	if err != nil {
		return fmt.Errorf("find the repository: %w", err)
	}
	work := filepath.Join(root, ".cache", "bench")
	defer func() { _ = os.RemoveAll(work) }() // of no use to anybody
	b := &bench{
		program: filepath.Join(root, "bin", "ingot"),
		work:    work,
		base:    filepath.Join(work, "models", "base"),
		variant: filepath.Join(work, "models", "variant"),
	}
	if files > 0 {
		return b.tiny(files)
	}
	if err := b.writeModels(int64(mib) << 20); err != nil {
		return fmt.Errorf("write the models: %w", err)
	}
	var all []result
	for range rounds {
		r, err := b.round()
		if err != nil {
			return err
		}
		all = append(all, r)
	}
	printTable(all, mib)
	return nil
}

func (b *bench) writeModels(size int64) error {
	if err := os.RemoveAll(b.work); err != nil {
		return err
	}
	ctx, spec := context.Background(), synth.ForSize(size)
	if err := synth.Write(ctx, b.base, spec); err != nil {
		return err
	}
	return synth.Write(ctx, b.variant, spec, synth.ChangeLayers(spec.Seed+1, spec.Layers/2))
}

func printTable(all []result, mib int) {
	median := func(f func(result) float64) float64 {
		var values []float64
		for _, r := range all {
			values = append(values, f(r))
		}
		return measure.Median(values)
	}
	fmt.Printf("Model of %d MiB, medians of %d rounds.\n\n", mib, len(all))
	fmt.Println("| step | × cp | × cp + sync | client + server CPU, × memcpy | sent or received, MB | stored, MB | client peak, MiB |")
	fmt.Println("|---|---|---|---|---|---|---|")
	for i, name := range stepNames {
		fmt.Printf("| %s | %.2f | %.2f | %.1f | %.1f | %.1f | %.0f |\n", name,
			median(func(r result) float64 { return r.steps[i].copies }),
			median(func(r result) float64 { return r.steps[i].syncedCopies }),
			median(func(r result) float64 { return r.steps[i].memcpys }),
			median(func(r result) float64 { return r.steps[i].moved }),
			median(func(r result) float64 { return r.steps[i].stored }),
			median(func(r result) float64 { return r.steps[i].peak }))
	}
	fmt.Printf("\nServer peak: %.0f MiB. Stored / raw of the base: %.4f.\n",
		median(func(r result) float64 { return r.serverPeak }), median(func(r result) float64 { return r.ratio }))
}
