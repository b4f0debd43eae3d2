package hubclient

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/ingot-ml/ingot/registry/catalog"
)

const (
	// mostRedirects is how often an answer may lead elsewhere.
	mostRedirects = 5
	// maxPage bounds a document in bytes: one of 50,000 files has less.
	maxPage = 32 << 20
)

// answer is what came, and the headers of the answers that led to it: a redirect
// tells facts of a file that the place it leads to does not know.
type answer struct {
	*http.Response
	first http.Header
}

// ask sends a request and follows where it leads. The caller closes the body.
func (c *Client) ask(ctx context.Context, at *url.URL, header http.Header) (*answer, error) {
	var first http.Header
	for range mostRedirects + 1 {
		r, err := c.send(ctx, at, header)
		if err != nil {
			return nil, err
		}
		if first == nil {
			first = r.Header
		}
		if !isRedirect(r.StatusCode) {
			return &answer{r, first}, nil
		}
		discard(r.Body)
		if at, err = c.follow(at, r.Header.Get("Location")); err != nil {
			return nil, err
		}
	}
	return nil, c.wrong("it redirects more than %d times", mostRedirects)
}

func isRedirect(status int) bool {
	switch status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return true
	}
	return false
}

// send sends one request. Only the hub itself gets the token, and learns who asks.
func (c *Client) send(ctx context.Context, at *url.URL, header http.Header) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return nil, c.wrong("it leads to %.200q", at.Redacted())
	}
	for k, v := range header {
		r.Header[k] = v
	}
	r.Header.Set("User-Agent", c.config.Agent)
	r.Header.Set("Accept-Encoding", "identity")
	if c.isOwn(at) {
		if c.config.Token != "" {
			r.Header.Set("Authorization", "Bearer "+c.config.Token)
		}
		if c.config.Name != "" {
			r.Header.Set("Via", strings.Join(append(Passed(ctx), "1.1 "+c.config.Name), ", "))
		}
	}
	answer, err := c.http.Do(r)
	if err != nil {
		return nil, c.away(ctx, err)
	}
	return answer, nil
}

// follow returns where a redirect leads, if it may.
func (c *Client) follow(from *url.URL, location string) (*url.URL, error) {
	to, err := from.Parse(location)
	if err != nil || location == "" || to.Host == "" {
		return nil, c.wrong("it redirects to %.200q", location)
	}
	return to, c.check(from, to)
}

// check refuses an address that the operator has not allowed.
func (c *Client) check(from, to *url.URL) error {
	switch {
	case to.Scheme != "https" && (to.Scheme != "http" || from.Scheme == "https"):
		return c.wrong("it leads from %s to %s://%s", from.Scheme, to.Scheme, to.Host)
	case !c.isOwn(to) && !Allowed(c.config.Hosts, to):
		return c.wrong("it leads to the host %s, which is not among those allowed", to.Host)
	}
	return nil
}

// isOwn tells whether an address is of the hub itself.
func (c *Client) isOwn(u *url.URL) bool { return u.Scheme == c.base.Scheme && u.Host == c.base.Host }

// Allowed tells whether a list of hosts has that of an address: HOST on the usual
// port, HOST:PORT, or *.DOMAIN on the usual port.
func Allowed(hosts []string, u *url.URL) bool {
	standard := map[string]string{"http": "80", "https": "443"}[u.Scheme]
	port := cmp.Or(u.Port(), standard)
	for _, h := range hosts {
		domain, wild := strings.CutPrefix(h, "*")
		if h == net.JoinHostPort(u.Hostname(), port) {
			return true
		}
		if port == standard && (h == u.Hostname() || wild && strings.HasSuffix(u.Hostname(), domain)) {
			return true
		}
	}
	return false
}

