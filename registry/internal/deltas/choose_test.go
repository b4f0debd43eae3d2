package deltas_test

import (
	"errors"
	"math"
	"strconv"
	"testing"

	"github.com/ingot-ml/ingot/registry/internal/deltas"
	"github.com/ingot-ml/ingot/registry/internal/placement"
)

// Encoded bytes of a chunk of a million, measured for bf16.
const whole = 670_000

// sizes are bytes of a delta by the share of values that differ.
var sizes = [][2]float64{{0, 200}, {.01, 6_000}, {.02, 11_500}, {.05, 25_800}, {.1, 46_000}, {.2, 83_000}, {.4, 150_000}, {.7, 261_000}, {1, 360_000}}

func sizeOf(changed float64) int {
	for i, high := range sizes[1:] {
		if low := sizes[i]; changed <= high[0] {
			return int(low[1] + (high[1]-low[1])*(changed-low[0])/(high[0]-low[0]))
		}
	}
	return math.MaxInt
}

// line is a row of checkpoints, each of which changes a share of the values of the one
// before.
type line struct {
	share  float64
	stored int
	kinds  string // a anchor, m middle, s step
	last   placement.Entry
	at     int
}

func (l *line) add(t *testing.T) {
	t.Helper()
	var chain deltas.Chain
	if l.at > 0 {
		chain = deltas.ChainOf(&l.last)
	}
	size := func(i, limit int) (int, bool, error) {
		then, err := strconv.Atoi(chain[i].Object)
		if err != nil {
			return 0, false, err
		}
		n := sizeOf(1 - math.Pow(1-l.share, float64(l.at-then)))
		return n, n <= limit, nil
	}
	base, err := deltas.Choose(chain, whole, size)
	if err != nil {
		t.Fatal(err)
	}
	e := placement.Entry{Object: strconv.Itoa(l.at), Length: whole}
	if base != deltas.Whole {
		n, _, _ := size(base, whole)
		e.Length, e.Closure = uint32(n), chain.Closure(base, n)
	}
	if len(e.Closure) > deltas.MaxDepth {
		t.Fatalf("checkpoint %d needs %d bases", l.at, len(e.Closure))
	}
	l.kinds += "ams"[len(e.Closure) : len(e.Closure)+1]
	l.stored += int(e.Length)
	l.last = e
	l.at++
}

// TestHundredCheckpoints has a hundred checkpoints cost what the format was made for.
func TestHundredCheckpoints(t *testing.T) {
	for _, tc := range []struct{ share, most float64 }{{.001, 1.3}, {.01, 4.5}, {.02, 6.2}, {.05, 10}, {.2, 20}} {
		l := line{share: tc.share}
		for range 100 {
			l.add(t)
		}
		raw := float64(l.stored) / 1e6
		t.Logf("%.1f %% a checkpoint: %.2f × raw, %s", 100*tc.share, raw, l.kinds)
		if raw > tc.most {
			t.Errorf("100 checkpoints of %.1f %% each take %.2f × raw, want at most %.2f", 100*tc.share, raw, tc.most)
		}
	}
}

// fixed is a Sizer of deltas that have these sizes.
func fixed(sizes ...int) deltas.Sizer {
	return func(i, limit int) (int, bool, error) { return sizes[i], sizes[i] <= limit, nil }
}

func TestChoose(t *testing.T) {
	chain := func(spent ...uint32) (c deltas.Chain) {
		for _, n := range spent {
			c = append(c, placement.Entry{Object: "x", Length: 1, Spent: n})
		}
		return c
	}
	for _, tc := range []struct {
		what  string
		chain deltas.Chain
		sizes []int
		want  int
	}{
		{"no related chunk", nil, nil, deltas.Whole},
		{"an anchor", chain(0), []int{500}, 0},
		{"an anchor that is not much like it", chain(0), []int{940}, deltas.Whole},
		{"a middle", chain(0, 100), []int{50, 60}, 0},
		{"a middle that is less like it than the anchor", chain(0, 100), []int{60, 50}, 1},
		{"a step", chain(0, 100, 100), []int{1, 50, 160}, 1},
		{"a step, with much spent on the middle", chain(0, 100, 100), []int{1, 70, 160}, 2},
		{"a step, with much spent on both", chain(0, 100, 900), []int{1, 70, 160}, deltas.Whole},
		{"nothing like it", chain(0, 0, 0), []int{950, 950, 950}, deltas.Whole},
		{"only like the anchor", chain(0, 0, 0), []int{950, 950, 900}, 2},
	} {
		got, err := deltas.Choose(tc.chain, 1000, fixed(tc.sizes...))
		if got != tc.want || err != nil {
			t.Errorf("%s: got %d, %v, want %d", tc.what, got, err, tc.want)
		}
	}
	broken := errors.New("broken")
	for i := range 2 {
		_, err := deltas.Choose(chain(0, 0), 1000, func(at, limit int) (int, bool, error) {
			if at == i {
				return 0, false, broken
			}
			return 10, true, nil
		})
		if !errors.Is(err, broken) {
			t.Errorf("a size that cannot be had: %v", err)
		}
	}
}

func TestClosure(t *testing.T) {
	e := placement.Entry{Object: "step", Closure: []placement.Entry{{Object: "middle", Spent: 5}, {Object: "anchor", Spent: math.MaxUint32 - 1}}}
	c := deltas.ChainOf(&e)
	if got := c.Closure(1, 7); len(got) != 2 || got[0].Spent != 12 || got[1].Spent != math.MaxUint32-1 {
		t.Errorf("a step: %+v", got)
	}
	if got := c.Closure(2, 7); len(got) != 1 || got[0].Spent != math.MaxUint32 {
		t.Errorf("a middle: %+v", got)
	}
	if e.Closure[0].Spent != 5 {
		t.Error("the related chunk's own closure changed")
	}
}
