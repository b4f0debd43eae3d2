package powercut_test

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"
)

// long returns how many rounds "make powercut" asks for, 0 in other runs.
func long(t *testing.T) int {
	t.Helper()
	text := os.Getenv("INGOT_POWERCUT_ROUNDS")
	if text == "" {
		return 0
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("INGOT_POWERCUT_ROUNDS is %q, want a number from 1", text)
	}
	return n
}

func seeded(t *testing.T) *rand.Rand {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// perDisk is how many rounds there are on one disk, before a new one is made: each
// holds the registry to all that was acknowledged on it.
const perDisk = 6

// enough is how many pushes a long run has acknowledged at least.
const enough = 5000

// TestPowerCutXFS cuts the power of a registry on XFS, which forgets a name whose
// folder was not synced.
func TestPowerCutXFS(t *testing.T) {
	rounds, least := long(t), enough
	if rounds == 0 {
		rounds, least = 2, 0
	}
	powerCut(t, "xfs", rounds, least)
}

// TestPowerCutExt4 cuts it on ext4, which forgets less.
func TestPowerCutExt4(t *testing.T) { powerCut(t, "ext4", max(1, long(t)/3), 0) }

// powerCut runs rounds until there are enough of them and of acknowledgements.
func powerCut(t *testing.T, kind string, rounds, acks int) {
	random, n := seeded(t), &tally{}
	var g *rig
	for n.rounds < rounds || n.acks < acks {
		if n.rounds%perDisk == 0 {
			if g != nil {
				g.close()
				t.Log(n)
			}
			g = newRig(t, kind, program(t), random, n)
			if long(t) == 0 {
				g.longest = time.Second
			}
		}
		g.round()
		if len(n.lost) > 0 {
			t.Errorf("%s\nthe registry said\n%s", n.lost[0], g.server.log)
			break
		}
	}
	t.Logf("%s: %v", kind, n)
}
