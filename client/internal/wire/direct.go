package wire

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/ingot-ml/ingot/openapi"
)

const (
	// mostMisses is how often in a row an answer may fail to come from where the
	// registry has sent the caller, before it is asked to send nobody for a while.
	mostMisses = 3
	// missPause is that while: what is in the way, such as a firewall, stays there.
	missPause = time.Minute
	// mostRedirects is how many an http.Client follows by itself.
	mostRedirects = 10
)

// errElsewhere reports an answer that did not come from where the registry has sent
// the caller. It does not say from where: the address is a secret.
var errElsewhere = errors.New("the store that the registry has sent to does not answer")

// direct remembers whether it is worth while to be sent elsewhere.
type direct struct {
	mu     sync.Mutex // protects what follows
	misses int        // in a row
	after  time.Time  // not before
}

func (d *direct) allowed() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return !time.Now().Before(d.after)
}

// worked is called for an answer that came from elsewhere, missed for one that did
// not.
func (d *direct) worked() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.misses = 0
}

func (d *direct) missed() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.misses++; d.misses == mostMisses {
		d.misses, d.after = 0, time.Now().Add(missPause)
	}
}

// exchange is an attempt that may be sent elsewhere, and if that fails another one
// that may not.
func (c *Caller) exchange(ctx context.Context, target *url.URL, q Request, read func(Answer) error) error {
	if q.Direct && c.direct.allowed() {
		there := *target
		values := there.Query()
		values.Set("direct", openapi.Yes)
		there.RawQuery = values.Encode()
		err := c.attempt(ctx, there.String(), q, read)
		if ctx.Err() != nil || !errors.Is(err, errElsewhere) {
			return err
		}
		c.direct.missed()
	}
	q.Direct = false
	return c.attempt(ctx, target.String(), q, read)
}

// elsewhere gets an answer from the address that a registry has sent to.
func (c *Caller) elsewhere(ctx context.Context, w *watch, address string, read func(Answer) error) error {
	if !c.mayGo(address) {
		return errElsewhere
	}
	req, err := http.NewRequestWithContext(stay(ctx, false), http.MethodGet, address, nil)
	if err != nil {
		return errElsewhere
	}
	req.Header.Set("User-Agent", c.agent)
	w.moved() // a store thinks for less long than a registry
	resp, err := c.client.Do(req)
	if err != nil {
		return errElsewhere
	}
	defer resp.Body.Close()
	w.rest()
	if resp.StatusCode != http.StatusOK {
		return errElsewhere
	}
	body := &download{r: resp.Body, watch: w}
	if err = read(Answer{resp.StatusCode, resp.Header, resp.ContentLength, body}); err == nil {
		c.direct.worked()
		return nil
	}
	if body.err != nil {
		return errElsewhere
	}
	return backoff.Permanent(err)
}

// mayGo tells whether the address is one that a registry may send to. From an
// encrypted connection it leads to another one.
func (c *Caller) mayGo(address string) bool {
	u, err := url.Parse(address)
	return err == nil && u.Host != "" && u.User == nil && (u.Scheme == "https" || u.Scheme == "http" && c.base.Scheme == "http")
}

// staysKey is for the context of a request that is not to follow redirects. The
// value is true when that is said only of those of the API.
type staysKey struct{}

func stay(ctx context.Context, onlyAPI bool) context.Context {
	return context.WithValue(ctx, staysKey{}, onlyAPI)
}

// staying returns a client that is as the given one, but hands over the redirects of
// requests whose context says so. Where it follows others, the token does not: the
// library itself takes another port, and another scheme, for the same place.
func (c *Caller) staying(client *http.Client) *http.Client {
	own := *client
	own.CheckRedirect = func(next *http.Request, via []*http.Request) error {
		if !c.sameOrigin(next.URL) {
			next.Header.Del("Authorization")
		}
		onlyAPI, stays := next.Context().Value(staysKey{}).(bool)
		switch {
		case stays && (!onlyAPI || next.Response.StatusCode == http.StatusTemporaryRedirect):
			return http.ErrUseLastResponse
		case client.CheckRedirect != nil:
			return client.CheckRedirect(next, via)
		case len(via) >= mostRedirects:
			return errors.New("too many redirects")
		}
		return nil
	}
	return &own
}
