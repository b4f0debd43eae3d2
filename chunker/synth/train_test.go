package synth_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/synth"
)

// tiny is large enough for shares.
var tiny = synth.Spec{Layers: 1, Hidden: 64, KV: 64, FF: 64, Vocab: 128, DType: chunker.BF16, Seed: 7}

// moved counts the elements of width bytes that differ.
func moved(a, b []byte, width int) (n int) {
	for i := 0; i < len(a); i += width {
		if !bytes.Equal(a[i:i+width], b[i:i+width]) {
			n++
		}
	}
	return n
}

// TestTrainShare wants the very share of each tensor's values to move, whatever the
// size of the tensor's values.
func TestTrainShare(t *testing.T) {
	for _, dtype := range []chunker.DType{chunker.BF16, chunker.F16} {
		s := tiny
		s.DType = dtype
		base := tensors(t, write(t, s))
		for _, share := range []float64{0, 0.01, 0.7, 1} {
			for kind, change := range []synth.Change{synth.Train(3, share), synth.Scatter(3, share)} {
				after := tensors(t, write(t, s, change))
				for name, b := range base {
					want := share * float64(len(b)/2)
					if got := float64(moved(b, after[name], 2)); got > want+1 || got < want-1 {
						t.Errorf("%d, %s, %.2f: %g values of %s moved, want %g", kind, dtype, share, got, name, want)
					}
				}
			}
		}
	}
}

// TestTrainF32 wants all values to move, and the share of their BF16 roundings.
func TestTrainF32(t *testing.T) {
	s := tiny
	s.DType = chunker.F32
	base, after := tensors(t, write(t, s)), tensors(t, write(t, s, synth.Train(3, 0.2)))
	var all, any, rounded int
	for name, b := range base {
		all += len(b) / 4
		any += moved(b, after[name], 4)
		rounded += moved(roundings(b), roundings(after[name]), 2)
	}
	if any < all*99/100 {
		t.Errorf("%d of %d values moved", any, all)
	}
	if got := float64(rounded) / float64(all); got < 0.195 || got > 0.205 {
		t.Errorf("%.4f of the BF16 roundings moved, want 0.2", got)
	}
}

// roundings rounds F32 to BF16, as text of two bytes each.
func roundings(b []byte) (r []byte) {
	for i := 0; i < len(b); i += 4 {
		u := uint32(b[i]) | uint32(b[i+1])<<8 | uint32(b[i+2])<<16 | uint32(b[i+3])<<24
		u = (u + 0x7fff + u>>16&1) >> 16
		r = append(r, byte(u), byte(u>>8))
	}
	return r
}

// TestTrainIndependent wants who moves in one stretch to tell nothing of the next:
// of what the second moves, it moves the same share among those that the first did.
func TestTrainIndependent(t *testing.T) {
	at := tensors(t, write(t, tiny))["lm_head.weight"]
	one := tensors(t, write(t, tiny, synth.Train(1, 0.2)))["lm_head.weight"]
	two := tensors(t, write(t, tiny, synth.Train(1, 0.2), synth.Train(2, 0.2)))["lm_head.weight"]
	first, both := 0, 0
	for i := 0; i < len(at); i += 2 {
		if !bytes.Equal(at[i:i+2], one[i:i+2]) {
			first++
			both += moved(one[i:i+2], two[i:i+2], 2)
		}
	}
	// Small values move more often, in both.
	if share := float64(both) / float64(first); share < 0.15 || share > 0.45 {
		t.Errorf("the second stretch moved %.3f of those that the first one did", share)
	}
}

// TestRun wants a run's checkpoints to be the files that Write makes.
func TestRun(t *testing.T) {
	s := tiny
	s.Shards = 2
	r, err := synth.NewRun(t.Context(), s, synth.ReplaceHead(4))
	if err != nil {
		t.Fatal(err)
	}
	changes := []synth.Change{synth.ReplaceHead(4)}
	for step := range uint64(3) {
		same(t, writeRun(t, r), write(t, s, changes...))
		if err := r.Train(t.Context(), step, 0.05); err != nil {
			t.Fatal(err)
		}
		changes = append(changes, synth.Train(step, 0.05))
	}
	if err := r.Scatter(t.Context(), 8, 0.05); err != nil {
		t.Fatal(err)
	}
	changes = append(changes, synth.Scatter(8, 0.05))
	same(t, writeRun(t, r), write(t, s, changes...))

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Train(ended, 9, 0.5); !errors.Is(err, context.Canceled) {
		t.Errorf("train of a run that was ended: %v", err)
	}
	if _, err := synth.NewRun(t.Context(), synth.Spec{}); !errors.Is(err, synth.ErrSpec) {
		t.Errorf("a run of nothing: %v", err)
	}
}

func writeRun(t *testing.T, r *synth.Run) string {
	t.Helper()
	dir := t.TempDir()
	if err := r.Write(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

// same fails the test unless both folders hold the same files.
func same(t *testing.T, a, b string) {
	t.Helper()
	files := map[string][2]int{}
	for i, dir := range []string{a, b} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			n := files[e.Name()]
			n[i]++
			files[e.Name()] = n
		}
	}
	for name, n := range files {
		x, errX := os.ReadFile(filepath.Join(a, name))
		y, errY := os.ReadFile(filepath.Join(b, name))
		if n != [2]int{1, 1} || errX != nil || errY != nil || !bytes.Equal(x, y) {
			t.Errorf("%s differs: %v %v", name, errX, errY)
		}
	}
}

// TestWriteMoments wants the mean to be forgotten after 100 steps and the square not
// to be.
func TestWriteMoments(t *testing.T) {
	var states []map[string][]byte
	for n := range 2 {
		dir := t.TempDir()
		if err := synth.WriteMoments(t.Context(), filepath.Join(dir, "optimizer.safetensors"), tiny, n, 100); err != nil {
			t.Fatal(err)
		}
		states = append(states, tensors(t, dir))
	}
	if weights := tensors(t, write(t, tiny)); len(states[0]) != 2*len(weights) {
		t.Errorf("%d moments of %d tensors", len(states[0]), len(weights))
	}
	near := func(name string) float64 {
		a, b := states[0][name], states[1][name]
		exponents := 0
		for i := 2; i < len(a); i += 4 {
			if a[i+1] == b[i+1] && a[i]>>7 == b[i]>>7 {
				exponents++
			}
		}
		return float64(exponents) / float64(len(a)/4)
	}
	mean, square := near("exp_avg.lm_head.weight"), near("exp_avg_sq.lm_head.weight")
	if mean > 0.3 || square < 0.6 {
		t.Errorf("%.3f of the means and %.3f of the squares are of the same size as before", mean, square)
	}
}
