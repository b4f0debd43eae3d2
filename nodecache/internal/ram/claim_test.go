//go:build linux

package ram_test

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/nodecache/internal/ram"
	"github.com/ingot-ml/ingot/nodecache/internal/tier"
)

// behind reports whether b begins where a ends.
func behind(a, b *ram.Claim) bool {
	segment, offset, length := a.Place()
	next, at, _ := b.Place()
	return next == segment && at == offset+length
}

// TestRuns checks that the chunks of a tensor lie behind each other, and that
// those smaller than a slot share one.
func TestRuns(t *testing.T) {
	r := open(t, ram.Config{Budget: 64 * mib, Segment: 32 * mib})
	claims := claim(t, r.Domain("acme"),
		group(0, 2*mib, 2*mib, 2*mib, 700*kib),
		group(10, 100*kib), group(20, 100*kib),
		group(30, 2*mib, 5000),
	)
	for i, c := range claims {
		_, offset, length := c.Place()
		if length == 2*mib && offset%(2*mib) != 0 || offset%(4*kib) != 0 {
			t.Errorf("chunk %d of %d bytes begins at %d", i, length, offset)
		}
	}
	for _, i := range []int{1, 2, 3, 7} {
		if !behind(claims[i-1], claims[i]) {
			t.Errorf("chunk %d is not behind the one before it", i)
		}
	}
	_, a, _ := claims[4].Place()
	_, b, _ := claims[5].Place()
	if a/(2*mib) != b/(2*mib) {
		t.Errorf("small chunks at %d and %d share no slot", a, b)
	}
}

// TestRunPastSegment claims a tensor that is longer than a segment: it is cut only
// where it has to be.
func TestRunPastSegment(t *testing.T) {
	r := open(t, ram.Config{Budget: 64 * mib, Segment: 8 * mib})
	claims := claim(t, r.Domain("acme"), group(0, 2*mib, 2*mib, 2*mib, 2*mib, 2*mib, 2*mib, 9000))
	for i := 1; i < len(claims); i++ {
		if got, want := behind(claims[i-1], claims[i]), i != 4; got != want {
			t.Errorf("chunk %d is behind the one before it: %v, want %v", i, got, want)
		}
	}
}

// TestClaims has two claim one chunk: one fills, the other waits, and takes over
// when the first gives up.
func TestClaims(t *testing.T) {
	r := open(t, ram.Config{Budget: 16 * mib})
	d := r.Domain("acme")
	first := claim(t, d, group(0, 1000))[0]
	second := claim(t, d, group(0, 1000))[0]
	if !first.Mine() || second.Mine() {
		t.Fatal("want the first to fill, and only that")
	}
	d.Drop(ref(0, 0).Digest) // not there yet
	if d.Has(ref(0, 0).Digest) {
		t.Fatal("an empty place is there")
	}
	waited := make(chan error)
	go func() { waited <- second.Wait(t.Context()) }()
	first.Abandon()
	if err := <-waited; !errors.Is(err, ram.ErrAbandoned) {
		t.Fatalf("wait: %v", err)
	}
	empty(t, r)
	second = claim(t, d, group(0, 1000))[0]
	if !second.Mine() {
		t.Fatal("nobody fills it")
	}
	third := claim(t, d, group(0, 1000))[0]
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := third.Wait(cancelled); !errors.Is(err, context.Canceled) {
		t.Fatalf("wait: %v", err)
	}
	publish(second, 1)
	if third.Mine() || second.Mine() || third.Wait(t.Context()) != nil {
		t.Fatal("what is there is to be filled again")
	}
}

// TestClaimEndsOnce checks that nobody gives back the memory of others.
func TestClaimEndsOnce(t *testing.T) {
	d := open(t, ram.Config{Budget: mib}).Domain("acme")
	c := claim(t, d, group(0, 10))[0]
	other := claim(t, d, group(0, 10))[0]
	publish(c, 1)
	for name, end := range map[string]func(){"publish": c.Publish, "abandon": c.Abandon, "abandon another's": other.Abandon} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s is accepted", name)
				}
			}()
			end()
		}()
	}
	if !d.Has(ref(0, 0).Digest) {
		t.Error("the chunk is gone")
	}
}

