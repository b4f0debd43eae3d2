package format_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/chunker/format"
)

// repeating is a file of a head, of n times what repeats, and of a tail. It keeps
// how much was asked for.
type repeating struct {
	head, unit, tail string
	n                int64
	asked, most      int64
}

func (r *repeating) size() int64 { return r.units() + int64(len(r.tail)) }

// units returns where what repeats ends.
func (r *repeating) units() int64 { return int64(len(r.head)) + r.n*int64(len(r.unit)) }

func (r *repeating) ReadAt(p []byte, offset int64) (int, error) {
	r.asked += int64(len(p))
	r.most = max(r.most, int64(len(p)))
	rest := p
	if offset < int64(len(r.head)) {
		rest = rest[copy(rest, r.head[offset:]):]
	}
	units := r.units()
	for len(rest) > 0 {
		at := offset + int64(len(p)-len(rest))
		if at >= units {
			rest = rest[copy(rest, r.tail[at-units:]):]
			continue
		}
		unit := r.unit[(at-int64(len(r.head)))%int64(len(r.unit)):]
		rest = rest[copy(rest[:min(int64(len(rest)), units-at)], unit):]
	}
	return len(p), nil
}

// tokens is a file with an array of n values of that type, and a tensor.
func tokens(kind uint32, unit string, n int64) *repeating {
	f := gguf3
	r := &repeating{
		head: f.start(1, 1) + f.text("tokens") + f.u32(9) + f.u32(kind) + f.u64(uint64(n)),
		unit: unit, n: n, tail: f.info("a", 24, 0, 32),
	}
	r.tail += strings.Repeat("\x00", padding(int(r.size()), 32)+32)
	return r
}

// TestGGUFBounded walks large metadata: it is read at most once, a little at a
// time.
func TestGGUFBounded(t *testing.T) {
	for name, tt := range map[string]struct {
		r      *repeating
		format string
		asked  int64
	}{
		"1,000,000 strings":   {tokens(8, gguf3.text("token"), 1_000_000), format.GGUF, 13_100_000},
		"strings of 100 KiB":  {tokens(8, gguf3.text(strings.Repeat("x", 100<<10)), 100), format.GGUF, 500_000},
		"100,000 arrays":      {tokens(9, gguf3.list(0, "x"), 100_000), format.GGUF, 1_400_000},
		"268,000,000 numbers": {tokens(6, "1234", 268_000_000), format.GGUF, 50_000},
		"2^40 numbers":        {tokens(6, "1234", 1<<39), format.Opaque, 50_000},
		"a string of more":    {tokens(8, gguf3.u64(1<<40), 1<<39), format.Opaque, 50_000},
		"30,000 long names":   {manyTensors(30_000), format.Opaque, 20_000_000},
		"20,000 long names":   {manyTensors(20_000), format.GGUF, 20_000_000},
		"1,000 long arrays":   {tokens(9, gguf3.list(6, slices.Repeat([]string{"1234"}, 2000)...), 1000), format.GGUF, 5_000_000},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := format.Open("x.bin", tt.r, tt.r.size())
			if err != nil || f.Format != tt.format {
				t.Fatalf("Open = %v, want %s", err, tt.format)
			}
			if tt.r.asked > tt.asked || tt.r.most > 64<<10 {
				t.Errorf("read %d bytes, %d at a time, want at most %d, 64 KiB at a time", tt.r.asked, tt.r.most, tt.asked)
			}
		})
	}
}

// TestGGUFKeepsNoValues counts allocations, which must not follow the values.
func TestGGUFKeepsNoValues(t *testing.T) {
	r := tokens(8, gguf3.text("token"), 100_000)
	allocs := testing.AllocsPerRun(1, func() {
		if f, err := format.Open("x.gguf", r, r.size()); err != nil || f.Format != format.GGUF {
			t.Errorf("Open = %+v, %v", f, err)
		}
	})
	if allocs > 100 {
		t.Errorf("%v allocations for 100,000 strings, want at most 100", allocs)
	}
}

// manyTensors is a file of n tensors of no bytes, with names of 500.
func manyTensors(n int) *repeating {
	var b strings.Builder
	b.WriteString(gguf3.start(uint64(n), 0))
	for i := range n {
		b.WriteString(gguf3.info(fmt.Sprintf("%0500d", i), 24, 0, 0))
	}
	return &repeating{head: b.String(), unit: "\x00", n: int64(padding(b.Len(), 32))}
}
