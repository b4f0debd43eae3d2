package simtest_test

import (
	"fmt"
	"math"
	"os"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/registry/internal/simtest"
)

// seeds is how many TestSimulation plays when nobody asks for others.
const seeds = 120

// TestSimulation plays scenarios. INGOT_SIM_SEED plays one and prints its schedule,
// INGOT_SIM_SEEDS plays so many, INGOT_SIM_TIME as many as there is time for, on all
// processors; both from INGOT_SIM_FROM on.
func TestSimulation(t *testing.T) {
	if seed, ok := number(t, "INGOT_SIM_SEED"); ok {
		report(t, simtest.Run(t, seed, func(line string) { fmt.Println(line) }))
		return
	}
	b := &batch{workers: 1, began: time.Now()}
	b.from, _ = number(t, "INGOT_SIM_FROM")
	var ok bool
	if b.seeds, ok = number(t, "INGOT_SIM_SEEDS"); !ok {
		b.seeds = seeds
	}
	if text := os.Getenv("INGOT_SIM_TIME"); text != "" {
		limit, err := time.ParseDuration(text)
		if err != nil {
			t.Fatal(err)
		}
		b.seeds, b.end, b.workers = math.MaxUint64, b.began.Add(limit), uint64(runtime.GOMAXPROCS(0))
	}
	t.Cleanup(func() { b.sum(t) })
	for w := range b.workers {
		t.Run(fmt.Sprintf("worker%d", w), func(t *testing.T) {
			t.Parallel()
			b.play(t, w)
		})
	}
}

// batch is a row of seeds, and what came of them so far.
type batch struct {
	from, seeds, workers uint64
	began, end           time.Time // no end, if zero

	mu        sync.Mutex // protects the fields below
	total     simtest.Counts
	undecided int
	played    int
	broken    bool
}

// play plays every seed of the batch whose turn it is at this worker.
func (b *batch) play(t *testing.T, worker uint64) {
	for i := worker; i < b.seeds && (b.end.IsZero() || time.Now().Before(b.end)); i += b.workers {
		r := simtest.Run(t, b.from+i, nil)
		if b.add(r) {
			return
		}
		if r.Broken != nil {
			replay(t, r)
			return
		}
	}
}

// add counts a scenario. It tells whether another has failed, which ends the batch.
func (b *batch) add(r simtest.Result) (end bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	end = b.broken
	b.broken = b.broken || r.Broken != nil
	b.total.Add(r.Counts)
	b.undecided += r.Undecided
	b.played++
	return end
}

func (b *batch) sum(t *testing.T) {
	took := time.Since(b.began)
	t.Logf("%d scenarios from seed %d on in %v, %.0f a second; %d calls, %d faults", b.played, b.from, took.Round(time.Second),
		float64(b.played)/took.Seconds(), b.total.Steps, b.total.Faults())
	t.Logf("%+v", b.total)
	if b.undecided > 0 {
		t.Logf("the history of %d tags was too long to check", b.undecided)
	}
}

func number(t *testing.T, variable string) (uint64, bool) {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return 0, false
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", variable, err)
	}
	return n, true
}

func report(t *testing.T, r simtest.Result) {
	t.Helper()
	t.Logf("seed %d: %s: hash %016x, %+v", r.Seed, r.Plan, r.Hash, r.Counts)
	if r.Broken != nil {
		t.Errorf("seed %d: %v", r.Seed, r.Broken)
	}
}

// replay plays a broken scenario again and shows the end of its schedule.
func replay(t *testing.T, r simtest.Result) {
	t.Helper()
	var lines []string
	again := simtest.Run(t, r.Seed, func(line string) { lines = append(lines, line) })
	for _, line := range lines[max(0, len(lines)-60):] {
		t.Log(line)
	}
	if again.Hash != r.Hash {
		t.Errorf("seed %d: hash %016x, then %016x: it is not deterministic", r.Seed, r.Hash, again.Hash)
	}
	report(t, r)
	t.Errorf("replay it: INGOT_SIM_SEED=%d go test -run TestSimulation ./registry/internal/simtest", r.Seed)
}

// TestDeterminism plays scenarios twice.
func TestDeterminism(t *testing.T) {
	for seed := range uint64(25) {
		a, b := simtest.Run(t, seed, nil), simtest.Run(t, seed, nil)
		if a.Hash != b.Hash || a.Counts != b.Counts {
			t.Fatalf("seed %d: hash %016x with %+v, then %016x with %+v", seed, a.Hash, a.Counts, b.Hash, b.Counts)
		}
	}
}