// document asks for JSON and reads it into v. It returns the headers.
func (c *Client) document(ctx context.Context, at *url.URL, v any) (http.Header, error) {
	ctx, cancel := context.WithTimeout(ctx, c.config.Patience)
	defer cancel()
	a, err := c.askAgain(ctx, at, http.Header{"Accept": {"application/json"}})
	if err != nil {
		return nil, err
	}
	defer discard(a.Body)
	if a.StatusCode != http.StatusOK {
		return nil, c.refusal(a)
	}
	b, err := io.ReadAll(io.LimitReader(a.Body, maxPage+1))
	if err != nil {
		return nil, c.away(ctx, err)
	}
	if len(b) > maxPage {
		return nil, c.wrong("a document has more than %d bytes", maxPage)
	}
	if err := json.Unmarshal(b, v); err != nil {
		return nil, c.wrong("a document is not JSON as it should be: %v", err)
	}
	return a.Header, nil
}

// How often a hub is asked that says it is busy, and the pause before that.
const (
	busyTries = 3
	busyPause = 300 * time.Millisecond
)

// askAgain is ask for what is not much: a hub that is busy is asked again.
func (c *Client) askAgain(ctx context.Context, at *url.URL, header http.Header) (*answer, error) {
	for try := 1; ; try++ {
		a, err := c.ask(ctx, at, header)
		if err != nil || try == busyTries || a.StatusCode != http.StatusTooManyRequests && a.StatusCode != http.StatusServiceUnavailable {
			return a, err
		}
		discard(a.Body)
		timer := time.NewTimer(busyPause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, c.away(ctx, ctx.Err())
		}
	}
}

// refusal tells what an answer means that is not what was asked for.
func (c *Client) refusal(a *answer) error {
	code := a.Header.Get("X-Error-Code")
	if code == "" {
		code = a.first.Get("X-Error-Code")
	}
	switch code {
	case "RepoNotFound":
		return catalog.ErrNoRepo
	case "RevisionNotFound":
		return catalog.ErrNoRevision
	case "EntryNotFound":
		return catalog.ErrNoFile
	case "GatedRepo":
		return catalog.ErrGated
	}
	switch status := a.StatusCode; {
	case status == http.StatusUnauthorized && c.config.Token == "", status == http.StatusNotFound:
		return catalog.ErrNoRepo
	case status == http.StatusUnauthorized:
		return fmt.Errorf("%s: %w", c, ErrRefused)
	case status == http.StatusForbidden:
		return catalog.ErrGated
	case status == http.StatusTooManyRequests, status >= 500:
		return fmt.Errorf("%s: %w: status %d", c, ErrAway, status)
	}
	return c.wrong("status %d", a.StatusCode)
}

// away says that no answer came.
func (c *Client) away(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.DeadlineExceeded) && !errors.Is(cause, errStalled) {
		return cause
	}
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err // without the address, which may hold a signature
	}
	return fmt.Errorf("%s: %w: %w", c, ErrAway, err)
}

func (c *Client) wrong(format string, args ...any) error {
	return fmt.Errorf("%s: %w: %s", c, ErrWrong, fmt.Sprintf(format, args...))
}

// discard lets a connection be used again if little is left on it.
func discard(body io.ReadCloser) {
	_, _ = io.CopyN(io.Discard, body, 16<<10) // nobody is interested
	_ = body.Close()
}

// at returns an address of the hub. The parts are escaped, one segment each, but for
// paths, whose slashes stay.
func (c *Client) at(query url.Values, parts ...string) *url.URL {
	u := *c.base
	escaped := make([]string, len(parts))
	for i, p := range parts {
		escaped[i] = url.PathEscape(p)
	}
	u.Path = c.base.Path + "/" + strings.Join(parts, "/")
	u.RawPath = c.base.EscapedPath() + "/" + strings.Join(escaped, "/")
	u.RawQuery = query.Encode()
	return &u
}

var errStalled = errors.New("no byte came for too long")

// watch ends an exchange in which no byte comes.
type watch struct {
	timer  *time.Timer
	most   time.Duration
	cancel context.CancelCauseFunc
}

func newWatch(ctx context.Context, most time.Duration) (*watch, context.Context) {
	ctx, cancel := context.WithCancelCause(ctx)
	return &watch{time.AfterFunc(most, func() { cancel(errStalled) }), most, cancel}, ctx
}

func (w *watch) moved() { w.timer.Reset(w.most) }

func (w *watch) stop() {
	w.timer.Stop()
	w.cancel(nil)
}
