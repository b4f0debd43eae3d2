// Package arrival owns a file on its way here: it is fetched in parts, perhaps several
// at a time, and is read by many while it comes.
//
// Laws:
//   - A file is fetched once, however many read it, and to its end even if they have
//     all gone: who was cut off comes again.
//   - A reader waits only for the bytes that it wants next. One that wants bytes far
//     from those that come gets a connection for them, as long as there are some left.
//   - Whoever reads the last byte gets it after all bytes have proven to be right, so
//     that no body is complete and wrong. Those who read a part in the middle get what
//     the other side has sent.
//   - An attempt that brings no byte counts; after some in a row the file has failed,
//     for all who read it. The very first may not fail: who asks then is told at once.
package arrival

import (
	"cmp"
	"context"
	"errors"
	"io"
	"time"
)

// Room is where the bytes are put. Parts of it are written and read at the same time,
// but never the same.
type Room interface {
	io.ReaderAt
	io.WriterAt
	Close() error
}

// Opener begins to read a part of the file: from offset up to end, or from its start
// where the other side knows no parts. ctx is for reading too.
type Opener func(ctx context.Context, offset, end int64) (Part, error)

// Part is bytes that come, in order.
type Part interface {
	io.Reader
	Offset() int64 // of the first of them
	Close()
}

// Config says how a file comes.
type Config struct {
	Size int64
	Room Room // closed with the Arrival
	Open Opener
	// Proof returns an error unless the bytes in Room, which are all here, are right;
	// nil trusts the other side.
	Proof func() error
	// Final tells errors of Open that another attempt does not change.
	Final func(error) bool
	// Connections is how many parts come at a time; 0 is DefaultConnections.
	Connections int
	// Near is how far ahead of a part that comes a reader waits for it, in bytes; 0 is
	// DefaultNear.
	Near int64
	// Tries is how many attempts in a row may bring nothing; 0 is DefaultTries.
	Tries int
	// Pause is before the second attempt, and doubles; 0 is DefaultPause.
	Pause time.Duration
}

// The defaults of a Config.
const (
	DefaultConnections = 4
	DefaultNear        = 8 << 20
	DefaultTries       = 4
	DefaultPause       = 200 * time.Millisecond
)

func (c Config) withDefaults() Config {
	c.Connections = cmp.Or(c.Connections, DefaultConnections)
	c.Near = max(cmp.Or(c.Near, DefaultNear), piece)
	c.Tries = cmp.Or(c.Tries, DefaultTries)
	c.Pause = cmp.Or(c.Pause, DefaultPause)
	if c.Final == nil {
		c.Final = func(error) bool { return false }
	}
	return c
}

// errUnfinished reports an Arrival that was closed before all bytes were here.
var errUnfinished = errors.New("the file did not arrive: the server stops")
