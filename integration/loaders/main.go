// Command loaders measures how fast a safetensors file comes from the disk into
// memory: by ingot's disk and RAM tiers, with the chunks of the disk plain and
// encoded, by Run:ai Model Streamer, and by safetensors itself in three ways.
//
// Every load is a process of its own, which has loaded its code before the clock
// starts, and stops it when every byte is in populated memory that is not the page
// cache: private memory, or for ingot the shared memory of its RAM tier. Nobody has
// memory of an earlier load to use again. Then it takes a checksum, and a difference
// ends the run. For warm loads the page cache has the files; before cold ones it is
// emptied. Before each the benchmark takes and gives back as much memory as any side
// needs: on a virtual machine what was not used for a while has to come from the
// host first, and that would be a lottery. The sides take turns within each round.
// It prints a Markdown table of medians. Times are multiples of the fastest side's
// that is not ingot's.
//
// To empty the page cache it must run as root.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/ingot-ml/ingot/chunker/synth"
	"github.com/ingot-ml/ingot/integration/measure"
)

func main() {
	mib := flag.Int("mib", 1024, "size of the model in MiB")
	rounds := flag.Int("rounds", 5, "rounds whose median is reported")
	flag.Parse()
	if err := run(*mib, *rounds); err != nil {
		fmt.Fprintln(os.Stderr, "loaders:", err)
		os.Exit(1)
	}
}

func run(mib, rounds int) error {
	root, err := os.Getwd() // go run is called in the root, by make bench-loaders
	if err != nil {
		return fmt.Errorf("find the repository: %w", err)
	}
	cache := filepath.Join(root, ".cache")
	work := filepath.Join(cache, "loaders")
	if err := os.RemoveAll(work); err != nil {
		return fmt.Errorf("remove the last run: %w", err)
	}
	defer func() { _ = os.RemoveAll(work) }() // of no use to anybody
	for _, command := range []*exec.Cmd{
		exec.Command("integration/env/setup.sh", "torch"),
		exec.Command("go", "build", "-o", filepath.Join(work, "loadbench"), "./nodecache/internal/load/loadbench"),
	} {
		command.Stdout, command.Stderr = os.Stderr, os.Stderr
		if err := command.Run(); err != nil {
			return fmt.Errorf("prepare: %w", err)
		}
	}
	model := filepath.Join(work, "model")
	if err := synth.Write(context.Background(), model, synth.ForSize(int64(mib)<<20)); err != nil {
		return fmt.Errorf("write the model: %w", err)
	}
	sides := allSides(work, filepath.Join(cache, "venv-torch", "bin", "python"), filepath.Join(model, "model.safetensors"))
	if err := measureAll(sides, rounds, mib); err != nil {
		return err
	}
	printTable(sides, mib, rounds)
	return nil
}

// measureAll has all sides load in turns, warm and cold.
func measureAll(sides []*side, rounds, mib int) error {
	back := func() error { return backMemory(3 * mib << 20) }
	for round := range rounds {
		for i := range sides { // who is first is another each time
			s := sides[(i+round)%len(sides)]
			warm, err := s.load(func() error { return errors.Join(remember(s.files), back()) })
			if err != nil {
				return err
			}
			cold, err := s.load(func() error { return errors.Join(forget(), back()) })
			if err != nil {
				return err
			}
			s.warm, s.cold = append(s.warm, warm), append(s.cold, cold)
			if s.crc != sides[0].crc && sides[0].crc != "" {
				return fmt.Errorf("%s loaded other bytes than %s", s.name, sides[0].name)
			}
		}
	}
	return nil
}

// remember has the page cache take all files of a folder, or one file.
func remember(path string) error {
	return measure.Shell(append(os.Environ(), "FILES="+path), `find "$FILES" -type f -exec cat {} + >/dev/null`)
}

// backMemory has the machine give memory that is free now, in the largest pages, of
// which smaller ones are made too.
func backMemory(bytes int) error {
	b, err := unix.Mmap(-1, 0, bytes, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return fmt.Errorf("take %d bytes of memory: %w", bytes, err)
	}
	_ = unix.Madvise(b, unix.MADV_HUGEPAGE) // where there are none, small ones do
	return errors.Join(unix.Madvise(b, unix.MADV_POPULATE_WRITE), unix.Munmap(b))
}

// forget empties the page cache, and what is known of folders.
func forget() error {
	if err := measure.Shell(os.Environ(), "sync"); err != nil {
		return err
	}
	if err := os.WriteFile("/proc/sys/vm/drop_caches", []byte("3"), 0); err != nil {
		return fmt.Errorf("empty the page cache, which root may: %w", err)
	}
	return nil
}

func printTable(sides []*side, mib, rounds int) {
	best := func(times func(*side) []float64) float64 {
		var all []float64
		for _, s := range sides {
			if !s.ours {
				all = append(all, measure.Median(times(s)))
			}
		}
		return slices.Min(all)
	}
	warm := best(func(s *side) []float64 { return s.warm })
	cold := best(func(s *side) []float64 { return s.cold })
	fmt.Printf("%d MiB, medians of %d rounds. The fastest of the others: %.2f s warm, %.2f s cold.\n\n", mib, rounds, warm, cold)
	fmt.Println("| side | warm, × | cold, × | warm, from to | cold, from to |")
	fmt.Println("|---|---|---|---|---|")
	for _, s := range sides {
		fmt.Printf("| %s | %.2f | %.2f | %s | %s |\n", s.name,
			measure.Median(s.warm)/warm, measure.Median(s.cold)/cold, span(s.warm, warm), span(s.cold, cold))
	}
}

func span(times []float64, unit float64) string {
	return fmt.Sprintf("%.2f to %.2f", slices.Min(times)/unit, slices.Max(times)/unit)
}
