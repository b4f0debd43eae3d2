package gpu

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/cuda"
	"github.com/ingot-ml/ingot/nodecache/internal/bell"
	"github.com/ingot-ml/ingot/nodecache/internal/ledger"
	"github.com/ingot-ml/ingot/nodecache/internal/mover"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/manifest"
	"github.com/ingot-ml/ingot/registry/name"
)

// Errors of a Device.
var (
	// ErrNotOn reports a version that should be swapped and is not on the GPU.
	ErrNotOn = errors.New("version is not on the GPU")
	// ErrPause reports that somebody who uses a version did not pause in time.
	ErrPause = errors.New("did not pause in time")
	// ErrMemory reports that the GPU has no memory although the budget allows it:
	// others use it.
	ErrMemory = errors.New("the GPU has too little memory left beside what others use")
	// ErrNoTensors reports a version that has nothing to put on a GPU.
	ErrNoTensors = errors.New("version has no tensors")
	// ErrLost reports an image that is gone because the GPU or its driver failed.
	ErrLost = errors.New("the image is gone")
	// ErrClosed reports what is asked of a Device that is closed.
	ErrClosed = errors.New("the GPU is not served any more")
)

// The defaults of a Config.
const (
	DefaultSlice     = 2 * time.Second
	DefaultPauseWait = 30 * time.Second
)

// Memory makes slabs; *cuda.Device does.
type Memory interface {
	Create(size int64) (cuda.Handle, error)
	Export(h cuda.Handle) (*os.File, error)
	Release(h cuda.Handle) error
}

// Bus moves bytes into slabs; *mover.Mover does.
type Bus interface {
	AddSlab(id uint64, size int64, export func() (*os.File, error)) error
	DropSlab(id uint64)
	Copy(ctx context.Context, list []mover.Copy, progress func(bytes int64)) (mover.Moved, error)
	Sum(ctx context.Context, ranges []mover.Range) ([]uint64, error)
	Memory() (free, total int64, err error)
}

// Version is a version that can come onto the GPU.
type Version struct {
	Key ledger.Key
	Ref name.Ref
	// Hold brings the version into RAM and keeps it there until it is released.
	Hold func(ctx context.Context) (*Held, error)
}

// Held is a version in RAM.
type Held struct {
	Manifest *manifest.Manifest
	// Place returns where a chunk lies.
	Place func(d chunker.Digest) (segment uint64, offset, length int64, ok bool)
	// Read returns a chunk's bytes in dst[:0].
	Read    func(ctx context.Context, ref chunker.Ref, dst []byte) ([]byte, error)
	Release func()
}

// Order is how something is to be done.
type Order struct {
	Priority int // who has a higher one comes first
	// Follow has a Swap move only those who follow the reference of the version that
	// comes. The other version stays if others use it.
	Follow bool
	// Waiting hears how many of the bytes that are moved are there; nil is nobody.
	Waiting func(done, total int64)
}

// Config is what a Device works with.
type Config struct {
	UUID, Name string
	Budget     int64 // most bytes of slabs
	// Headroom is memory of the GPU that is left to others, in bytes.
	Headroom int64
	// Slice is how long whoever got room may use it before somebody of the same
	// priority gets it; 0 is DefaultSlice.
	Slice time.Duration
	// PauseWait is how long a client has to pause; 0 is DefaultPauseWait.
	PauseWait time.Duration
	Memory    Memory
	Bus       Bus
	Now       func() time.Time
	Logger    *slog.Logger
	// Event hears of what happens to versions: loaded, dropped, swapped, paused. It is
	// called by one goroutine, which holds no lock of the Device.
	Event func(k ledger.Key, e openapi.NodeEvent)
}

// Device is one GPU. It is safe for concurrent use.
type Device struct {
	config Config
	cut    cut
	ledger *ledger.Ledger
	line   line
	bell   bell.Bell
	news   news
	ctx    context.Context // of what goes on behind the calls
	stop   context.CancelFunc
	work   sync.WaitGroup

	// change is held while the account changes and the slabs follow it. It comes
	// behind the line and before mu.
	change sync.Mutex

	mu        sync.Mutex // protects what follows, and every image, slab and Lease
	closed    bool
	images    map[ledger.Key]*image
	slabs     map[slabName]*slab
	extents   map[extentName][]resident
	leases    map[*Lease]struct{}
	lastSlab  uint64
	lastPause uint64
}

