package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/ingot-ml/ingot/openapi/guard"
)

// admin is the server of who runs a process: what it counts, and what it does with
// its time and memory. It has no access control, and says nothing of models.
type admin struct {
	listener net.Listener // nil for none
	server   *http.Server
	done     chan struct{} // closed when it serves no more
}

// openAdmin listens at the address, unless that is empty.
func openAdmin(address string, metrics http.Handler) (*admin, error) {
	if address == "" {
		return &admin{}, nil
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("admin: %w; choose a free address with --admin-listen", err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metrics)
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	var front http.Handler = mux
	if tcp, ok := l.Addr().(*net.TCPAddr); ok && tcp.IP.IsLoopback() {
		front = guard.New(guard.Config{}).Handler(mux) // pages in a browser of this machine see nothing
	}
	return &admin{
		listener: l,
		server:   &http.Server{Handler: front, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10},
		done:     make(chan struct{}),
	}, nil
}

// address is where it listens; empty for nowhere.
func (a *admin) address() string {
	if a.listener == nil {
		return ""
	}
	return a.listener.Addr().String()
}

// begin serves until close is called.
func (a *admin) begin() {
	if a.listener == nil {
		return
	}
	go func() {
		defer close(a.done)
		_ = a.server.Serve(a.listener) // says only that it was closed, or has none to talk to
	}()
}

// adminDrain is how long who looks may go on when the process ends.
const adminDrain = time.Second

// close ends what begin has begun. Nothing that it answers is worth waiting for.
func (a *admin) close() {
	if a.listener == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), adminDrain)
	defer cancel()
	if err := a.server.Shutdown(ctx); errors.Is(err, context.DeadlineExceeded) {
		_ = a.server.Close() // who still looks is cut off
	}
	<-a.done
}

// checkAdmin refuses an admin address that others can reach unless they may.
func checkAdmin(address, source string, insecure bool) error {
	if address == "" || insecure {
		return nil
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return usagef("admin-listen %.80q: %v", address, err)
	}
	if ip := net.ParseIP(host); host == "localhost" || ip != nil && ip.IsLoopback() {
		return nil
	}
	return usagef("admin-listen %s (%s) can be reached by others, and nothing controls their access there: use 127.0.0.1:PORT, or allow it with --insecure; who runs a registry can scrape /metrics at its own address with a token", address, source)
}
