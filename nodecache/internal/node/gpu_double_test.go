package node_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/nodecache/internal/gpu"
	"github.com/ingot-ml/ingot/nodecache/internal/ledger"
	"github.com/ingot-ml/ingot/nodecache/internal/node"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/name"
)

// fakeGPU is a GPU that holds names alone. It fails the test when it is used as a
// GPU may not be.
type fakeGPU struct {
	t      *testing.T
	uuid   string
	budget int64
	ledger *ledger.Ledger
	event  func(ledger.Key, openapi.NodeEvent)

	mu     sync.Mutex
	images map[ledger.Key]bool
	leases map[*fakeMapping]bool
	refuse error // of the next swaps
	swaps  int   // asked for
	held   int   // versions in RAM that were not released
}

func newFakeGPU(t *testing.T, uuid string, budget int64) *fakeGPU {
	return &fakeGPU{
		t: t, uuid: uuid, budget: budget, images: map[ledger.Key]bool{}, leases: map[*fakeMapping]bool{},
		ledger: ledger.New(ledger.Limits{Bytes: budget}, func(size uint32) int64 { return int64(size) }),
		event:  func(ledger.Key, openapi.NodeEvent) {},
	}
}

// fakeMapping is a lease of a fakeGPU.
type fakeMapping struct {
	gpu   *fakeGPU
	terms gpu.Terms
	asks  chan gpu.Ask

	version  gpu.Version // gpu.mu protects these
	attached bool
	released bool
}

func (g *fakeGPU) UUID() string { return g.uuid }