// New returns a Device on which nothing is. The caller closes it.
func New(c Config) *Device {
	c.Slice, c.PauseWait = cmp.Or(c.Slice, DefaultSlice), cmp.Or(c.PauseWait, DefaultPauseWait)
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Event == nil {
		c.Event = func(ledger.Key, openapi.NodeEvent) {}
	}
	d := &Device{
		config: c, cut: defaultCut,
		ledger: ledger.New(ledger.Limits{Bytes: c.Budget}, func(size uint32) int64 { return int64(size) }),
		images: map[ledger.Key]*image{}, slabs: map[slabName]*slab{}, extents: map[extentName][]resident{},
		leases: map[*Lease]struct{}{},
	}
	d.ctx, d.stop = context.WithCancel(context.Background())
	d.work.Go(d.spread)
	return d
}

// Close ends what goes on and gives all memory back. Clients keep what they have
// mapped. Nobody may call the Device any more.
func (d *Device) Close() {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	d.stop()
	d.lose(ErrClosed)
	d.work.Wait()
}

// Failed is for a GPU that is out of order: every image is gone, and those who use
// one are told.
func (d *Device) Failed(err error) { d.lose(fmt.Errorf("%w: %w", ErrLost, err)) }

// lose takes everything off the GPU, whoever uses it.
func (d *Device) lose(why error) {
	t, err := d.line.enter(context.WithoutCancel(d.ctx), highest)
	if err != nil {
		return // its context has no end
	}
	defer t.leave()
	d.change.Lock()
	defer d.change.Unlock()
	d.mu.Lock()
	var gone []*image
	for _, im := range d.images {
		gone = append(gone, im)
		for l := range im.leases {
			d.park(l)
			l.ask(Ask{Lost: why})
		}
	}
	d.mu.Unlock()
	for _, im := range gone {
		if _, err := d.ledger.Remove(im.version.Key); err != nil {
			d.config.Logger.Error("an image that is lost is still in use", "gpu", d.config.UUID, "version", im.version.Key.String(), "err", err)
			continue
		}
		d.drop(im)
	}
	d.bell.Ring()
}

// UUID names the GPU.
func (d *Device) UUID() string { return d.config.UUID }

// Has reports whether a version is on the GPU.
func (d *Device) Has(k ledger.Key) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.images[k] != nil
}

// Keys returns the versions that are on the GPU, the one first that was not used
// for the longest time.
func (d *Device) Keys() (list []ledger.Key) {
	for info := range d.ledger.Oldest() {
		if d.Has(info.Key) {
			list = append(list, info.Key)
		}
	}
	return list
}

// Leases is how many leases a version has on the GPU, those that wait included.
func (d *Device) Leases(k ledger.Key) (n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for l := range d.leases {
		if l.version.Key == k {
			n++
		}
	}
	return n
}

// Weigh returns the bytes that only this version holds, and those that others hold
// too.
func (d *Device) Weigh(k ledger.Key) (own, shared int64) { return d.ledger.Weigh(k) }

// Pin keeps a version on the GPU, or ends that. One that is not there is no
// mistake, and is not pinned when it comes.
func (d *Device) Pin(k ledger.Key, pinned bool) {
	d.mu.Lock()
	if im := d.images[k]; im != nil {
		im.pinned = pinned
	}
	d.mu.Unlock()
	d.ledger.Pin(k, pinned)
	d.bell.Ring()
}

// Unload takes a version off the GPU. The error is ledger.ErrLeased for one that is
// in use, and ledger.ErrUnknown for one that is not there.
func (d *Device) Unload(k ledger.Key) (freed int64, err error) {
	d.change.Lock()
	defer d.change.Unlock()
	d.mu.Lock()
	im := d.images[k]
	d.mu.Unlock()
	before := d.ledger.Used()
	if im == nil {
		return 0, fmt.Errorf("unload %s from GPU %s: %w", k, d.config.UUID, ledger.ErrUnknown)
	}
	if _, err := d.ledger.Remove(k); err != nil {
		return 0, fmt.Errorf("unload %s from GPU %s: %w", k, d.config.UUID, err)
	}
	d.drop(im)
	d.bell.Ring()
	return before - d.ledger.Used(), nil
}

// Usage is what the GPU holds. Who made the Device knows the rest of it.
func (d *Device) Usage() openapi.GPUDevice {
	u := openapi.GPUDevice{
		UUID: d.config.UUID, Name: d.config.Name, Used: d.ledger.Used(), Budget: d.config.Budget,
		Waiting: d.line.len(),
	}
	d.mu.Lock()
	u.Models = len(d.images)
	d.mu.Unlock()
	return u
}
