package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/ingot-ml/ingot/chunker/synth"
	"github.com/ingot-ml/ingot/integration/measure"
)

// series keeps one checkpoint after another in every store, and then pulls some. Every
// value is as likely to move as any other.
func (b *bench) series(ctx context.Context) error {
	return b.line(ctx, b.stores, (*synth.Run).Scatter)
}

// training is that with values that move as those of a model in training do, in ingot
// alone.
func (b *bench) training(ctx context.Context) error {
	return b.line(ctx, []*store{registry()}, (*synth.Run).Train)
}

// line keeps the checkpoints that move makes, one of the other.
func (b *bench) line(ctx context.Context, all []*store, move func(*synth.Run, context.Context, uint64, float64) error) error {
	for _, s := range all {
		if err := b.start(s); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		defer s.stop()
	}
	run, err := synth.NewRun(ctx, b.spec)
	if err != nil {
		return err
	}
	b.header(all)
	var sums []sum
	var raw float64
	for n := range b.count {
		if n > 0 {
			if err := move(run, ctx, uint64(n), b.share/100); err != nil {
				return err
			}
		}
		made, err := b.keep(ctx, run, n, all)
		if err != nil {
			return err
		}
		sums = append(sums, made)
		raw += made.size
		if marks := []int{1, 2, 5, 10, 20, 50, b.count}; slices.Contains(marks, n+1) {
			if err := b.row(n+1, raw, made.size, all); err != nil {
				return err
			}
		}
	}
	for _, s := range all {
		if err := b.compare(s, sums); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	if first := all[0]; first.tidy != "" {
		return b.afterwards(first, sums)
	}
	return nil
}

func (b *bench) header(all []*store) {
	fmt.Printf("\n%d checkpoints, %g %% of the values move each time; stored, MB:\n\n| checkpoints | raw |", b.count, b.share)
	for _, s := range all {
		fmt.Printf(" %s | of one |", s.name)
	}
	fmt.Print("\n|---|---|")
	for range all {
		fmt.Print("---|---|")
	}
	fmt.Println()
}

// keep writes a checkpoint to a folder of its own and has it kept by all. The one
// before it stays, as a training leaves it.
func (b *bench) keep(ctx context.Context, run *synth.Run, n int, all []*store) (sum, error) {
	dir := b.folder(n)
	if err := run.Write(ctx, dir); err != nil {
		return sum{}, err
	}
	if err := os.RemoveAll(b.folder(n - 2)); err != nil {
		return sum{}, fmt.Errorf("remove an old checkpoint: %w", err)
	}
	for _, s := range all {
		if err := s.put(dir, tag(n)); err != nil {
			return sum{}, fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return sumOf(dir)
}

func (b *bench) folder(n int) string { return filepath.Join(b.work, "models", tag(n)) }

func tag(n int) string { return fmt.Sprintf("step-%d", n) }

func (b *bench) row(n int, raw, one float64, all []*store) error {
	fmt.Printf("| %d | %.1f |", n, raw)
	for _, s := range all {
		took, err := s.weight()
		if err != nil {
			return err
		}
		fmt.Printf(" %.1f | %.2f |", took, took/one)
	}
	fmt.Println()
	return nil
}

// sum is the size in MB and the checksum of what a folder holds.
type sum struct {
	size float64
	text string
}

func sumOf(dir string) (s sum, err error) {
	hash := sha256.New()
	names, err := os.ReadDir(dir)
	if err != nil {
		return s, fmt.Errorf("look at a checkpoint: %w", err)
	}
	for _, entry := range names {
		if entry.IsDir() {
			continue // what a client remembers of the folder
		}
		f, err := os.Open(filepath.Join(dir, entry.Name()))
		if err != nil {
			return s, fmt.Errorf("look at a checkpoint: %w", err)
		}
		n, err := io.Copy(hash, f)
		if cerr := f.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			return s, fmt.Errorf("look at a checkpoint: %w", err)
		}
		s.size += float64(n) / 1e6
		fmt.Fprintln(hash, entry.Name(), n)
	}
	s.text = fmt.Sprintf("%x", hash.Sum(nil))
	return s, nil
}

// compare pulls some of the checkpoints, each into an empty folder.
func (b *bench) compare(s *store, sums []sum) error {
	for _, n := range []int{0, len(sums) / 3, len(sums) - 1} {
		dir := filepath.Join(b.work, "pulled")
		if _, err := s.get(tag(n), dir); err != nil {
			return err
		}
		if err := same(dir, sums[n]); err != nil {
			return err
		}
		if err := os.RemoveAll(dir); err != nil {
			return fmt.Errorf("remove what was pulled: %w", err)
		}
	}
	return nil
}

func same(dir string, want sum) error {
	got, err := sumOf(dir)
	if err == nil && got != want {
		err = fmt.Errorf("pulled %v, want %v", got, want)
	}
	return err
}

// receipt is what ingot prints of a push and a pull.
type receipt struct {
	Total         float64 `json:"bytes_total"`
	Sent          float64 `json:"bytes_sent"`
	SentDelta     float64 `json:"bytes_sent_delta"`
	Received      float64 `json:"bytes_received"`
	ReceivedDelta float64 `json:"bytes_received_delta"`
	ReceivedBase  float64 `json:"bytes_received_base"`
	Stored        float64 `json:"bytes_stored"`
}

// afterwards tells what only ingot can do with the checkpoints: bring the last one to
// who has the first, and find better encodings for what is stored.
func (b *bench) afterwards(s *store, sums []sum) error {
	first, last := filepath.Join(b.work, "first"), len(sums)-1
	if _, err := s.get(tag(0), first); err != nil {
		return err
	}
	fresh, err := freshDelta(first, b.folder(last))
	if err != nil {
		return err
	}
	out, err := s.get(tag(last), first)
	if err != nil {
		return err
	}
	if err := same(first, sums[last]); err != nil {
		return err
	}
	var got receipt
	if err := json.Unmarshal(out, &got); err != nil {
		return fmt.Errorf("ingot printed %q: %w", out, err)
	}
	fmt.Printf("\nThe last onto the first: %.1f MB received (%.1f of it deltas, %.1f bases), a fresh delta has %.1f: %.2f of it.\n",
		got.Received/1e6, got.ReceivedDelta/1e6, got.ReceivedBase/1e6, fresh/1e6, got.Received/fresh)
	before, err := s.weight()
	if err != nil {
		return err
	}
	if err := b.tidy(s, before, sums); err != nil {
		return err
	}
	return b.sent(s)
}

// tidy has ingot choose encodings anew, and wants every checkpoint to be what it was.
func (b *bench) tidy(s *store, before float64, sums []sum) error {
	if _, out, err := measure.Clock(s.env, s.tidy); err != nil {
		return err
	} else if err := b.compare(s, sums); err != nil {
		return fmt.Errorf("after %s: %w", out, err)
	}
	after, err := s.weight()
	if err != nil {
		return err
	}
	fmt.Printf("After ingot compact: %.1f MB stored, %.1f before.\n", after, before)
	return measure.Shell(s.env, "ingot verify --all --json")
}

// sent tells what all pushes have sent.
func (b *bench) sent(s *store) error {
	text, err := os.Open(filepath.Join(s.work, "receipts"))
	if err != nil {
		return fmt.Errorf("read the receipts: %w", err)
	}
	defer func() { _ = text.Close() }() // it was only read
	var all receipt
	for d := json.NewDecoder(text); ; {
		var one receipt
		if err := d.Decode(&one); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return fmt.Errorf("read the receipts: %w", err)
		}
		all.Total += one.Total
		all.Sent += one.Sent
		all.SentDelta += one.SentDelta
	}
	fmt.Printf("All pushes have sent %.1f MB, %.1f of it deltas, of %.1f raw.\n", all.Sent/1e6, all.SentDelta/1e6, all.Total/1e6)
	return nil
}
