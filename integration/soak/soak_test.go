package soak_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// config is what a run is told.
type config struct {
	length time.Duration // of the work, checks not counted
	round  time.Duration // of the work in one round
	whole  bool          // a round waits until pushes that nobody finishes have expired
	seed   uint64
}

// configure reads the run's length, seed and length of a round from variables. The
// short form is for every test run.
func configure(t *testing.T) config {
	t.Helper()
	c := config{length: 15 * time.Second, round: 3 * time.Minute, seed: uint64(time.Now().UnixNano())}
	for name, into := range map[string]*time.Duration{"INGOT_SOAK": &c.length, "INGOT_SOAK_ROUND": &c.round} {
		if text := os.Getenv(name); text != "" {
			d, err := time.ParseDuration(text)
			if err != nil || d <= 0 {
				t.Fatalf("%s is %q, want a duration such as 10m", name, text)
			}
			*into, c.whole = d, true
		}
	}
	if text := os.Getenv("INGOT_SOAK_SEED"); text != "" {
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatalf("INGOT_SOAK_SEED is %q, want a number", text)
		}
		c.seed = seed
	}
	return c
}

// TestSoakLocal runs one process on a folder.
func TestSoakLocal(t *testing.T) {
	soak(t, func(_ *testing.T, dir string, _ uint64) backend { return &folder{dir: filepath.Join(dir, "data")} })
}

// soak runs rounds until the time is over, and prints what came of them.
func soak(t *testing.T, open func(*testing.T, string, uint64) backend) {
	c := configure(t)
	program := compile(t)
	work := workFolder(t)
	all := newTally()
	for n, left := 0, c.length; left > 0 && !all.bad(); n, left = n+1, left-c.round {
		seed := c.seed + uint64(n)
		dir := filepath.Join(work, fmt.Sprintf("%s-%d", t.Name(), seed))
		t.Logf("round %d, seed %d: everything about it is in %s if it fails", n, seed, dir)
		c.round = min(c.round, left)
		runRound(t, c, seed, program, dir, open, all)
	}
	t.Log(all.summary())
	if all.bad() {
		t.Errorf("seeds from %d: %s", c.seed, all.verdict())
	}
}

func runRound(t *testing.T, c config, seed uint64, program, dir string, open func(*testing.T, string, uint64) backend, all *tally) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	r, err := newRound(c, seed, program, dir, open(t, dir, seed), all)
	if err != nil {
		t.Fatal(err)
	}
	defer r.close()
	ctx, cancel := context.WithTimeout(t.Context(), c.round)
	r.work(ctx)
	cancel()
	if err := r.check(t.Context()); err != nil {
		all.broken("check of the round with seed %d: %v", seed, err)
	}
	r.close()
	if all.bad() {
		return // its logs are what one needs now
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Error(err)
	}
}

// compile makes the program as people have it: with the race detector there would
// be far fewer operations. The other tests hunt races.
func compile(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs("../../.cache/test/ingot-soak")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "build", "-trimpath", "-o", path, "../../cmd/ingot")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0") // as "make build" has it, whose packages are compiled
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build ingot: %v\n%s", err, out)
	}
	return path
}

// workFolder is where rounds leave what they have to say. It outlives a test that
// fails.
func workFolder(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs("../../.cache/soak")
	if err != nil {
		t.Fatal(err)
	}
	return path
}
