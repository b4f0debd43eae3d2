package limits

import (
	"container/list"
	"net"
	"net/http"
	"net/netip"
	"sync"
)

// Conns bounds the connections of a server. One too many takes the place of the one
// that has waited longest without a request, new or between two of them; only if all
// have one under way is it closed itself. So whoever opens connections and does nothing
// keeps nobody else out. It is safe for concurrent use.
type Conns struct {
	most, each int
	trusted    func(netip.Addr) bool // may have more than each

	mu      sync.Mutex // protects the fields below
	open    map[net.Conn]*conn
	waiting list.List // of net.Conn, the one that waits longest in front
	from    map[netip.Addr]int
	refused int64
}

// conn is an open connection.
type conn struct {
	from    netip.Addr
	waiting *list.Element // nil with a request under way
}

// NewConns returns a bound of most connections, half of which may come from one
// address, unless that is trusted.
func NewConns(most int, trusted func(netip.Addr) bool) *Conns {
	if trusted == nil {
		trusted = func(netip.Addr) bool { return false }
	}
	return &Conns{most: most, each: max(1, most/2), trusted: trusted, open: map[net.Conn]*conn{}, from: map[netip.Addr]int{}}
}

// State is a server's ConnState.
func (c *Conns) State(nc net.Conn, state http.ConnState) {
	var victim net.Conn
	c.mu.Lock()
	switch state {
	case http.StateNew:
		victim = c.enter(nc)
	case http.StateActive:
		c.stir(nc)
	case http.StateIdle:
		c.rest(nc)
	case http.StateClosed, http.StateHijacked:
		c.leave(nc)
	}
	c.mu.Unlock()
	if victim != nil {
		_ = victim.Close() // its server notices, and tells of it
	}
}

// Counts returns how many connections are open, how many of them wait for a request,
// and how many were closed to make room.
func (c *Conns) Counts() (open, waiting int, refused int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.open), c.waiting.Len(), c.refused
}

// enter adds a connection, and returns one to close if there are too many.
func (c *Conns) enter(nc net.Conn) (victim net.Conn) {
	from := network(AddressOf(nc.RemoteAddr().String()))
	c.open[nc] = &conn{from: from, waiting: c.waiting.PushBack(nc)}
	c.from[from]++
	switch {
	case c.from[from] > c.each && !c.trusted(from):
		victim = c.oldest(from)
	case len(c.open) > c.most:
		victim = c.waiting.Front().Value.(net.Conn) // nc waits, if none else does
	}
	if victim != nil {
		c.refused++
		c.leave(victim)
	}
	return victim
}

// lookAt bounds how many connections are looked at for one of an address.
const lookAt = 64

// oldest returns a connection of an address that waits, nc itself if none else is
// found soon.
func (c *Conns) oldest(from netip.Addr) net.Conn {
	e := c.waiting.Front()
	for range lookAt {
		if e.Next() == nil || c.open[e.Value.(net.Conn)].from == from {
			return e.Value.(net.Conn)
		}
		e = e.Next()
	}
	return c.waiting.Back().Value.(net.Conn) // the one that has just come
}

func (c *Conns) stir(nc net.Conn) {
	if o, ok := c.open[nc]; ok && o.waiting != nil {
		c.waiting.Remove(o.waiting)
		o.waiting = nil
	}
}

func (c *Conns) rest(nc net.Conn) {
	if o, ok := c.open[nc]; ok && o.waiting == nil {
		o.waiting = c.waiting.PushBack(nc)
	}
}

// leave forgets a connection. It may be called again for the same one.
func (c *Conns) leave(nc net.Conn) {
	o, ok := c.open[nc]
	if !ok {
		return
	}
	c.stir(nc)
	delete(c.open, nc)
	if c.from[o.from]--; c.from[o.from] == 0 {
		delete(c.from, o.from)
	}
}
