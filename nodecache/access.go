package nodecache

import (
	"context"
	"crypto/tls"
	"net"
	"net/url"
	"os"

	"github.com/ingot-ml/ingot/openapi/guard"
)

// Access says who may use a node over TCP, and what the node shows to its registry.
type Access struct {
	// TLS has the certificate of the address; nil is plain HTTP.
	TLS *tls.Config
	// Tokens returns those of which a request over TCP has to bear one; nil wants none.
	Tokens func() ([]string, error)
	// Hosts are names under which the address is reached, beside localhost, the names of
	// the host, of the listener and of Advertise: HOST, *.DOMAIN, or *.
	Hosts []string

	// Token is what the registry is shown, asked for before each request; nil is nothing.
	Token func(context.Context) (string, error)
	// Insecure lets it go over plain HTTP to another machine.
	Insecure bool
	// Authorities says whom to believe that it is the registry; nil is what the system
	// says.
	Authorities *tls.Config
}

// free are the paths whose answers say nothing but that the node lives.
var free = []string{"/healthz", "/readyz"}

// newGuard returns what judges the requests of a node.
func (c Config) newGuard() *guard.Guard {
	hosts := append([]string{c.Name}, c.Access.Hosts...)
	if host, err := os.Hostname(); err == nil {
		hosts = append(hosts, host)
	}
	if u, err := url.Parse(c.Advertise); err == nil && u.Hostname() != "" {
		hosts = append(hosts, u.Hostname())
	}
	return guard.New(guard.Config{Hosts: hosts, Tokens: c.Access.Tokens, Free: free})
}

// encrypted is the listener, with TLS if the node has a certificate.
func (a Access) encrypted(l net.Listener) net.Listener {
	if a.TLS == nil {
		return l
	}
	return tls.NewListener(l, a.TLS)
}
