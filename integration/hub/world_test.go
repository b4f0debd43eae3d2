package hub_test

import (
	"net"
	"path/filepath"
	"testing"
)

// world is a registry and a node with the models that the clients read.
type world struct {
	registry, node *server
	tiny, plain    string // the folders of acme/tiny and acme/plain
	gguf           string // of acme/gguf
	bert           string // of acme/bert, which has real weights
	commit         string // of acme/tiny
	plainCommit    string // of acme/plain
	closed         string // an address where nobody listens
	tree           string // a cache of the Hub's form that has acme/tiny
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{registry: serve(t), tiny: writeTiny(t, 1), plain: writePlain(t), gguf: writeGGUF(t), bert: weights(t, "minilm-bf16-reshard"), closed: unheard(t)}
	w.commit = w.registry.push(t, w.tiny, "acme/tiny")
	w.registry.ingot(t, nil, "tag", "acme/tiny:main", "v1")
	w.plainCommit = w.registry.push(t, w.plain, "acme/plain")
	w.registry.push(t, w.gguf, "acme/gguf")
	w.registry.push(t, w.bert, "acme/bert")
	w.node = w.registry.agent(t)
	w.tree = t.TempDir()
	w.registry.ingot(t, nil, "materialize", "acme/tiny:main", "acme/tiny:v1", "--hf-cache", w.tree, "--registry", w.registry.url)
	return w
}

// agent starts a node of a registry.
func (s *server) agent(t testing.TB, args ...string) *server {
	t.Helper()
	n := newServer(t)
	n.start(append([]string{"agent", "--json", "--registry", s.url, "--data", filepath.Join(n.home, "node"), "--disk", "4GiB",
		"--ram", "1GiB", "--socket", n.socket(), "--listen", "127.0.0.1:0"}, args...)...)
	return n
}

// socket is where a node listens.
func (s *server) socket() string { return filepath.Join(s.home, "agent.sock") }

// unheard returns an address where nobody listens.
func unheard(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return "http://" + l.Addr().String()
}
