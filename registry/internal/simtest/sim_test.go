package simtest_test

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/registry/internal/simtest"
)

// The seeds of TestSimulation when nobody asks for others.
const seeds = 300

// TestSimulation plays scenarios. INGOT_SIM_SEED plays one and prints its schedule,
// INGOT_SIM_SEEDS plays so many, INGOT_SIM_TIME as many as there is time for, from
// INGOT_SIM_FROM on.
func TestSimulation(t *testing.T) {
	if seed, ok := number(t, "INGOT_SIM_SEED"); ok {
		report(t, simtest.Run(t, seed, func(line string) { fmt.Println(line) }))
		return
	}
	from, _ := number(t, "INGOT_SIM_FROM")
	n, ok := number(t, "INGOT_SIM_SEEDS")
	if !ok {
		n = seeds
	}
	limit, err := time.ParseDuration("0" + os.Getenv("INGOT_SIM_TIME"))
	if err != nil {
		t.Fatal(err)
	}
	var total simtest.Counts
	began := time.Now()
	played := uint64(0)
	for ; limit > 0 && time.Since(began) < limit || limit == 0 && played < n; played++ {
		r := simtest.Run(t, from+played, nil)
		total.Add(r.Counts)
		if r.Broken != nil {
			replay(t, r)
			break
		}
	}
	took := time.Since(began)
	t.Logf("%d scenarios in %v, %.0f a second: %+v", played, took.Round(time.Millisecond), float64(played)/took.Seconds(), total)
	t.Logf("%d faults", total.Faults())
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
	for seed := range uint64(60) {
		a, b := simtest.Run(t, seed, nil), simtest.Run(t, seed, nil)
		if a.Hash != b.Hash || a.Counts != b.Counts {
			t.Fatalf("seed %d: hash %016x with %+v, then %016x with %+v", seed, a.Hash, a.Counts, b.Hash, b.Counts)
		}
	}
}
