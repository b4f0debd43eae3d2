package registry

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/blobs/fs"
	"github.com/ingot-ml/ingot/registry/internal/bolt"
	"github.com/ingot-ml/ingot/registry/internal/events"
	"github.com/ingot-ml/ingot/registry/internal/httpapi"
	"github.com/ingot-ml/ingot/registry/internal/nodes"
	"github.com/ingot-ml/ingot/registry/internal/versions"
)

// Registry is an open data directory and what answers for it. It is safe for
// concurrent use.
type Registry struct {
	config    Config
	registers *bolt.Registers
	index     *bolt.Index
	service   *versions.Service
	api       *httpapi.API
	failed    <-chan error // gets the error of registers that failed
	stopWork  context.CancelFunc
	work      sync.WaitGroup
}

// Open opens the data directory, which it makes if need be, and begins the work
// that goes on behind the requests. It fails with ErrNotData for a directory that
// is something else, and at once for one that another process has open. The
// caller closes the Registry.
func Open(c Config) (*Registry, error) { return open(c, idleTime) }

// open has the background work begin after that much quiet.
func open(c Config, idle time.Duration) (*Registry, error) {
	c = c.withDefaults()
	if err := prepare(c.Data); err != nil {
		return nil, fmt.Errorf("open registry: %w", err)
	}
	registers, err := bolt.OpenRegisters(filepath.Join(c.Data, "meta.db"))
	if err != nil {
		return nil, fmt.Errorf("open registry: %w", err)
	}
	index, err := bolt.OpenIndex(filepath.Join(c.Data, "index.db"))
	if err != nil {
		return nil, fmt.Errorf("open registry: %w", errors.Join(err, registers.Close()))
	}
	r := &Registry{config: c, registers: registers, index: index, failed: registers.Failed()}
	if err := r.assemble(); err != nil {
		return nil, fmt.Errorf("open registry: %w", errors.Join(err, index.Close(), registers.Close()))
	}
	r.begin(idle)
	c.Logger.Info("registry opened", "data", c.Data, "version", c.Version)
	return r, nil
}

// assemble puts the parts on top of each other.
func (r *Registry) assemble() error {
	reserve, err := reserveOf(r.config.Data, r.config.Reserve)
	if err != nil {
		return err
	}
	store, err := fs.Open(filepath.Join(r.config.Data, "blobs"), fs.Options{Reserve: reserve})
	if err != nil {
		return err
	}
	policy := access.Open{}
	hub := events.NewHub(policy)
	r.service = versions.New(versions.Config{
		Registers:  r.registers,
		Blobs:      store,
		Index:      chunkIndex{r.index},
		Policy:     policy,
		Now:        time.Now,
		Rand:       rand.Reader,
		Logger:     r.config.Logger,
		PushTTL:    r.config.PushTTL,
		TagChanged: hub.Tell,
	})
	r.api = httpapi.New(httpapi.Config{
		Service:   r.service,
		Events:    hub,
		Nodes:     nodes.New(policy, time.Now),
		Principal: func(*http.Request) access.Principal { return access.Anonymous },
		Memory:    r.config.Memory,
		Logger:    r.config.Logger,
		Version:   r.config.Version,
	})
	return nil
}

// Handler answers the registry's requests, for servers other than Serve's. It
// works until Close. Whoever serves it decides who can reach it.
func (r *Registry) Handler() http.Handler { return r.api }

// Close ends the work behind the requests and closes the data directory. Requests
// that are still under way fail.
func (r *Registry) Close() error {
	r.stopWork()
	r.work.Wait()
	if err := errors.Join(r.index.Close(), r.registers.Close()); err != nil {
		return fmt.Errorf("close registry: %w", err)
	}
	return nil
}
