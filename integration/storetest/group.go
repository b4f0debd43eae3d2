package storetest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/ingot-ml/ingot/integration/needtest"
)

// Group is the servers that the tests of one package share; each test takes buckets
// of its own. A server starts when the first test asks for it. A package has
//
//	var stores storetest.Group
//
//	func TestMain(m *testing.M) { os.Exit(stores.Run(m)) }
type Group struct {
	minio, versity shared
	mu             sync.Mutex // protects folder and running
	folder         string
	running        []*Store
}

// shared is one server of a group.
type shared struct {
	once  sync.Once
	store *Store
	err   error
}

// MinIO returns the group's MinIO.
func (g *Group) MinIO(t testing.TB) *Store { return g.get(t, &g.minio, minio) }

// Versity returns the group's versitygw.
func (g *Group) Versity(t testing.TB) *Store { return g.get(t, &g.versity, versity) }

func (g *Group) get(t testing.TB, s *shared, k kind) *Store {
	t.Helper()
	s.once.Do(func() { s.store, s.err = g.start(k) })
	if errors.Is(s.err, errMissing) {
		needtest.Skip(t, "s3", s.err)
	}
	if s.err != nil {
		t.Fatal(s.err)
	}
	return s.store
}

func (g *Group) start(k kind) (*Store, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.folder == "" {
		return nil, errors.New("no TestMain runs the group")
	}
	s, err := start(k, filepath.Join(g.folder, k.name))
	if err == nil {
		g.running = append(g.running, s)
	}
	return s, err
}

// Run runs the tests of the package, and ends the servers.
func (g *Group) Run(m *testing.M) int {
	folder, err := os.MkdirTemp("", "ingot-stores-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	g.folder = folder
	code := m.Run()
	for _, s := range g.running {
		err = errors.Join(err, s.program.end())
	}
	if err = errors.Join(err, os.RemoveAll(folder)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}