// TestRefusedClaims checks that a claim that fails leaves nothing.
func TestRefusedClaims(t *testing.T) {
	r := open(t, ram.Config{Budget: 8 * mib})
	d := r.Domain("acme")
	publish(claim(t, d, group(100, 2*mib))[0], 1)
	before := r.Stats()
	for name, tt := range map[string]struct {
		groups [][]chunker.Ref
		full   bool
	}{
		"no room":      {[][]chunker.Ref{group(0, 2*mib, 2*mib), group(10, 2*mib, 2*mib)}, true},
		"no byte":      {[][]chunker.Ref{group(0, 2*mib), group(10, 0)}, false},
		"too long":     {[][]chunker.Ref{group(0, 2*mib), group(10, 2*mib+1)}, false},
		"another size": {[][]chunker.Ref{group(0, 2*mib), group(100, 2*mib-1)}, false},
		"two sizes":    {[][]chunker.Ref{{ref(0, 10), ref(0, 11)}}, false},
	} {
		claims, err := d.Claim(tt.groups)
		if err == nil || errors.Is(err, tier.ErrFull) != tt.full || claims != nil {
			t.Errorf("%s: %d claims, %v", name, len(claims), err)
		}
		if after := r.Stats(); after != before {
			t.Errorf("%s: %+v before, %+v after", name, before, after)
		}
	}
	for _, sizes := range [][]uint32{{2 * mib, 2 * mib, 2 * mib, 2 * mib}, {0}, {2*mib + 1}} {
		if panes, err := d.Window(sizes); err == nil || panes != nil {
			t.Errorf("window of %v: %d panes, %v", sizes, len(panes), err)
		}
		if after := r.Stats(); after != before {
			t.Errorf("window of %v: %+v before, %+v after", sizes, before, after)
		}
	}
}

// TestTwiceInOneClaim claims a chunk twice at once.
func TestTwiceInOneClaim(t *testing.T) {
	r := open(t, ram.Config{Budget: mib})
	claims := claim(t, r.Domain("acme"), []chunker.Ref{ref(0, 10), ref(1, 10), ref(0, 10)}, group(1, 10))
	for i, want := range []bool{true, true, false, false} {
		if claims[i].Mine() != want {
			t.Errorf("claim %d is Mine: %v", i, !want)
		}
	}
	if r.Used() != 8*kib {
		t.Errorf("%d bytes are used", r.Used())
	}
}

// TestDropWhileRead drops a chunk whose digest comes again while somebody
// may still read the old place.
func TestDropWhileRead(t *testing.T) {
	r := open(t, ram.Config{Budget: 4 * mib})
	d := r.Domain("acme")
	want := bytes.Repeat([]byte{7}, 2*mib)
	for range 50 {
		publish(claim(t, d, group(0, 2*mib))[0], 7)
		read := make(chan error)
		go func() {
			got, err := d.Read(context.Background(), ref(0, 2*mib), make([]byte, 0, 2*mib))
			if err == nil && !bytes.Equal(got, want) {
				err = errors.New("other bytes")
			}
			read <- err
		}()
		d.Drop(ref(0, 0).Digest)
		again := claim(t, d, group(0, 2*mib))[0]
		if err := <-read; err != nil && !errors.Is(err, tier.ErrAbsent) {
			t.Fatal(err)
		}
		again.Abandon()
	}
	empty(t, r)
}

// TestTailsAreZero reuses the page of a longer chunk.
func TestTailsAreZero(t *testing.T) {
	d := open(t, ram.Config{Budget: 4 * mib}).Domain("acme")
	publish(claim(t, d, group(9, 100))[0], 1) // keeps the segment
	c := claim(t, d, group(0, 4096))[0]
	publish(c, 0xff)
	_, at, _ := c.Place()
	d.Drop(ref(0, 0).Digest)
	c = claim(t, d, group(1, 10))[0]
	publish(c, 0xee)
	id, offset, _ := c.Place()
	if offset != at {
		t.Fatalf("the page at %d is not used again, but that at %d", at, offset)
	}
	_, file, err := d.Segment(id)
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 4096)
	if _, err := file.ReadAt(got, offset); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got[10:], make([]byte, 4086)) {
		t.Error("the rest of the page is not zero")
	}
}

// TestCloseGivesAllBack closes a tier that holds chunks.
func TestCloseGivesAllBack(t *testing.T) {
	r, err := ram.Open(ram.Config{Budget: 16 * mib, Segment: 4 * mib})
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range claim(t, r.Domain("acme"), group(0, 2*mib, 2*mib, 2*mib, 10)) {
		publish(c, byte(i))
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	empty(t, r)
}
