package nodeapi_test

import (
	"context"
	"net"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/client/agent"
	"github.com/ingot-ml/ingot/nodecache/internal/nodeapi"
)

// served is an API on a real socket.
type served struct {
	api    *nodeapi.API
	server *http.Server
	done   chan struct{}
	socket string
}

// serve serves a node at socket until stop or the end of the test.
func serve(t testing.TB, n *fakeNode, socket string, config nodeapi.Config) *served {
	t.Helper()
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	config.Node, config.Version = n, "v9"
	s := &served{api: nodeapi.New(config), done: make(chan struct{}), socket: socket}
	s.server = &http.Server{Handler: s.api, ReadHeaderTimeout: 5 * time.Second}
	go func() {
		defer close(s.done)
		_ = s.server.Serve(l) // says only that it was stopped
	}()
	t.Cleanup(s.stop)
	return s
}

// stop ends leases and requests, and waits for them.
func (s *served) stop() {
	s.api.Wait()
	_ = s.server.Shutdown(context.Background()) // nothing is under way any more
	<-s.done
}

// start serves a node and returns a client of it.
func start(t testing.TB, n *fakeNode) (*served, *agent.Agent) {
	t.Helper()
	s := serve(t, n, filepath.Join(t.TempDir(), "s"), nodeapi.Config{})
	return s, dial(t, s.socket)
}

func dial(t testing.TB, address string) *agent.Agent {
	t.Helper()
	a, err := agent.New(address, agent.Options{Client: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	return a
}
