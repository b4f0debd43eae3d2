package node

import (
	"cmp"
	"context"
	"iter"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/nodecache/internal/bell"
	"github.com/ingot-ml/ingot/nodecache/internal/disk"
	"github.com/ingot-ml/ingot/nodecache/internal/ledger"
	"github.com/ingot-ml/ingot/nodecache/internal/load"
	"github.com/ingot-ml/ingot/nodecache/internal/ram"
	"github.com/ingot-ml/ingot/nodecache/internal/trust"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/manifest"
	"github.com/ingot-ml/ingot/registry/name"
)

// loadsAtATime bounds the loads that move bytes; each takes some ten chunks of
// memory. Others wait for their turn.
const loadsAtATime = 4

// Registry is what a node asks of a registry; *client.Registry is one.
type Registry interface {
	load.Fetcher
	Resolve(ctx context.Context, ref name.Ref) (chunker.Digest, error)
	Manifest(ctx context.Context, ref name.Ref) (*manifest.Manifest, chunker.Digest, error)
	Plain(ctx context.Context, repo name.Repo, digest chunker.Digest, m *manifest.Manifest, chunk uint32, room []byte) ([]byte, error)
}

// Config is what a Node works with.
type Config struct {
	Name, Program string
	Disk          *disk.Store
	RAM           *ram.Tier // nil for a node without
	DiskLimits    ledger.Limits
	RAMLimits     ledger.Limits
	GPUs          []GPU  // distinct
	GPUState      string // openapi.GPUReady, or why there are none
	GPUMessage    string // more about that
	High, Low     int64  // watermarks of the disk in bytes
	Registry      Registry
	RegistryURL   string
	// Trust says which versions may be loaded; nil lets all pass.
	Trust *trust.Gate
	// Look asks the registry where a tag is, for who cannot wait long; nil without one.
	Look     func(ctx context.Context, ref name.Ref) (chunker.Digest, error)
	Wait     time.Duration // for a version that is not there
	IdleGPU  time.Duration // 0 is never
	IdleRAM  time.Duration
	IdleDisk time.Duration
	// Vacate is how long those who lease a version have to let it go for the next one;
	// 0 is DefaultVacate. PatchMemory is what it takes meanwhile beside both, in bytes; 0
	// is DefaultPatchMemory.
	Vacate      time.Duration
	PatchMemory int64
	Workers     int // that read the disk for a load or window; 0 is twice the cores, and 16 at least
	Models      []Model
	// DropFiles removes the files of a version that have left the account of the disk;
	// Moved hears when references are served from other versions. Both may be nil, and
	// do not call the Node.
	DropFiles func(ledger.Key)
	Moved     func()
	Now       func() time.Time
	Logger    *slog.Logger
}

// Node holds versions in tiers. It is safe for concurrent use.
type Node struct {
	config  Config
	started time.Time
	events  *events
	disk    *shelf
	ram     *shelf // nil for none
	flights *load.Flights
	loads   *semaphore.Weighted
	dirty   bell.Bell // rings when what save keeps has changed
	work    sync.WaitGroup
	ctx     context.Context // of everything that goes on behind the calls
	stop    context.CancelFunc

	mu       sync.Mutex // protects what follows, and every model, version and job
	stopped  bool
	models   map[name.Ref]*model
	versions map[ledger.Key]*version
	orphans  map[string]*orphan
	mapped   map[*GPULease]struct{}
	registry openapi.RegistryState
	asked    time.Time // when the registry did not answer
	counters Counters
}

// Open returns a Node of what its tiers hold. The caller stops it, and then closes
// the tiers.
func Open(c Config) (*Node, error) {
	c.Workers = cmp.Or(c.Workers, max(16, 2*runtime.GOMAXPROCS(0)))
	c.Vacate, c.PatchMemory = cmp.Or(c.Vacate, DefaultVacate), cmp.Or(c.PatchMemory, DefaultPatchMemory)
	ctx, stop := context.WithCancel(context.Background())
	n := &Node{
		config: c, started: c.Now(), events: newEvents(c.Now), ctx: ctx, stop: stop,
		flights: load.NewFlights(), loads: semaphore.NewWeighted(loadsAtATime),
		models: map[name.Ref]*model{}, versions: map[ledger.Key]*version{}, orphans: map[string]*orphan{},
		mapped:   map[*GPULease]struct{}{},
		registry: openapi.RegistryState{URL: c.RegistryURL, Since: c.Now(), Error: "it was not asked yet"},
	}
	n.disk = newShelf(openapi.TierDisk, ledger.New(c.DiskLimits, c.Disk.Cost), c.Now)
	n.disk.clear = n.clearDisk
	n.disk.evicted = func(versions int) { n.count(func(c *Counters) { c.Evicted.Disk += uint64(versions) }) }
	if c.RAM != nil {
		n.ram = newShelf(openapi.TierRAM, ledger.New(c.RAMLimits, c.RAM.Cost), c.Now)
		n.ram.clear = n.clearRAM
		n.ram.evicted = func(versions int) { n.count(func(c *Counters) { c.Evicted.RAM += uint64(versions) }) }
	}
	for _, m := range c.Models {
		n.models[m.Ref] = n.newModel(m)
	}
	if err := n.restore(); err != nil {
		stop()
		return nil, err
	}
	n.work.Go(n.tick)
	n.work.Go(n.saver)
	for _, m := range n.models {
		n.keep(m)
	}
	return n, nil
}

// Stop ends what goes on behind the calls, and keeps what a later Node has to
// know. From then on nothing leaves the RAM: clients go on using what they have
// mapped when their leases end with the Node. It may be called again.
func (n *Node) Stop() error {
	n.mu.Lock()
	stopped := n.stopped
	n.stopped = true
	n.mu.Unlock()
	if stopped {
		return nil
	}
	n.stop()
	n.work.Wait()
	return n.save()
}

// going does f behind the calls, unless the Node has stopped. n.mu is held.
func (n *Node) going(f func()) bool {
	if n.stopped {
		return false
	}
	n.work.Go(f)
	return true
}

// Events yields what happens from now on, until ctx ends or the reader is too far
// behind. The caller ranges over it.
func (n *Node) Events(ctx context.Context) iter.Seq[openapi.NodeEvent] { return n.events.listen(ctx) }

// Counters returns what has happened so far.
func (n *Node) Counters() Counters {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.counters
}

// Ready returns nil: a Node is open when it has seen what its tiers hold.
func (n *Node) Ready() error { return n.ctx.Err() }

// shelf returns the tier's shelf, nil for one that the node does not have.
func (n *Node) shelf(t openapi.Tier) *shelf {
	switch t {
	case openapi.TierDisk:
		return n.disk
	case openapi.TierRAM:
		return n.ram
	}
	return nil
}
