// Package hubclient owns how another hub is asked for what it has: an endpoint that
// speaks the Hugging Face Hub's protocol, such as the Hub itself or another ingot.
//
// Laws:
//   - Nothing that a hub says is believed before it is checked: names, lengths, paths,
//     hashes that contradict each other. What is wrong is ErrWrong, and is not used.
//   - An answer may lead to another host only if the operator has allowed that host,
//     and never from https to http.
//   - The token goes to the hub's own origin and nowhere else.
//   - A hub that does not answer, or stops in the middle, is ErrAway before long.
package hubclient

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Errors of a Client, besides those of package catalog.
var (
	// ErrAway reports a hub that does not answer, or says that it cannot.
	ErrAway = errors.New("the upstream hub does not answer")
	// ErrWrong reports an answer that cannot be right.
	ErrWrong = errors.New("the upstream hub's answer is wrong")
	// ErrRefused reports a hub that does not take the registry's token.
	ErrRefused = errors.New("the upstream hub refuses the token of this registry")
	// ErrAddress reports a text that is no address of a hub.
	ErrAddress = errors.New("want http://HOST[:PORT] or https://HOST[:PORT], with a path if need be")
)

// The defaults of a Config.
const (
	// DefaultPatience is less than the 10 seconds that clients wait for an answer.
	DefaultPatience = 8 * time.Second
	// DefaultStall is how long a body may stop.
	DefaultStall = 20 * time.Second
)

// Config says which hub, and what it may do.
type Config struct {
	URL   string
	Token string // empty for none
	// Hosts are those that answers may lead to beside the hub's own: HOST, HOST:PORT or
	// *.DOMAIN.
	Hosts []string
	// Name is that of this server in the Via of its requests.
	Name     string
	Agent    string        // User-Agent
	Patience time.Duration // for the head of an answer; 0 is DefaultPatience
	Stall    time.Duration // 0 is DefaultStall
	// Transport is for tests; nil is one of the Client's own.
	Transport http.RoundTripper
}

// Client asks one hub. It is safe for concurrent use.
type Client struct {
	config Config
	base   *url.URL
	http   *http.Client
	own    *http.Transport
}

// New returns a Client. Nothing is asked yet.
func New(c Config) (*Client, error) {
	base, err := ParseURL(c.URL)
	if err != nil {
		return nil, err
	}
	c.Patience = cmp.Or(c.Patience, DefaultPatience)
	c.Stall = cmp.Or(c.Stall, DefaultStall)
	c.Agent = cmp.Or(c.Agent, "ingot")
	client := &Client{config: c, base: base}
	transport := c.Transport
	if transport == nil {
		client.own = newTransport(c.Patience)
		transport = client.own
	}
	client.http = &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return client, nil
}

// ParseURL reads the address of a hub.
func ParseURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("upstream %.200q: %w", text, ErrAddress)
	}
	u.Path = strings.TrimRight(u.Path, "/")
	u.RawPath = ""
	return u, nil
}

// newTransport speaks HTTP/1.1 only, for the windows of HTTP/2 slow large files down,
// and takes bodies as they are, so that their lengths say something.
func newTransport(patience time.Duration) *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: patience}).DialContext,
		TLSHandshakeTimeout:    patience,
		ResponseHeaderTimeout:  patience,
		MaxIdleConnsPerHost:    16,
		MaxConnsPerHost:        128,
		IdleConnTimeout:        time.Minute,
		MaxResponseHeaderBytes: 64 << 10,
		DisableCompression:     true,
		Protocols:              protocols,
	}
}

// String returns the hub's address.
func (c *Client) String() string { return c.base.String() }

// Close lets connections go that are not in use.
func (c *Client) Close() {
	if c.own != nil {
		c.own.CloseIdleConnections()
	}
}
