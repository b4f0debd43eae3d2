package client

import (
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// DefaultParallel is how many requests a push or pull has under way: enough to
// hide a round trip behind the others' bytes.
const DefaultParallel = 8

// DefaultPatience is how long a call is tried again: a restart of the registry
// takes less.
const DefaultPatience = time.Minute

// Options say how to talk to a registry. The zero value is ready for use.
type Options struct {
	// HTTP makes the requests; nil is a client of HTTP/1.1 made for large bodies.
	HTTP *http.Client
	// Parallel is the most requests at a time; 0 is DefaultParallel.
	Parallel int
	// Patience is how long a call is tried again before it fails with
	// ErrUnreachable, not counting bodies under way; 0 is DefaultPatience.
	Patience time.Duration
	// UserAgent is sent with every request; empty is "ingot".
	UserAgent string
}

// Registry talks to one registry. It is safe for concurrent use.
type Registry struct {
	base     *url.URL
	parallel int
}

// New returns a client of the registry at base, "http://host:port" or with
// https and a path. It does not connect.
func New(base string, o Options) (*Registry, error) {
	u, err := url.Parse(base)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("registry %.200q: want http://host:port", base)
	}
	r := &Registry{base: u, parallel: o.Parallel}
	if r.parallel <= 0 {
		r.parallel = DefaultParallel
	}
	return r, nil
}
