package registry

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/ingot-ml/ingot/openapi/guard"
)

// ErrExposed reports an address that others can reach, without Config.Insecure.
var ErrExposed = errors.New("the address can be reached by others, and nothing controls their access or hides their tokens")

// How long requests may go on once the registry is told to stop: most finish what
// they do, the others get a moment to give up.
const (
	drainTime  = 25 * time.Second
	giveUpTime = 3 * time.Second
)

// Serve answers requests that come to l until ctx ends, or the registers fail.
// Then no new ones are taken, and those under way have 25 seconds to finish.
// Serve closes l. It returns nil when it stopped because of ctx, and the failure
// otherwise. A Registry is served once.
func (r *Registry) Serve(ctx context.Context, l net.Listener) error {
	if safe := r.control.controlled() && r.config.TLS != nil; !safe && !r.config.Insecure && !local(l.Addr()) {
		return errors.Join(fmt.Errorf("serve %s: %w: listen on a loopback address, have tokens control access over TLS, or allow it by Insecure", l.Addr(), ErrExposed), l.Close())
	}
	working, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	defer giveUp()
	server := r.server(working)
	server.Handler = r.front(l.Addr())
	served := make(chan error, 1)
	go func() {
		defer close(served)
		served <- server.Serve(r.encrypted(l))
	}()
	var cause error
	select {
	case cause = <-served:
	case cause = <-r.failed:
	case <-ctx.Done():
	}
	cause = errors.Join(cause, r.stop(server, giveUp))
	for range served { // says only that it was stopped
	}
	if cause != nil {
		return fmt.Errorf("serve %s: %w", l.Addr(), cause)
	}
	return nil
}

// encrypted is the listener, with TLS if the registry has a certificate.
func (r *Registry) encrypted(l net.Listener) net.Listener {
	if r.config.TLS == nil {
		return l
	}
	return tls.NewListener(l, r.config.TLS)
}

// front answers what comes to an address. Where everybody on this machine may do
// everything, a page that they look at may not: nor may it by a name that was led here.
func (r *Registry) front(a net.Addr) http.Handler {
	if r.control.controlled() || r.config.Insecure || !local(a) {
		return r.api
	}
	hosts := slices.Clone(r.config.Hosts)
	if host, err := os.Hostname(); err == nil {
		hosts = append(hosts, host)
	}
	return guard.New(guard.Config{Hosts: hosts, OwnPages: true}).Handler(r.api)
}

// local tells an address that only this machine can reach.
func local(a net.Addr) bool {
	tcp, ok := a.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback() || a.Network() == "unix"
}

// server speaks HTTP/1.1 only: the windows of HTTP/2 make large uploads several
// times slower. Bodies have limits of time of their own, in httpapi.
func (r *Registry) server(working context.Context) *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Server{
		Handler:           r.api,
		Protocols:         protocols,
		ReadHeaderTimeout: r.config.HeaderTimeout,
		ConnState:         r.conns.State,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		BaseContext:       func(net.Listener) context.Context { return working },
		ErrorLog:          slog.NewLogLogger(r.config.Logger.Handler(), slog.LevelDebug),
	}
}

// stop ends the server. Requests that are not done in time see their context end,
// and those that do not even then lose their connections.
func (r *Registry) stop(server *http.Server, giveUp func()) error {
	r.config.Logger.Info("registry stops")
	r.api.Drain()
	if shutdown(server, drainTime) {
		return nil
	}
	r.config.Logger.Warn("requests took too long and were given up")
	giveUp()
	if shutdown(server, giveUpTime) {
		return nil
	}
	if err := server.Close(); err != nil {
		return fmt.Errorf("stop serving: %w", err)
	}
	return nil
}

// shutdown waits for the server's requests, and tells whether all are done.
func shutdown(server *http.Server, most time.Duration) bool {
	ctx, cancel := context.WithTimeout(context.Background(), most)
	defer cancel()
	return !errors.Is(server.Shutdown(ctx), context.DeadlineExceeded)
}
