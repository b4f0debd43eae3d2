package registry

import (
	"cmp"
	"net/netip"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/registry/internal/httpapi"
	"github.com/ingot-ml/ingot/registry/internal/limits"
)

// The defaults of Limits.
const (
	// DefaultConnections take about a quarter of a GiB when all of them wait.
	DefaultConnections = 16 << 10
	// DefaultLoginFailures leaves people some mistakes, and who guesses nothing.
	DefaultLoginFailures = 10
	DefaultHeaderTimeout = 5 * time.Second
	DefaultBodyRate      = httpapi.DefaultBodyRate
	// DefaultMemoryShare lets nobody take what all need.
	DefaultMemoryShare = 50
)

// Limits say how much each caller may ask for.
type Limits struct {
	// RatePerAddress and RatePerSubject are requests a second; 0 is no limit.
	RatePerAddress, RatePerSubject int
	// LoginFailures is how many logins of an address may fail in a minute; 0 is no limit.
	LoginFailures int
	// Connections is how many there may be at a time; 0 is DefaultConnections. One more
	// takes the place of one that waits for a request.
	Connections int
	// HeaderTimeout is how long the header of a request may take to come in; 0 is
	// DefaultHeaderTimeout.
	HeaderTimeout time.Duration
	// BodyRate is how many bytes a second of a body have to move; 0 is DefaultBodyRate.
	BodyRate int64
	// MemoryShare is how many percent of Memory the uploads of one caller may take; 0 is
	// DefaultMemoryShare.
	MemoryShare int
	// Proxies are the networks of machines that say truly whom they ask for.
	Proxies []netip.Prefix
}

// leastShare has room for the uploads of a client that sends four chunks at a time.
const leastShare = 8 * (chunker.MaxSize + 128)

// callers are the limits in the words of package httpapi.
func (c Config) callers() httpapi.Callers {
	share := c.Memory / 100 * int64(cmp.Or(max(0, c.MemoryShare), DefaultMemoryShare))
	return httpapi.Callers{
		Limits: limits.New(limits.Config{
			PerAddress: c.RatePerAddress, PerSubject: c.RatePerSubject, Failures: c.LoginFailures, Now: time.Now,
		}),
		Proxies:  c.Proxies,
		Share:    min(c.Memory, max(share, leastShare)),
		BodyRate: c.BodyRate,
	}
}

// conns bounds the connections.
func (c Config) conns() *limits.Conns {
	most := cmp.Or(max(0, c.Connections), DefaultConnections)
	if files := openFiles(); files > 0 && most > files/2 {
		most = files / 2 // a request may need a file beside its connection
		if c.Connections > 0 && c.Connections != DefaultConnections {
			c.Logger.Warn("fewer connections than wanted: the process may have too few open files", "connections", most, "wanted", c.Connections, "files", files)
		}
	}
	return limits.NewConns(most, limits.Proxies(c.Proxies).Trust)
}
