package client

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/ingot-ml/ingot/client/internal/wire"
)

// DefaultParallel is how many requests a push or pull has under way: enough to
// hide a round trip behind the others' bytes.
const DefaultParallel = 8

// maxParallel bounds the memory of a pull: each request under way holds a chunk,
// plain and encoded.
const maxParallel = 32

// DefaultPatience is how long a call is tried again: a restart of the registry
// takes less.
const DefaultPatience = time.Minute

// Options say how to talk to a registry. The zero value is ready for use.
type Options struct {
	// HTTP makes the requests; nil is a client of HTTP/1.1 made for large bodies.
	HTTP *http.Client
	// Parallel is the most requests at a time, at most 32; 0 is DefaultParallel.
	Parallel int
	// Patience is how long after its first failure a call is tried again before it
	// fails with ErrUnreachable; 0 is DefaultPatience.
	Patience time.Duration
	// UserAgent is sent with every request; empty is "ingot".
	UserAgent string
}

// Registry talks to one registry. It is safe for concurrent use.
type Registry struct {
	wire     *wire.Caller
	parallel int
}

// New returns a client of the registry at base, "http://host:port" or with
// https and a path. It does not connect.
func New(base string, o Options) (*Registry, error) {
	u, err := url.Parse(base)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("registry %.200q: want http://host:port", base)
	}
	patience := cmp.Or(max(0, o.Patience), DefaultPatience)
	return &Registry{
		wire:     wire.New(u, o.HTTP, cmp.Or(o.UserAgent, "ingot"), patience),
		parallel: min(cmp.Or(max(0, o.Parallel), DefaultParallel), maxParallel),
	}, nil
}

// Close closes the connections that no call uses.
func (r *Registry) Close() { r.wire.Close() }
