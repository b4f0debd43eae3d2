package client

import (
	"cmp"
	"context"
	"crypto/tls"
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
	// Token returns what is shown to the registry, and to nobody else; nil, or an empty
	// text, is nothing. It is asked before each attempt, so it should answer at once.
	Token func(context.Context) (string, error)
	// Insecure lets the token go over plain HTTP to another machine, where whoever is on
	// the way can take it: otherwise that is ErrPlain.
	Insecure bool
	// TLS says whom to believe that it is the registry, for one of https; nil is what the
	// system says. It does not count beside HTTP.
	TLS *tls.Config
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
		return nil, fmt.Errorf("registry %.200q: want http://host:port", redacted(u, base))
	}
	if u.User != nil {
		return nil, fmt.Errorf("registry %.200q: a password is not part of an address: give a token instead", u.Redacted())
	}
	patience := cmp.Or(max(0, o.Patience), DefaultPatience)
	return &Registry{
		wire: wire.New(u, wire.Config{
			HTTP: o.HTTP, TLS: o.TLS, UserAgent: cmp.Or(o.UserAgent, "ingot"), Token: o.Token, Insecure: o.Insecure, Patience: patience,
		}),
		parallel: min(cmp.Or(max(0, o.Parallel), DefaultParallel), maxParallel),
	}, nil
}

// redacted is an address as people may see it.
func redacted(u *url.URL, base string) string {
	if u == nil || u.User == nil {
		return base
	}
	return u.Redacted()
}

// Base returns the registry's address.
func (r *Registry) Base() string { return r.wire.Base() }

// Close closes the connections that no call uses.
func (r *Registry) Close() { r.wire.Close() }
