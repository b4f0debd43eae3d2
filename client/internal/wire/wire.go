package wire

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// ErrUnreachable reports a registry that does not answer, or stopped to, for as
// long as the Caller is patient.
var ErrUnreachable = errors.New("registry unreachable")

// How long nothing may happen before a connection is given up: while bytes move,
// and while the registry thinks between request and answer. A commit of a large
// model thinks for a while.
const (
	stallBody   = time.Minute
	stallHeader = 5 * time.Minute
)

// Caller makes calls to one registry. It is safe for concurrent use.
type Caller struct {
	base      *url.URL
	client    *http.Client
	agent     string
	token     Token
	insecure  bool
	patience  time.Duration
	stallBody time.Duration
	direct    direct
}

// Config says how a Caller calls.
type Config struct {
	// HTTP makes the requests; nil is a client of NewTransport.
	HTTP *http.Client
	// TLS says whom to believe that it is the registry, where HTTP is nil; nil is what
	// the system says.
	TLS *tls.Config
	// UserAgent is sent with every request.
	UserAgent string
	// Token is what is shown to the registry and to nobody else, asked for before each
	// attempt; nil for nothing.
	Token Token
	// Insecure lets the token go over plain HTTP to another machine.
	Insecure bool
	// Patience is how long after its first failure a call is tried again.
	Patience time.Duration
}

// New returns a Caller of the registry at base.
func New(base *url.URL, config Config) *Caller {
	client := config.HTTP
	if client == nil {
		transport := NewTransport()
		transport.TLSClientConfig = config.TLS.Clone()
		client = &http.Client{
			Transport: transport,
			// A redirect of an upload would send it twice. The only one that the API has
			// is that of a Request with Direct.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
	c := &Caller{
		base: base, agent: config.UserAgent, token: config.Token, insecure: config.Insecure,
		patience: config.Patience, stallBody: stallBody,
	}
	c.client = c.staying(client)
	return c
}

// NewTransport returns a transport for bodies of megabytes over few connections:
// HTTP/1.1 only, because the windows of HTTP/2 make large uploads several times
// slower.
func NewTransport() *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Transport{
		Protocols:             protocols,
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: stallHeader,
		MaxIdleConnsPerHost:   64,
		IdleConnTimeout:       90 * time.Second,
		ReadBufferSize:        128 << 10,
		WriteBufferSize:       128 << 10,
		DisableCompression:    true,
	}
}

// Base returns the registry's address.
func (c *Caller) Base() string { return c.base.String() }

// Close closes connections that nobody uses.
func (c *Caller) Close() { c.client.CloseIdleConnections() }

// Request is what a call sends.
type Request struct {
	Method string
	Path   []string // segments below the base, not escaped
	Query  url.Values
	Accept string
	Type   string // of Body
	Body   []byte // nil for none; not changed, and the caller's again when Call returns
	// Direct lets the registry send the caller elsewhere for the answer, one without
	// Body. When it does not come from there, the registry is asked for it.
	Direct bool
	// Attempt is called before each time the request is sent; nil for nothing.
	Attempt func()
}

// Answer is a successful response.
type Answer struct {
	Status int
	Header http.Header
	// Length is what the response says of its body, -1 when it says nothing.
	Length int64
	Body   io.Reader
}

// Call sends q until an answer has come and read has returned nil for it. read
// is called again, with another answer, when a body was cut short; any other
// error of read ends the call.
//
// The error is an *openapi.Error in the registry's words, wraps ErrUnreachable,
// the error of ctx, or that of read.
func (c *Caller) Call(ctx context.Context, q Request, read func(Answer) error) error {
	target := c.target(q)
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		if q.Attempt != nil {
			q.Attempt()
		}
		return struct{}{}, c.exchange(ctx, target, q, read)
	}, backoff.WithBackOff(newPatience(c.patience)), backoff.WithMaxElapsedTime(0))
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("%s %s: %w", q.Method, target, ctx.Err())
	}
	return settled(err)
}

// target returns where q goes.
func (c *Caller) target(q Request) *url.URL {
	target := c.base.JoinPath(escape(q.Path)...)
	target.RawQuery = q.Query.Encode()
	return target
}

func escape(segments []string) []string {
	escaped := make([]string, len(segments))
	for i, s := range segments {
		escaped[i] = url.PathEscape(s)
	}
	return escaped
}

// attempt is one exchange. It returns a permanent error, or one that another
// attempt may not meet.
func (c *Caller) attempt(ctx context.Context, target string, q Request, read func(Answer) error) (err error) {
	w, ctx := newWatch(ctx, c.stallBody)
	defer w.stop()
	if q.Direct {
		ctx = stay(ctx, true)
	}
	req, err := http.NewRequestWithContext(ctx, q.Method, target, nil)
	if err != nil {
		return backoff.Permanent(fmt.Errorf("%s %s: %w", q.Method, target, err))
	}
	c.header(req, q)
	if err := c.authorize(req); err != nil {
		return err
	}
	span := traced(ctx, req)
	defer func() { span.End(err) }()
	if q.Body != nil {
		up := newUpload(q.Body, w)
		req.Body, req.ContentLength = up, int64(len(q.Body))
		defer up.wait()
	} else {
		w.rest()
	}
	resp, err := c.client.Do(req)
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return backoff.Permanent(broken(ctx, q.Method, target, err))
	}
	if err != nil {
		return broken(ctx, q.Method, target, err)
	}
	defer resp.Body.Close()
	w.rest()
	if q.Direct && resp.StatusCode == http.StatusTemporaryRedirect {
		return c.elsewhere(ctx, w, resp.Header.Get("Location"), read)
	}
	body := &download{r: resp.Body, watch: w}
	if resp.StatusCode/100 != 2 {
		err := c.refused(resp, q.Method, target, body)
		if body.err != nil { // what was refused, and why, is not known
			return broken(ctx, q.Method, target, body.err)
		}
		return err
	}
	err = read(Answer{resp.StatusCode, resp.Header, resp.ContentLength, body})
	if err == nil {
		return nil
	}
	if body.err != nil {
		return broken(ctx, q.Method, target, body.err)
	}
	return backoff.Permanent(err)
}

func (c *Caller) header(req *http.Request, q Request) {
	req.Header.Set("User-Agent", c.agent)
	if q.Accept != "" {
		req.Header.Set("Accept", q.Accept)
	}
	if q.Type != "" {
		req.Header.Set("Content-Type", q.Type)
	}
}
