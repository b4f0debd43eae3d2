package ledger_test

import (
	"errors"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/nodecache/internal/ledger"
	"github.com/ingot-ml/ingot/nodecache/internal/tier"
)

// sized is a chunk of eight bytes.
func sized(c int) chunker.Ref { return chunker.Ref{Digest: digest(c), Size: 8} }

// eights is version i with chunks of eight bytes.
func eights(i int, chunks ...int) ledger.Entry {
	e := ledger.Entry{Key: key(i)}
	for _, c := range chunks {
		e.Chunks = append(e.Chunks, sized(c))
	}
	return e
}

func over(comes, goes int) tier.Exchange {
	return tier.Exchange{Comes: sized(comes), Goes: sized(goes)}
}

// admitted is an account of so many bytes with versions, the first of which is leased.
func admitted(t *testing.T, bytes int64, list ...ledger.Entry) *ledger.Ledger {
	t.Helper()
	l := ledger.New(ledger.Limits{Bytes: bytes}, cost)
	for _, e := range list {
		if _, err := l.Admit(e, time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Lease(list[0].Key, time.Time{}); err != nil {
		t.Fatal(err)
	}
	return l
}

// TestOverlay has a version come over another in an account that is full, but for one
// chunk that comes beside it.
func TestOverlay(t *testing.T) {
	l := admitted(t, 40, eights(1, 1, 2, 3, 4))
	swaps := []tier.Exchange{over(11, 1), over(12, 2)}
	o, out, err := l.Overlay(key(1), eights(2, 11, 12, 3, 13), swaps, time.Time{})
	if err != nil || len(out.Keys) != 0 {
		t.Fatal(out, err)
	}
	if l.Has(key(1)) || !l.Has(key(2)) || l.Len() != 1 || l.Used() != 40 {
		t.Errorf("while it comes: %d versions, %d bytes", l.Len(), l.Used())
	}
	freed := o.Commit()
	if len(freed) != 1 || freed[0].Digest != digest(4) || l.Used() != 32 {
		t.Errorf("freed %v, and %d bytes are used", freed, l.Used())
	}
	if own, shared := l.Weigh(key(2)); own != 32 || shared != 0 {
		t.Errorf("it has %d bytes and shares %d", own, shared)
	}
	l.Unlease(key(2), time.Time{})
	if freed, err := l.Remove(key(2)); err != nil || len(freed) != 4 || l.Used() != 0 {
		t.Errorf("removed: %v, %v, and %d bytes are used", freed, err, l.Used())
	}
}

// TestOverlayUndone puts everything back.
func TestOverlayUndone(t *testing.T) {
	l := admitted(t, 40, eights(1, 1, 2, 3, 4))
	o, _, err := l.Overlay(key(1), eights(2, 11, 2, 3, 13), []tier.Exchange{over(11, 1)}, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	freed, ok := o.Undo(time.Time{})
	if !ok || len(freed) != 1 || freed[0].Digest != digest(13) || l.Used() != 32 || l.Len() != 1 || l.Has(key(2)) {
		t.Errorf("freed %v, %v: %d bytes of %d versions", freed, ok, l.Used(), l.Len())
	}
	if _, err := l.Remove(key(1)); !errors.Is(err, ledger.ErrLeased) {
		t.Errorf("it is not leased again: %v", err)
	}
	l.Unlease(key(1), time.Time{})
	if freed, err := l.Remove(key(1)); err != nil || len(freed) != 4 || l.Used() != 0 {
		t.Errorf("removed: %v, %v", freed, err)
	}
}

// TestOverlayTooLate undoes what others build on: neither version is there then, and
// they keep what they hold.
func TestOverlayTooLate(t *testing.T) {
	for _, c := range []struct {
		name string
		came ledger.Entry
		left int64
	}{
		{"holds what came", eights(3, 11), 8},
		{"wants what went", eights(3, 1), 8},
		{"wants it back", eights(1, 1, 2), 16},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := admitted(t, 80, eights(1, 1, 2))
			o, _, err := l.Overlay(key(1), eights(2, 11, 2), []tier.Exchange{over(11, 1)}, time.Time{})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := l.Admit(c.came, time.Time{}); err != nil {
				t.Fatal(err)
			}
			if _, ok := o.Undo(time.Time{}); ok || l.Has(key(2)) || l.Used() != c.left || l.Len() != 1 {
				t.Errorf("undone: %v; %d versions with %d bytes", ok, l.Len(), l.Used())
			}
		})
	}
}

// TestOverlayRefused changes nothing.
func TestOverlayRefused(t *testing.T) {
	base := eights(1, 1, 2, 3)
	for _, c := range []struct {
		name string
		also ledger.Entry
		e    ledger.Entry
		over []tier.Exchange
		want error
	}{
		{"not there", eights(4, 4), eights(2, 11), []tier.Exchange{over(11, 9)}, ledger.ErrShared},
		{"shared", eights(4, 1), eights(2, 11), []tier.Exchange{over(11, 1)}, ledger.ErrShared},
		{"another's", eights(4, 4), eights(2, 11), []tier.Exchange{over(11, 4)}, ledger.ErrShared},
		{"there", eights(4, 11), eights(2, 11), []tier.Exchange{over(11, 1)}, ledger.ErrShared},
		{"twice", eights(4, 4), eights(2, 11, 12), []tier.Exchange{over(11, 1), over(12, 1)}, ledger.ErrShared},
		{"stays", eights(4, 4), eights(2, 11, 1), []tier.Exchange{over(11, 1)}, ledger.ErrShared},
		{"is there", eights(2, 4), eights(2, 11), []tier.Exchange{over(11, 1)}, ledger.ErrLeased},
		{"too large", eights(4, 4), eights(2, 11, 12, 13, 14, 15, 16), []tier.Exchange{over(11, 1)}, ledger.ErrTooLarge},
		{"no room", eights(4, 4), eights(2, 11, 12, 13, 14), []tier.Exchange{over(11, 1)}, ledger.ErrFull},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := admitted(t, 40, base, c.also)
			used := l.Used()
			if _, _, err := l.Overlay(key(1), c.e, c.over, time.Time{}); !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
			if !l.Has(key(1)) || l.Len() != 2 || l.Used() != used {
				t.Errorf("the account has changed: %d versions, %d bytes", l.Len(), l.Used())
			}
			l.Unlease(key(1), time.Time{})
			if freed, err := l.Remove(key(1)); err != nil || len(freed) == 0 {
				t.Errorf("removed: %v, %v", freed, err)
			}
		})
	}
	l := admitted(t, 40, base)
	if err := l.Lease(key(1), time.Time{}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := l.Overlay(key(1), eights(2, 11), nil, time.Time{}); !errors.Is(err, ledger.ErrLeased) {
		t.Errorf("over what another leases: %v", err)
	}
	if _, _, err := l.Overlay(key(7), eights(2, 11), nil, time.Time{}); !errors.Is(err, ledger.ErrUnknown) {
		t.Errorf("over what is not there: %v", err)
	}
}
