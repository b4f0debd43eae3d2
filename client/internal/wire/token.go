package wire

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/cenkalti/backoff/v5"
)

// ErrPlain reports a token that would have gone over the network where whoever is on
// the way can take it.
var ErrPlain = errors.New("a token would go over the network in plain text")

// Token returns what a Caller shows to its registry; empty is nothing.
type Token func(context.Context) (string, error)

// authorize adds the token to a request for the registry. What is wrong with a token no
// other attempt mends.
func (c *Caller) authorize(req *http.Request) error {
	if c.token == nil {
		return nil
	}
	token, err := c.token(req.Context())
	if err != nil {
		return backoff.Permanent(fmt.Errorf("token for %s: %w", c.Base(), err))
	}
	if token == "" {
		return nil
	}
	if c.base.Scheme != "https" && !c.insecure && !loopback(c.base.Hostname()) {
		return backoff.Permanent(fmt.Errorf("registry %s: %w: reach it by https", c.Base(), ErrPlain))
	}
	req.Header.Set("Authorization", "Bearer "+token)
	return nil
}

// loopback tells a host that is this machine, whatever a name server says.
func loopback(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

// sameOrigin tells whether u leads to the registry itself: the same scheme, host and
// port.
func (c *Caller) sameOrigin(u *url.URL) bool {
	return u.Scheme == c.base.Scheme && strings.EqualFold(u.Hostname(), c.base.Hostname()) && port(u) == port(c.base)
}

func port(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case u.Scheme == "https":
		return "443"
	}
	return "80"
}
