package gpu

import (
	"bytes"
	"context"
	"maps"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/ingot-ml/ingot/nodecache/internal/bell"
	"github.com/ingot-ml/ingot/nodecache/internal/ledger"
	"github.com/ingot-ml/ingot/openapi"
)

// client is who uses a lease. It does what it is asked to, and compares every tensor
// of every image that it is shown.
type client struct {
	w       *world
	lease   *Lease
	want    map[string]weights // by version
	working chan struct{}      // has one element, which who works or pauses takes
	deaf    atomic.Bool        // it answers to no pause

	mu     sync.Mutex
	image  *openapi.LeaseImage
	mapped []uint64 // slab at each place, 0 for none
	using  bool
	dead   bool
	parked bool // it has nothing, and no image comes by itself
	void   bool // an image that comes is from before it has detached
	shown  int
	lost   error
	denied error
	news   bell.Bell
	done   chan struct{}
}

// lease leases a version, and fails the test if that fails.
func (w *world) lease(v Version, terms Terms, want map[string]weights) *client {
	w.t.Helper()
	l, err := w.device.Lease(context.Background(), v, terms)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.serve(l, want, false)
}

func (w *world) serve(l *Lease, want map[string]weights, deaf bool) *client {
	c := &client{w: w, lease: l, want: maps.Clone(want), working: make(chan struct{}, 1), done: make(chan struct{})}
	c.working <- struct{}{}
	c.deaf.Store(deaf)
	go c.run()
	c.await(func() bool { return c.shown > 0 || c.lost != nil })
	return c
}

func (c *client) run() {
	defer close(c.done)
	for a := range c.lease.Asks() {
		switch {
		case a.Image != nil:
			c.show(a.Image)
		case a.Pause != nil && !c.deaf.Load():
			c.pause(a.Pause)
		}
		c.mu.Lock()
		switch {
		case a.Detached:
			c.void = false
		case a.Lost != nil:
			c.lost, c.parked = a.Lost, true
			c.mu.Unlock()
			c.drop()
			c.mu.Lock()
		case a.Denied != nil:
			c.denied, c.parked = a.Denied, true
		case a.Image != nil:
			c.shown++
			c.lost, c.denied = nil, nil
		}
		c.mu.Unlock()
		c.news.Ring()
	}
}

// await waits until something is true of the client. c.mu is held while it looks.
func (c *client) await(what func() bool) {
	for {
		rung := c.news.Next()
		c.mu.Lock()
		ok := what()
		c.mu.Unlock()
		if ok {
			return
		}
		<-rung
	}
}

// show maps an image.
func (c *client) show(im *openapi.LeaseImage) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead || c.void {
		return
	}
	c.parked = false
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	c.stop()
	for _, id := range c.mapped {
		c.w.unmap(id)
	}
	c.mapped = nil
	for _, s := range im.Slabs {
		if c.w.memory[c.w.slabs[s.ID]] == nil {
			c.w.t.Errorf("client is shown slab %d, and there is none", s.ID)
		}
		c.mapped = append(c.mapped, s.ID)
		c.w.mapped[s.ID]++
		c.w.users[s.ID]++
	}
	c.image, c.using = im, true
	c.check(im)
}

func (w *world) unmap(id uint64) {
	if id != 0 {
		w.mapped[id]--
	}
}

// check compares all tensors. Both locks are held.
func (c *client) check(im *openapi.LeaseImage) {
	var all []byte
	for _, s := range im.Slabs {
		all = append(all, c.w.memory[c.w.slabs[s.ID]]...)
	}
	want, ok := c.want[im.Version.String()]
	if !ok {
		c.w.t.Errorf("client is shown version %s, which it does not know", im.Version.Short())
		return
	}
	if int64(len(all)) != im.Size || len(im.Tensors) != len(want.names) {
		c.w.t.Errorf("image of %d bytes and %d tensors: its slabs have %d, and the version %d", im.Size, len(im.Tensors), len(all), len(want.names))
		return
	}
	end := int64(0)
	for _, t := range im.Tensors {
		var plain []byte
		for _, seed := range want.seeds[t.Name] {
			plain = append(plain, content(seed)...)
		}
		plain = plain[:len(plain)-100]
		if t.Offset%align != 0 || !bytes.Equal(all[t.Offset:t.Offset+t.Bytes], plain) {
			c.w.t.Errorf("tensor %s of %s at %d is not what it should be", t.Name, im.Version.Short(), t.Offset)
		}
		if t.Offset > end && bytes.Count(all[end:t.Offset], []byte{0}) != int(t.Offset-end) {
			c.w.t.Errorf("%d bytes before %s are not zero", t.Offset-end, t.Name)
		}
		end = max(end, t.Offset+t.Bytes)
	}
}

// pause stops and unmaps, when the image is not used.
func (c *client) pause(p *openapi.LeasePause) {
	<-c.working
	defer func() { c.working <- struct{}{} }()
	c.mu.Lock()
	c.w.mu.Lock()
	c.stop()
	for _, i := range p.Unmap {
		if len(c.mapped) == 0 {
			break // it has detached meanwhile
		}
		if i < 0 || i >= len(c.mapped) {
			c.w.t.Errorf("pause of place %d, and there are %d", i, len(c.mapped))
			continue
		}
		c.w.unmap(c.mapped[i])
		c.mapped[i] = 0
	}
	c.parked = c.parked || p.Reason == openapi.PauseRoom
	c.w.mu.Unlock()
	c.mu.Unlock()
	c.lease.Paused(p.ID)
}

// stop ends the use of what is mapped. Both locks are held.
func (c *client) stop() {
	if c.using {
		for _, s := range c.image.Slabs {
			c.w.users[s.ID]--
		}
	}
	c.using = false
}

// detach unmaps everything and says so.
func (c *client) detach() {
	c.drop()
	c.mu.Lock()
	c.parked, c.void = true, true
	c.mu.Unlock()
	c.lease.Detach()
	c.await(func() bool { return !c.void })
}

// drop unmaps everything.
func (c *client) drop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	c.stop()
	for _, id := range c.mapped {
		c.w.unmap(id)
	}
	c.mapped = nil
}

// release ends the lease, as a client that dies does: the system unmaps.
func (c *client) release() {
	c.mu.Lock()
	c.dead = true
	c.mu.Unlock()
	c.drop()
	c.lease.Release()
	<-c.done
}

func (c *client) version() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.image.Version.String()
}

func (w *world) want(versions map[*Version]weights) map[string]weights {
	out := map[string]weights{}
	for v, x := range versions {
		out[v.Key.Digest.String()] = x
	}
	return out
}

func mustSwap(t *testing.T, d *Device, from ledger.Key, to Version) openapi.SwapReceipt {
	t.Helper()
	r, err := d.Swap(context.Background(), from, to, Order{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func mustLoad(t *testing.T, d *Device, v Version) openapi.SwapReceipt {
	t.Helper()
	r, err := d.Load(context.Background(), v, Order{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}
