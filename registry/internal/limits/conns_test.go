package limits_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/registry/internal/limits"
)

// fakeConn is a connection that notes that it was closed.
type fakeConn struct {
	net.Conn
	from   string
	closed bool
}

func (c *fakeConn) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(c.from), 1))
}

func (c *fakeConn) Close() error { c.closed = true; return nil }

// opened opens n connections from an address, and has them ask if active.
func opened(c *limits.Conns, n int, from string, active bool) (list []*fakeConn) {
	for range n {
		conn := &fakeConn{from: from}
		c.State(conn, http.StateNew)
		if active {
			c.State(conn, http.StateActive)
		}
		list = append(list, conn)
	}
	return list
}

func countClosed(list []*fakeConn) (n int) {
	for _, c := range list {
		if c.closed {
			n++
		}
	}
	return n
}

// TestConns: connections that do nothing give way to new ones, the longest waiting
// first, and those with a request never do.
func TestConns(t *testing.T) {
	c := limits.NewConns(10, nil)
	busy := opened(c, 4, "192.0.2.1", true)
	idle := opened(c, 5, "192.0.2.2", false)
	for i := range 20 {
		opened(c, 1, netip.AddrFrom4([4]byte{198, 51, 100, byte(i)}).String(), false)
		if open, _, _ := c.Counts(); open > 10 {
			t.Fatalf("%d connections", open)
		}
	}
	if countClosed(busy) != 0 || countClosed(idle) != 5 || !idle[0].closed {
		t.Errorf("%d of 4 with requests and %d of 5 without were closed", countClosed(busy), countClosed(idle))
	}
	for _, b := range busy {
		c.State(b, http.StateIdle)
		c.State(b, http.StateClosed)
		c.State(b, http.StateClosed) // told again, as after a Close of ours
	}
	if open, waiting, refused := c.Counts(); open != 6 || waiting != 6 || refused != 19 {
		t.Errorf("%d open, %d waiting, %d refused", open, waiting, refused)
	}
}

// TestConnsAllBusy: when everybody asks, the newest goes.
func TestConnsAllBusy(t *testing.T) {
	c := limits.NewConns(4, func(netip.Addr) bool { return true })
	busy := opened(c, 4, "192.0.2.1", true)
	late := opened(c, 1, "192.0.2.9", false)
	if countClosed(busy) != 0 || countClosed(late) != 1 {
		t.Errorf("%d with requests closed, %d new ones", countClosed(busy), countClosed(late))
	}
}

// TestConnsOfOneAddress: one address has at most half, unless it is a proxy's, and
// takes nothing from others.
func TestConnsOfOneAddress(t *testing.T) {
	proxy := netip.MustParseAddr("10.0.0.1")
	c := limits.NewConns(20, func(a netip.Addr) bool { return a == proxy })
	other := opened(c, 3, "192.0.2.1", false)
	flood := opened(c, 100, "192.0.2.66", true)
	if countClosed(other) != 0 || countClosed(flood) != 90 {
		t.Errorf("%d of others closed, %d of the flood", countClosed(other), countClosed(flood))
	}
	if n := countClosed(opened(c, 7, "10.0.0.1", true)); n != 0 {
		t.Errorf("%d of a proxy's were closed", n)
	}
	if open, _, _ := c.Counts(); open != 20 {
		t.Errorf("%d open", open)
	}
}

// TestShares: a caller waits for its own share, and nobody for another's.
func TestShares(t *testing.T) {
	s := limits.NewShares(100)
	release, err := s.Acquire(t.Context(), "a", 1000) // more than its share is all of it
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := s.Acquire(ctx, "a", 1); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a has more than its share: %v", err)
	}
	other, err := s.Acquire(t.Context(), "b", 100)
	if err != nil {
		t.Fatal(err)
	}
	release()
	other()
	if again, err := s.Acquire(t.Context(), "a", 100); err != nil {
		t.Error(err)
	} else {
		again()
	}
	if n := s.Users(); n != 0 {
		t.Errorf("%d callers are remembered that have nothing", n)
	}
	var none *limits.Shares
	if _, err := none.Acquire(t.Context(), "a", 1<<40); err != nil {
		t.Error(err)
	}
}
