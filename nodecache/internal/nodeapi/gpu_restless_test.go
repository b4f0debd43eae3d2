package nodeapi_test

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/nodecache/internal/gpu"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/openapi/leaseconn"
)

// restless is a lease that swaps, wants room back and loses images at random, and
// does not wait long for those who pause. It keeps to the rules of gpu.Lease.
type restless struct {
	fakeGPULease

	mu      sync.Mutex
	random  *rand.Rand
	image   *openapi.LeaseImage // that the client has; nil for none
	next    *openapi.LeaseImage // of the swap that the client is to pause for; nil for none
	pause   uint64
	pausing bool
	stopped bool // the client has paused, for a swap
	ended   bool
}

func newRestless(t *testing.T, n *fakeNode, random *rand.Rand) *restless {
	r := &restless{random: random, image: imageOf(1, 2, 2)}
	r.node, r.dir, r.asks = n, t.TempDir(), make(chan gpu.Ask, 1024)
	r.asks <- gpu.Ask{Image: r.image}
	n.gpu = r
	return r
}

// ask tells the client, unless it is gone. r.mu is held.
func (r *restless) ask(a gpu.Ask) {
	if !r.ended {
		r.asks <- a
	}
}

func (r *restless) Release() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended, r.image = true, nil
	r.fakeGPULease.Release()
}

// Paused shows the image again to whoever is late.
func (r *restless) Paused(id uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.image == nil:
	case !r.pausing:
		r.ask(gpu.Ask{Image: r.image, ID: id})
	case r.pause != id:
	case r.next == nil:
		r.park()
	default:
		r.stopped = true
	}
}

// park takes the image from the client. r.mu is held.
func (r *restless) park() { r.image, r.pausing, r.stopped = nil, false, false }

func (r *restless) Detach() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.park()
	r.ask(gpu.Ask{Detached: true})
}

func (r *restless) Acquire(int, time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.random.IntN(4) == 0 {
		r.ask(gpu.Ask{Denied: openapi.Errorf(openapi.CodeBusy, "others have it")})
		return
	}
	r.image = r.another(imageOf())
	r.ask(gpu.Ask{Image: r.image})
}

// another is an image that has some slabs of the one before.
func (r *restless) another(before *openapi.LeaseImage) *openapi.LeaseImage {
	var ids []uint64
	for place := range 2 + r.random.IntN(4) {
		if place < len(before.Slabs) && r.random.IntN(2) == 0 {
			ids = append(ids, before.Slabs[place].ID)
			continue
		}
		ids = append(ids, 1+r.random.Uint64N(8))
	}
	return imageOf(ids...)
}

// step does one thing to the client, and gives it a moment.
func (r *restless) step() {
	r.mu.Lock()
	patience := time.Duration(r.random.IntN(3)) * time.Millisecond
	switch {
	case r.image == nil:
	case r.random.IntN(8) == 0:
		r.park()
		r.ask(gpu.Ask{Lost: openapi.Errorf(openapi.CodeUnavailable, "the GPU is gone")})
	default:
		r.wantPause()
	}
	r.mu.Unlock()
	time.Sleep(patience)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped && r.random.IntN(4) > 0 {
		r.image = r.next
	}
	if r.stopped {
		r.ask(gpu.Ask{Image: r.image, ID: r.pause})
	}
	r.pausing, r.stopped = false, false
}

// wantPause asks for a pause, for a swap or for room. r.mu is held.
func (r *restless) wantPause() {
	r.next, r.pausing = r.another(r.image), true
	p := &openapi.LeasePause{Reason: openapi.PauseSwap, Unmap: []int{}, Deadline: 1}
	room := r.random.IntN(3) == 0
	for place, s := range r.image.Slabs {
		if room || place >= len(r.next.Slabs) || r.next.Slabs[place].ID != s.ID {
			p.Unmap = append(p.Unmap, place)
		}
	}
	if room {
		r.next, p.Reason = nil, openapi.PauseRoom
	}
	r.pause++
	p.ID = r.pause
	r.ask(gpu.Ask{Pause: p})
}

// tardy is a client that reads on before it does what a pause asks for, now and
// then. A slab that it has neither mapped nor imported it cannot map.
type tardy struct {
	*gpuClient
	random   *rand.Rand
	mapped   []uint64 // by place; 0 for none
	imported map[uint64]bool
	late     *openapi.LeasePause
	void     int // what comes is from before it has said that it has nothing
	images   atomic.Int64
}

// run does what it is told until the connection ends.
func (c *tardy) run() {
	for {
		f, files, err := c.read()
		if err != nil {
			return
		}
		switch {
		case f.Type == openapi.FrameDetached:
			c.void--
		case f.Type == openapi.FrameError:
			c.t.Errorf("the lease ends: %v", f.Error)
		case c.void > 0:
			leaseconn.CloseAll(files)
		case f.Type == openapi.FrameSlabs:
			for _, id := range c.slabs(f, files) {
				c.imported[id] = true
			}
		case f.Type == openapi.FrameImage:
			c.images.Add(1)
			c.remap(f.Image)
		case f.Type == openapi.FramePause:
			c.answer()
			c.late = f.Pause
		case f.Type == openapi.FrameLost, f.Type == openapi.FrameDenied:
			c.acquire()
		}
		if c.random.IntN(3) > 0 {
			c.answer()
		}
	}
}

// answer does what the last pause asks for, if that was not done.
func (c *tardy) answer() {
	p := c.late
	if c.late = nil; p == nil {
		return
	}
	for _, place := range p.Unmap {
		if place < len(c.mapped) {
			c.mapped[place] = 0
		}
	}
	c.tell(paused(p.ID))
	if p.Reason == openapi.PauseRoom {
		c.acquire()
	}
}

// acquire lets everything go and wants it again.
func (c *tardy) acquire() {
	c.mapped, c.late = nil, nil
	clear(c.imported)
	c.void++
	c.tell(acquire(0, 0))
}

// tell sends a frame, which an agent that stops does not take.
func (c *tardy) tell(f openapi.LeaseFrame) { _ = c.conn.Write(f) }

// remap maps an image.
func (c *tardy) remap(image *openapi.LeaseImage) {
	mapped := make([]uint64, len(image.Slabs))
	for place, s := range image.Slabs {
		if !c.imported[s.ID] && !slices.Contains(c.mapped, s.ID) {
			c.t.Errorf("image %d has slab %d at place %d, which the client does not have", c.images.Load(), s.ID, place)
		}
		mapped[place] = s.ID
	}
	c.mapped = mapped
	clear(c.imported)
}

// TestGPUClientHasItsSlabs: whatever happens in whatever order, a client can map
// every image that it is sent.
func TestGPUClientHasItsSlabs(t *testing.T) {
	for seed := range uint64(10) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			n, _ := newFakeGPU(t)
			r := newRestless(t, n, rand.New(rand.NewPCG(seed, 1)))
			s, _ := start(t, n)
			unix := raw(t, s.socket)
			c := &tardy{gpuClient: &gpuClient{t, framesOf(unix)}, random: rand.New(rand.NewPCG(seed, 2)), imported: map[uint64]bool{}}
			c.send(wantedGPU())
			var client sync.WaitGroup
			client.Go(c.run)
			for n := 0; n < 100 || c.images.Load() < 10 && n < 100_000; n++ {
				r.step()
			}
			if err := unix.CloseWrite(); err != nil {
				t.Error(err)
			}
			client.Wait()
			n.await(t, "release", func() bool { return n.open == 0 })
			if got := c.images.Load(); got < 10 {
				t.Errorf("only %d images came", got)
			}
		})
	}
}
