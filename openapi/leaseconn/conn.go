package leaseconn

import (
	"net"
	"time"
)

// Patience is how long a write waits for a peer that does not read.
const Patience = 30 * time.Second

// Conn carries frames of type F. One goroutine may read while one writes.
type Conn[F any] struct {
	unix     *net.UnixConn
	most     int // bytes of JSON in a frame that is read
	patience time.Duration
}

// New returns a Conn over c, which it owns. Frames of more than most bytes of JSON
// are not read.
func New[F any](c *net.UnixConn, most int) *Conn[F] { return &Conn[F]{c, most, Patience} }

// SetPatience changes how long a write waits for a peer that does not read.
func (c *Conn[F]) SetPatience(d time.Duration) { c.patience = d }

// SetReadDeadline ends reads at t; the zero time is never.
func (c *Conn[F]) SetReadDeadline(t time.Time) error { return c.unix.SetReadDeadline(t) }

// Close ends the connection, reads and writes under way included.
func (c *Conn[F]) Close() error { return c.unix.Close() }