// bring puts a version onto the GPU and leases it once.
func (g *fakeGPU) bring(ctx context.Context, v gpu.Version) (kind string, err error) {
	g.mu.Lock()
	there := g.images[v.Key] && g.ledger.Lease(v.Key, time.Now()) == nil
	g.mu.Unlock()
	if there {
		return openapi.SwapResident, nil
	}
	h, err := v.Hold(ctx)
	if err != nil {
		return "", err
	}
	g.mu.Lock()
	g.held++
	g.mu.Unlock()
	defer func() {
		h.Release()
		g.mu.Lock()
		g.held--
		g.mu.Unlock()
	}()
	for _, c := range h.Manifest.Chunks {
		if _, _, length, ok := h.Place(c.Digest); !ok || length != int64(c.Size) {
			g.t.Errorf("chunk %s of what is held in RAM is not there", c.Digest.Short())
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	out, err := g.ledger.Admit(ledger.Entry{Key: v.Key, Chunks: h.Manifest.Chunks}, time.Now())
	if err != nil {
		return "", err
	}
	g.gone(out.Keys...)
	g.images[v.Key] = true
	go g.event(v.Key, openapi.NodeEvent{Type: openapi.EventLoaded, Tier: openapi.TierGPU, Device: g.uuid})
	return openapi.SwapLoad, g.ledger.Lease(v.Key, time.Now())
}

// gone notes that images have left. g.mu is held.
func (g *fakeGPU) gone(keys ...ledger.Key) {
	for _, k := range keys {
		delete(g.images, k)
		go g.event(k, openapi.NodeEvent{Type: openapi.EventDropped, Tier: openapi.TierGPU, Device: g.uuid})
	}
}

func (g *fakeGPU) Load(ctx context.Context, v gpu.Version, _ gpu.Order) (openapi.SwapReceipt, error) {
	kind, err := g.bring(ctx, v)
	if err != nil {
		return openapi.SwapReceipt{}, err
	}
	g.ledger.Unlease(v.Key, time.Now())
	return openapi.SwapReceipt{To: v.Ref.String(), Version: v.Key.Digest, Device: g.uuid, Kind: kind}, nil
}

func (g *fakeGPU) Hint(ctx context.Context, v gpu.Version) error {
	_, err := g.Load(ctx, v, gpu.Order{})
	return err
}

func (g *fakeGPU) Lease(ctx context.Context, v gpu.Version, terms gpu.Terms) (node.Mapping, error) {
	if _, err := g.bring(ctx, v); err != nil {
		return nil, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	m := &fakeMapping{gpu: g, terms: terms, version: v, attached: true, asks: make(chan gpu.Ask, 1000)}
	g.leases[m] = true
	m.show()
	return m, nil
}

// show asks to map what the lease has. gpu.mu is held.
func (m *fakeMapping) show() {
	m.asks <- gpu.Ask{Image: &openapi.LeaseImage{Ref: m.version.Ref.String(), Version: m.version.Key.Digest, Device: m.gpu.uuid}}
}

func (g *fakeGPU) Swap(ctx context.Context, from ledger.Key, to gpu.Version, o gpu.Order) (openapi.SwapReceipt, error) {
	g.mu.Lock()
	g.swaps++
	there, refuse := g.images[from], g.refuse
	g.mu.Unlock()
	if from == to.Key {
		g.t.Errorf("%s is to be swapped for itself", from)
	}
	if refuse != nil {
		return openapi.SwapReceipt{}, refuse
	}
	if !there && !o.Follow {
		return openapi.SwapReceipt{}, gpu.ErrNotOn
	}
	if _, err := g.bring(ctx, to); err != nil {
		return openapi.SwapReceipt{}, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	moved, stay := 0, 0
	for m := range g.leases {
		if m.version.Key != from {
			continue
		}
		if o.Follow && (!m.terms.Follow || m.version.Ref != to.Ref) {
			stay++
			continue
		}
		moved++
		m.version = to
		if m.attached {
			g.ledger.Unlease(from, time.Now())
			_ = g.ledger.Lease(to.Key, time.Now())
			m.show()
		}
	}
	g.ledger.Unlease(to.Key, time.Now())
	if _, err := g.ledger.Remove(from); err == nil && stay == 0 {
		g.gone(from)
	}
	go g.event(to.Key, openapi.NodeEvent{Type: openapi.EventSwapped, Tier: openapi.TierGPU, Device: g.uuid})
	return openapi.SwapReceipt{To: to.Ref.String(), Version: to.Key.Digest, Device: g.uuid, Kind: openapi.SwapRemap, Leases: moved}, nil
}

func (g *fakeGPU) Unload(k ledger.Key) (int64, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	before := g.ledger.Used()
	if _, err := g.ledger.Remove(k); err != nil {
		return 0, fmt.Errorf("unload: %w", err)
	}
	g.gone(k)
	return before - g.ledger.Used(), nil
}

func (g *fakeGPU) Pin(k ledger.Key, pinned bool) { g.ledger.Pin(k, pinned) }

func (g *fakeGPU) Has(k ledger.Key) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.images[k]
}

func (g *fakeGPU) Leases(k ledger.Key) (leases int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for m := range g.leases {
		if m.version.Key == k {
			leases++
		}
	}
	return leases
}

func (g *fakeGPU) Weigh(k ledger.Key) (own, shared int64) { return g.ledger.Weigh(k) }

func (g *fakeGPU) Usage() openapi.GPUDevice {
	g.mu.Lock()
	defer g.mu.Unlock()
	return openapi.GPUDevice{UUID: g.uuid, Used: g.ledger.Used(), Budget: g.budget, Models: len(g.images), State: openapi.DeviceReady}
}

// refuses has every swap fail until it is called with nil.
func (g *fakeGPU) refuses(err error) {
	g.mu.Lock()
	g.refuse = err
	g.mu.Unlock()
}

// asked is how many swaps were asked for.
func (g *fakeGPU) asked() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.swaps
}

// check fails if somebody holds a version in RAM, or a lease is open.
func (g *fakeGPU) check() {
	g.t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.held != 0 || len(g.leases) != 0 {
		g.t.Errorf("GPU %s: %d versions are held in RAM, %d leases are open", g.uuid, g.held, len(g.leases))
	}
}

func (m *fakeMapping) Ref() name.Ref {
	m.gpu.mu.Lock()
	defer m.gpu.mu.Unlock()
	return m.version.Ref
}

func (m *fakeMapping) Version() chunker.Digest {
	m.gpu.mu.Lock()
	defer m.gpu.mu.Unlock()
	return m.version.Key.Digest
}

func (m *fakeMapping) Asks() <-chan gpu.Ask { return m.asks }

func (m *fakeMapping) Export(uint64) (*os.File, error) {
	return nil, errors.New("a name has no memory")
}

func (m *fakeMapping) Paused(uint64) {}

func (m *fakeMapping) Detach() {
	m.gpu.mu.Lock()
	defer m.gpu.mu.Unlock()
	m.park()
}

// park takes the image. gpu.mu is held.
func (m *fakeMapping) park() {
	if m.attached {
		m.attached = false
		m.gpu.ledger.Unlease(m.version.Key, time.Now())
	}
}

func (m *fakeMapping) Acquire(_ int, deadline time.Duration) {
	if deadline <= 0 {
		m.gpu.t.Error("an acquire without a deadline")
	}
	m.gpu.mu.Lock()
	v := m.version
	m.gpu.mu.Unlock()
	_, err := m.gpu.bring(m.gpu.t.Context(), v)
	m.gpu.mu.Lock()
	defer m.gpu.mu.Unlock()
	if err != nil {
		m.asks <- gpu.Ask{Denied: err}
		return
	}
	m.attached = true
	m.show()
}

func (m *fakeMapping) Release() {
	m.gpu.mu.Lock()
	defer m.gpu.mu.Unlock()
	if m.released {
		m.gpu.t.Error("a lease was released twice")
	}
	m.released = true
	m.park()
	delete(m.gpu.leases, m)
}
