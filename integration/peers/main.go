// Command peers measures ingot beside other stores on the same work: push a
// model, push a variant in which the middle layer changed, pull both.
//
// It prints a Markdown table. Times are multiples of a "cp -r" of the same
// files run right before, with the page cache warm and dirty pages written back
// first; every number is the median of all rounds. Stored bytes are the sizes
// of the files in the store. Each pull is compared with the original, byte for
// byte, and a difference ends the run. Sizes are in MB of 10^6 bytes.
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
	"github.com/ingot-ml/ingot/integration/measure"
)

func main() {
	mib := flag.Int("mib", 1024, "size of the model in MiB")
	rounds := flag.Int("rounds", 3, "rounds whose median is reported")
	only := flag.String("only", ".", "regular expression of the peers to run")
	flag.Parse()
	if err := run(*mib, *rounds, *only); err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

func run(mib, rounds int, only string) error {
	chosen, err := regexp.Compile(only)
	if err != nil {
		return fmt.Errorf("parse -only: %w", err)
	}
	root, err := os.Getwd() // go run is called in the root, by make bench-peers
	if err != nil {
		return fmt.Errorf("find the repository: %w", err)
	}
	cache := filepath.Join(root, ".cache")
	models := filepath.Join(cache, "peers", "models")
	setup := exec.Command("integration/peers/setup.sh")
	setup.Stdout, setup.Stderr = os.Stderr, os.Stderr
	if err := setup.Run(); err != nil {
		return fmt.Errorf("install the peers: %w", err)
	}
	if err := writeModels(models, int64(mib)<<20); err != nil {
		return fmt.Errorf("write the models: %w", err)
	}
	b := &bench{
		base:    filepath.Join(models, "base"),
		variant: filepath.Join(models, "variant"),
		work:    filepath.Join(cache, "peers", "work"),
		bin:     filepath.Join(root, "bin") + ":" + filepath.Join(cache, "bin") + ":" + os.Getenv("PATH"),
	}
	defer func() { _ = os.RemoveAll(filepath.Dir(models)) }()
	results := map[string][]result{}
	for range rounds {
		for _, p := range peers {
			if !chosen.MatchString(p.name) {
				continue
			}
			r, err := b.round(p)
			if err != nil {
				return fmt.Errorf("%s: %w", p.name, err)
			}
			results[p.name] = append(results[p.name], r)
		}
	}
	printTable(results, mib, rounds)
	return nil
}

// writeModels makes the base, and the variant in which the middle layer changed.
func writeModels(dir string, size int64) error {
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	spec := synth.ForSize(size)
	spec.Shards = 2
	ctx := context.Background()
	if err := synth.Write(ctx, filepath.Join(dir, "base"), spec); err != nil {
		return err
	}
	return synth.Write(ctx, filepath.Join(dir, "variant"), spec, synth.ChangeLayers(spec.Seed+1, spec.Layers/2))
}

func printTable(results map[string][]result, mib, rounds int) {
	fmt.Printf("Model of %d MiB, medians of %d rounds.\n\n", mib, rounds)
	fmt.Println("| store | push base, × cp | push variant | pull base | pull variant | stored, MB | variant adds, MB |")
	fmt.Println("|---|---|---|---|---|---|---|")
	for _, p := range peers {
		rs := results[p.name]
		if len(rs) == 0 {
			continue
		}
		med := func(f func(result) float64) float64 { return median(rs, f) }
		fmt.Printf("| %s | %.1f | %.1f | %.1f | %.1f | %.1f | %.1f |\n", p.name,
			med(func(r result) float64 { return r.pushBase }), med(func(r result) float64 { return r.pushVariant }),
			med(func(r result) float64 { return r.pullBase }), med(func(r result) float64 { return r.pullVariant }),
			med(func(r result) float64 { return r.stored }), med(func(r result) float64 { return r.added }))
	}
}

func median(rs []result, f func(result) float64) float64 {
	var values []float64
	for _, r := range rs {
		values = append(values, f(r))
	}
	return measure.Median(values)
}
