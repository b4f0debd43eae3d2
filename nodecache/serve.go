package nodecache

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// drainTime is how long requests may go on once the node is told to stop.
const drainTime = 10 * time.Second

// Serve answers on the socket, and on tcp unless that is nil, follows tags and
// reports to the registry, until ctx ends. Then leases end, and requests under way
// have 10 seconds. It closes both listeners. It returns nil when it stopped
// because of ctx. A Node is served once.
func (n *Node) Serve(ctx context.Context, socket, tcp net.Listener) error {
	working, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	server := n.server(working)
	listeners := []net.Listener{socket}
	if tcp != nil {
		listeners = append(listeners, n.config.Access.encrypted(tcp))
	}
	served := make(chan error, len(listeners))
	var wg sync.WaitGroup
	for _, l := range listeners {
		wg.Go(func() {
			if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				served <- fmt.Errorf("serve %s: %w", l.Addr(), err)
			}
		})
	}
	cause := n.background(working, &wg)
	if cause == nil {
		select {
		case cause = <-served:
		case <-ctx.Done():
		}
	}
	n.config.Logger.Info("node stops")
	// First the engine: from then on no memory moves under those whose leases end.
	cause = errors.Join(cause, n.engine.Stop())
	n.api.Drain()
	stop()
	cause = errors.Join(cause, shutdown(server))
	n.api.Wait()
	wg.Wait()
	return cause
}

// server speaks HTTP/1.1: a lease takes its connection over.
func (n *Node) server(working context.Context) *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Server{
		Handler:           n.api,
		Protocols:         protocols,
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		BaseContext:       func(net.Listener) context.Context { return working },
		ErrorLog:          slog.NewLogLogger(n.config.Logger.Handler(), slog.LevelDebug),
	}
}

// shutdown waits for the server's requests, and cuts off those that take too long.
func shutdown(server *http.Server) error {
	ctx, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	if err := server.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return server.Close()
}
