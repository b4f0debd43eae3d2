package agent

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/ingot-ml/ingot/openapi/trace"
)

// EnvAddress is the environment variable that says where the agent is: a socket's
// path or a URL.
const EnvAddress = "INGOT_AGENT"

// DefaultMappings leaves half of the 65,530 mappings that Linux allows a process
// to everybody else.
const DefaultMappings = 30_000

// Options say how to talk to an agent. The zero value is ready for use.
type Options struct {
	// Client says who asks, for people; empty is the name of the program.
	Client string
	// Token returns what is shown to an agent that is reached over TCP; nil, or an empty
	// text, is nothing. The socket wants none.
	Token func(context.Context) (string, error)
	// Insecure lets the token go over plain HTTP to another machine.
	Insecure bool
	// TLS says whom to believe that it is the agent, for one of https; nil is what the
	// system says.
	TLS *tls.Config
	// Mappings is the most page mappings that all leases of this Agent take
	// together; tensors beyond are copied. 0 is DefaultMappings.
	Mappings int
}

// Agent talks to one agent. It is safe for concurrent use.
type Agent struct {
	address string
	socket  string // its path; empty for an agent that is reached over TCP
	base    string
	http    *http.Client
	client  string
	token   func(context.Context) (string, error) // nil for none
	budget  budget
}

// New returns a client of the agent at address, a socket's path or a URL,
// "http://host:port". Empty is what INGOT_AGENT says, or else DefaultSocket. New
// does not connect.
func New(address string, o Options) (*Agent, error) {
	address = cmp.Or(address, os.Getenv(EnvAddress), DefaultSocket())
	a := &Agent{address: address, client: cmp.Or(o.Client, filepath.Base(os.Args[0]))}
	a.budget.most = int64(cmp.Or(max(0, o.Mappings), DefaultMappings))
	transport := &http.Transport{Protocols: new(http.Protocols), DisableCompression: true, TLSClientConfig: o.TLS.Clone()}
	transport.Protocols.SetHTTP1(true)
	// An agent sends nobody elsewhere, and where another server would, the token does not
	// go along.
	a.http = &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	if strings.Contains(address, "://") {
		u, err := url.Parse(address)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return nil, fmt.Errorf("agent %.200q: want a socket's path or http://host:port", address)
		}
		if u.User != nil {
			return nil, fmt.Errorf("agent %.200q: a password is not part of an address: give a token instead", u.Redacted())
		}
		if a.token = o.Token; a.token != nil && u.Scheme != "https" && !o.Insecure && !loopback(u.Hostname()) {
			return nil, fmt.Errorf("agent %.200q: the token would go over the network in plain text: reach it by https, or allow it with INGOT_INSECURE=true", address)
		}
		a.base = strings.TrimSuffix(address, "/")
		return a, nil
	}
	a.socket, a.base = address, "http://ingot"
	transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) { return a.dial(ctx) }
	return a, nil
}

// DefaultSocket is where an agent of this user listens when nobody says
// otherwise: ingot/agent.sock below XDG_RUNTIME_DIR, or else below /run for root
// and below a folder of the user's own in /tmp.
func DefaultSocket() string {
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		return filepath.Join(dir, "ingot", "agent.sock")
	}
	if os.Getuid() == 0 {
		return "/run/ingot/agent.sock"
	}
	return filepath.Join("/tmp", "ingot-"+strconv.Itoa(os.Getuid()), "agent.sock")
}

// loopback tells a host that is this machine, whatever a name server says.
func loopback(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

// do makes a request, with the token if there is one.
func (a *Agent) do(q *http.Request) (*http.Response, error) {
	if a.token != nil {
		token, err := a.token(q.Context())
		if err != nil {
			return nil, fmt.Errorf("agent %s: %w", a.address, err)
		}
		if token != "" {
			q.Header.Set("Authorization", "Bearer "+token)
		}
	}
	_, span := trace.Call(q.Context(), q.Method+" agent", q.Header)
	span.Text("url.path", q.URL.Path)
	r, err := a.http.Do(q)
	span.End(err)
	if err != nil {
		return nil, a.explain(q.Context(), err)
	}
	return r, nil
}

// Address returns where the agent is.
func (a *Agent) Address() string { return a.address }

// Close closes the connections that no call uses. Leases stay.
func (a *Agent) Close() { a.http.CloseIdleConnections() }

func (a *Agent) dial(ctx context.Context) (*net.UnixConn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", a.socket)
	if err != nil {
		return nil, err
	}
	return c.(*net.UnixConn), nil // the network says so
}
