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

// written is a chunk of n bytes that is in the domain.
func written(t *testing.T, d *ram.Domain, fill byte, n int) ([]byte, chunker.Ref) {
	t.Helper()
	b := bytes.Repeat([]byte{fill}, n)
	r := chunker.Ref{Digest: chunker.Sum(b), Size: uint32(n)}
	if err := d.Put(t.Context(), r, b, nil); err != nil {
		t.Fatal(err)
	}
	return b, r
}

// fresh is a chunk of n bytes that is nowhere.
func fresh(fill byte, n int) ([]byte, chunker.Ref) {
	b := bytes.Repeat([]byte{fill}, n)
	return b, chunker.Ref{Digest: chunker.Sum(b), Size: uint32(n)}
}

// holds fails unless the domain gives these bytes, and zeros behind them.
func holds(t *testing.T, d *ram.Domain, r chunker.Ref, want []byte) {
	t.Helper()
	got, err := d.Read(t.Context(), r, make([]byte, 0, r.Size))
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("chunk %s: %d bytes that differ, or %v", r.Digest.Short(), len(got), err)
	}
}

// TestExchange gives the memory of a chunk to another of another length, and back.
func TestExchange(t *testing.T) {
	r := open(t, ram.Config{Budget: 4 * mib, Segment: 4 * mib})
	d := r.Domain("acme")
	a, refA := written(t, d, 1, 2*mib)
	b, refB := fresh(2, 2*mib-100)
	segment, offset, _, _ := d.Place(refA.Digest)
	used := r.Used()
	for range 2 {
		list, err := d.Exchange([]tier.Exchange{{Comes: refB, Goes: refA}})
		if err != nil {
			t.Fatal(err)
		}
		x := list[0]
		if d.Has(refA.Digest) || d.Has(refB.Digest) || !bytes.Equal(x.Old(), a) {
			t.Error("one of the two chunks is there while it is exchanged, or the old bytes are not")
		}
		if err := x.Fill(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		x.Publish()
		holds(t, d, refB, b)
		s, at, length, ok := d.Place(refB.Digest)
		if !ok || s != segment || at != offset || length != int64(len(b)) || r.Used() != used {
			t.Errorf("it is at %d of %d, want %d of %d, with %d bytes used, want %d", at, s, offset, segment, r.Used(), used)
		}
		_, file, err := d.Segment(s)
		if err != nil {
			t.Fatal(err)
		}
		tail := make([]byte, 100)
		if _, err := file.ReadAt(tail, at+length); err != nil || !bytes.Equal(tail, make([]byte, 100)) {
			t.Errorf("behind the chunk are bytes of the old one: %v", err)
		}
		a, b, refA, refB = b, a, refB, refA
	}
}

// TestExchangeReturned gives an exchange up, while somebody waits for what comes.
func TestExchangeReturned(t *testing.T) {
	r := open(t, ram.Config{Budget: 4 * mib, Segment: 4 * mib})
	d := r.Domain("acme")
	a, refA := written(t, d, 1, mib)
	_, refB := fresh(2, mib)
	exchange := func() *ram.Exchange {
		list, err := d.Exchange([]tier.Exchange{{Comes: refB, Goes: refA}})
		if err != nil {
			t.Fatal(err)
		}
		return list[0]
	}
	x := exchange()
	waits := claim(t, d, []chunker.Ref{refB})[0]
	x.Return()
	if err := waits.Wait(t.Context()); !errors.Is(err, ram.ErrAbandoned) {
		t.Errorf("who waited for what did not come: %v", err)
	}
	holds(t, d, refA, a)

	x = exchange()
	if err := d.Put(t.Context(), refA, a, nil); err != nil { // somebody else brings it again
		t.Fatal(err)
	}
	x.Return()
	holds(t, d, refA, a)
	if r.Used() != mib {
		t.Errorf("%d bytes are used, want those of one chunk", r.Used())
	}
	x = exchange()
	x.Abandon()
	if d.Has(refA.Digest) || r.Used() != 0 {
		t.Errorf("what was abandoned is there: %d bytes", r.Used())
	}
}

// TestExchangeRefused asks for what cannot be, all of which changes nothing.
func TestExchangeRefused(t *testing.T) {
	r := open(t, ram.Config{Budget: 16 * mib, Segment: 4 * mib})
	d := r.Domain("acme")
	a, refA := written(t, d, 1, mib)
	_, there := written(t, d, 3, mib)
	_, refB := fresh(2, mib)
	_, small := fresh(4, 100)
	_, large := fresh(5, 2*mib)
	for _, list := range [][]tier.Exchange{
		{{Comes: small, Goes: refA}},
		{{Comes: large, Goes: refA}},
		{{Comes: there, Goes: refA}},
		{{Comes: refA, Goes: refA}},
		{{Comes: refB, Goes: refB}},
		{{Comes: refB, Goes: refA}, {Comes: refB, Goes: there}},
		{{Comes: refB, Goes: refA}, {Comes: fresh1(6), Goes: refA}},
	} {
		if _, err := d.Exchange(list); err == nil {
			t.Errorf("%v was exchanged", list)
		}
	}
	holds(t, d, refA, a)
	if d.Has(refB.Digest) {
		t.Error("a chunk is there that was refused")
	}
}

func fresh1(fill byte) chunker.Ref {
	_, r := fresh(fill, mib)
	return r
}

// TestExchangeEnds fills what cannot be filled.
func TestExchangeEnds(t *testing.T) {
	r := open(t, ram.Config{Budget: 4 * mib, Segment: 4 * mib})
	d := r.Domain("acme")
	a, refA := written(t, d, 1, mib)
	list, err := d.Exchange([]tier.Exchange{{Comes: fresh1(2), Goes: refA}})
	if err != nil {
		t.Fatal(err)
	}
	if err := list[0].Fill(context.Background(), a[1:]); err == nil {
		t.Error("a chunk of another length was written")
	}
	list[0].Return()
	holds(t, d, refA, a)
}
