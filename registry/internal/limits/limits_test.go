package limits_test

import (
	"context"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/registry/internal/limits"
)

// clock is a time that only the test moves.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

func newLimits(t *testing.T, c limits.Config) (*limits.Limits, *clock) {
	t.Helper()
	clock := &clock{time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	c.Now = clock.Now
	return limits.New(c), clock
}

func addr(text string) netip.Addr { return netip.MustParseAddr(text) }

// TestRates: twice the rate at once, then the rate, and nobody pays for another.
func TestRates(t *testing.T) {
	l, clock := newLimits(t, limits.Config{PerAddress: 10, PerSubject: 5})
	for i := range 20 {
		if wait := l.Address(addr("192.0.2.1")); wait != 0 {
			t.Fatalf("request %d has to wait %v", i, wait)
		}
	}
	for range 3 { // who is refused is not charged
		if wait := l.Address(addr("192.0.2.1")); wait != 100*time.Millisecond {
			t.Errorf("one too many waits %v", wait)
		}
	}
	if l.Address(addr("192.0.2.2")) != 0 {
		t.Error("another address waits too")
	}
	clock.now = clock.now.Add(100 * time.Millisecond)
	if first, second := l.Address(addr("192.0.2.1")), l.Address(addr("192.0.2.1")); first != 0 || second == 0 {
		t.Errorf("after 100 ms the next waits %v and the one behind it %v", first, second)
	}
	for range 10 {
		l.Subject("alice")
	}
	if l.Subject("alice") == 0 || l.Subject("bob") != 0 {
		t.Error("subjects do not have rates of their own")
	}
}

// TestNetworks: an address of IPv4 in any spelling is one, and so is a /64 of IPv6.
func TestNetworks(t *testing.T) {
	l, _ := newLimits(t, limits.Config{PerAddress: 1})
	for _, same := range [][]string{
		{"192.0.2.1", "::ffff:192.0.2.1", "192.0.2.1"},
		{"2001:db8::1", "2001:db8::ffff:0:0:2", "2001:db8::1%eth0"},
	} {
		for i, a := range same {
			if wait := l.Address(addr(a)); (wait == 0) != (i < 2) {
				t.Errorf("request %d, of %s, waits %v", i, a, wait)
			}
		}
	}
	if l.Address(addr("2001:db8:0:1::1")) != 0 {
		t.Error("another network waits too")
	}
	if l.Address(netip.Addr{}) != 0 {
		t.Error("who has no address waits before he has asked")
	}
}

// TestLogins: ten may fail in a minute, and looking is free.
func TestLogins(t *testing.T) {
	l, clock := newLimits(t, limits.Config{Failures: 10})
	a := addr("192.0.2.1")
	for i := range 10 {
		if wait := l.Locked(a); wait != 0 {
			t.Fatalf("after %d failures it waits %v", i, wait)
		}
		l.Failed(a)
	}
	wait := l.Locked(a)
	if wait <= 5*time.Second || wait > 6*time.Second || l.Locked(addr("192.0.2.2")) != 0 {
		t.Errorf("after ten failures it waits %v", wait)
	}
	clock.now = clock.now.Add(wait)
	if l.Locked(a) != 0 {
		t.Error("it waits longer than it was told")
	}
	l.Failed(a)
	if l.Locked(a) == 0 {
		t.Error("the next failure does not lock it again")
	}
}

// TestNoLimits: what is not limited is free.
func TestNoLimits(t *testing.T) {
	l, _ := newLimits(t, limits.Config{})
	var none *limits.Limits
	for range 100 {
		l.Failed(addr("192.0.2.1"))
		none.Failed(addr("192.0.2.1"))
		if l.Address(addr("192.0.2.1"))+l.Subject("a")+l.Locked(addr("192.0.2.1")) != 0 || none.Address(addr("192.0.2.1"))+none.Subject("a")+none.Locked(addr("192.0.2.1")) != 0 {
			t.Fatal("something is limited")
		}
	}
}

// TestManyCallers: who comes from more addresses than are remembered takes no more
// memory, and whoever was seen last is remembered.
func TestManyCallers(t *testing.T) {
	l, _ := newLimits(t, limits.Config{PerAddress: 1})
	const most = 100
	l.SetMost(most)
	kept := addr("192.0.2.1")
	l.Address(kept)
	l.Address(kept)
	for i := range 10 * most {
		l.Address(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}))
		if i%50 == 0 && l.Address(kept) == 0 {
			t.Fatalf("forgotten after %d others", i)
		}
	}
	if n := l.Callers(); n != most {
		t.Errorf("%d are remembered", n)
	}
}

// TestOrigin: X-Forwarded-For is believed as far as proxies have written it.
func TestOrigin(t *testing.T) {
	proxies := limits.Proxies{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for _, tt := range []struct{ from, forwarded, want string }{
		{"192.0.2.1:5", "198.51.100.7", "192.0.2.1"}, // not from a proxy
		{"10.0.0.1:5", "198.51.100.7", "198.51.100.7"},
		{"10.0.0.1:5", "203.0.113.9, 198.51.100.7", "198.51.100.7"}, // what a caller has made up stands in front
		{"10.0.0.1:5", "198.51.100.7, 10.0.0.2", "198.51.100.7"},
		{"10.0.0.1:5", "", "10.0.0.1"},
		{"10.0.0.1:5", "nonsense", "10.0.0.1"},
		{"10.0.0.1:5", "nonsense, 198.51.100.7", "198.51.100.7"},
		{"10.0.0.1:5", "198.51.100.7,", "10.0.0.1"},
		{"[fd00::1]:5", "2001:db8::1%eth0", "2001:db8::1"},
		{"[::ffff:10.0.0.1]:5", "::ffff:198.51.100.7", "198.51.100.7"},
		{"@", "198.51.100.7", "invalid IP"}, // a unix socket
	} {
		r := httptest.NewRequestWithContext(context.Background(), "GET", "/", nil)
		r.RemoteAddr = tt.from
		r.Header.Set("X-Forwarded-For", tt.forwarded)
		if got := proxies.Origin(r).String(); got != tt.want {
			t.Errorf("from %s for %q: %s, want %s", tt.from, tt.forwarded, got, tt.want)
		}
	}
}

func FuzzOrigin(f *testing.F) {
	f.Add("10.0.0.1:1", "198.51.100.7, 10.0.0.2")
	f.Add("[::1]:80", ",,,")
	f.Fuzz(func(t *testing.T, from, forwarded string) {
		proxies := limits.Proxies{netip.MustParsePrefix("10.0.0.0/8")}
		r := httptest.NewRequestWithContext(context.Background(), "GET", "/", nil)
		r.RemoteAddr = from
		r.Header.Set("X-Forwarded-For", forwarded)
		got := proxies.Origin(r)
		if at := limits.AddressOf(from); got != at && !proxies.Trust(at) {
			t.Errorf("%s believes %q: %s", from, forwarded, got)
		}
	})
}
