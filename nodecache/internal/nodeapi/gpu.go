package nodeapi

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/ingot-ml/ingot/nodecache/internal/gpu"
	"github.com/ingot-ml/ingot/nodecache/internal/node"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/openapi/leaseconn"
)

// gpuSession is a lease on a GPU. One goroutine tells the client what the lease
// asks for, another hears what the client answers.
type gpuSession struct {
	*session
	lease GPULease // written before image
	ref   string

	mu sync.Mutex // protects what follows
	// image is what the client was told to map last, nil before. has is the slabs that
	// it certainly knows: one of which it may have let go is sent again, and a client
	// that has it closes the descriptor.
	image     *openapi.LeaseImage
	has       map[uint64]bool
	unmapped  map[int]bool // places of image that it may have unmapped
	pausing   uint64       // the pause that no image has ended; 0 for none
	asked     uint64       // the newest pause
	acquiring bool         // until an image or a denial
	// void counts how often the client has said that it has nothing, and the lease has
	// not been told: what was asked for before that is of no use to it.
	void int
	// own is how many of these the session has said in the place of the client, which
	// hears nothing of them.
	own int
}

// grantGPU leases what the client asks for on a GPU, until the connection ends.
func (s *session) grantGPU(q *openapi.LeaseRequest) error {
	o, err := order(q, s.pid)
	if err != nil {
		return err
	}
	g := &gpuSession{session: s, ref: o.Ref.String(), has: map[uint64]bool{}}
	s.take = g.hear
	s.listen()
	err = s.await(g.ref, func() (err error) {
		g.lease, err = s.api.node.LeaseGPU(s.ctx, o, s.note)
		return err
	})
	if err != nil {
		return err
	}
	s.held = g.lease
	return g.serve()
}

// serve tells the client what the lease asks for, and what it waits for.
func (g *gpuSession) serve() error {
	asks, moved, news := g.lease.Asks(), g.lease.Moved(), g.news
	var pause <-chan time.Time
	for {
		var err error
		select {
		case a, ok := <-asks:
			if !ok {
				asks = nil
				continue
			}
			err = g.ask(a)
		case to, ok := <-moved:
			if !ok {
				moved = nil
				continue
			}
			err = g.write(openapi.LeaseFrame{Type: openapi.FrameMoved, Ref: g.ref, Version: to.Version.String()})
		case p := <-news:
			if g.waits() {
				err = g.waiting(g.ref, p)
			}
			news, pause = nil, time.After(beatTime)
		case <-pause:
			news, pause = g.news, nil
		case <-g.ctx.Done():
			return context.Cause(g.ctx)
		}
		if err != nil {
			return err
		}
	}
}

// ask tells the client one thing.
func (g *gpuSession) ask(a gpu.Ask) error {
	if a.Detached {
		return g.detached()
	}
	switch {
	case g.isVoid():
		return nil
	case a.Image != nil:
		return g.show(a.Image, a.ID)
	case a.Pause != nil:
		g.forget(a.Pause)
		p := *a.Pause
		p.Unmap = append([]int{}, p.Unmap...) // a list in JSON, also when it is empty
		return g.write(openapi.LeaseFrame{Type: openapi.FramePause, Pause: &p})
	case a.Lost != nil:
		return g.lose(a.Lost)
	case a.Denied != nil:
		g.change(func() { g.acquiring = false })
		return g.write(openapi.LeaseFrame{Type: openapi.FrameDenied, Error: g.told(a.Denied)})
	}
	return nil
}

// detached takes that the lease has been told that the client has nothing, and says
// so to the client, if it has said so itself.
func (g *gpuSession) detached() error {
	own := false
	g.change(func() {
		if own = g.own > 0; own {
			g.own--
		}
		g.void--
		clear(g.has)
		g.pausing = 0
	})
	if own {
		return nil
	}
	return g.write(openapi.LeaseFrame{Type: openapi.FrameDetached})
}

// giveBack gives an image back that cannot be sent to the client; false for a client
// that does not want it any more.
func (g *gpuSession) giveBack() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.void > 0 {
		return false
	}
	clear(g.has)
	g.void++
	g.own++
	g.lease.Detach() // before the client can acquire it, which would be void too
	return true
}

// lacking notes that an image is shown, and returns the slabs of it that the
// client does not know; false when it does not want the image any more.
func (g *gpuSession) lacking(image *openapi.LeaseImage) (lacks []openapi.LeaseSlab, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.void > 0 {
		return nil, false
	}
	knows := make(map[uint64]bool, len(image.Slabs))
	for _, s := range image.Slabs {
		if !g.has[s.ID] && !knows[s.ID] {
			lacks = append(lacks, s)
		}
		knows[s.ID] = true
	}
	g.image, g.has, g.unmapped, g.pausing, g.acquiring = image, knows, map[int]bool{}, 0, false
	return lacks, true
}

// show sends an image, after the slabs of it that the client does not know.
func (g *gpuSession) show(image *openapi.LeaseImage, pause uint64) error {
	lacks, ok := g.lacking(image)
	if !ok {
		return nil
	}
	for len(lacks) > 0 {
		some := lacks[:min(len(lacks), openapi.MaxLeaseFiles)]
		lacks = lacks[len(some):]
		files, err := g.export(some)
		if g.isVoid() || err != nil && !g.giveBack() {
			leaseconn.CloseAll(files)
			return nil
		}
		if err != nil {
			return g.lose(err)
		}
		err = g.write(openapi.LeaseFrame{Type: openapi.FrameSlabs, Slabs: some}, files...)
		leaseconn.CloseAll(files)
		if err != nil {
			return err
		}
	}
	return g.write(openapi.LeaseFrame{Type: openapi.FrameImage, Image: image, ID: pause})
}

// export returns a descriptor of each slab.
func (g *gpuSession) export(slabs []openapi.LeaseSlab) (files []*os.File, err error) {
	for _, s := range slabs {
		f, err := g.lease.Export(s.ID)
		if err != nil {
			leaseconn.CloseAll(files)
			return nil, err
		}
		files = append(files, f)
	}
	return files, nil
}

// lose tells the client that it has nothing.
func (g *gpuSession) lose(cause error) error {
	g.change(func() { clear(g.has); g.pausing = 0 })
	return g.write(openapi.LeaseFrame{Type: openapi.FrameLost, Error: g.told(cause)})
}

// forget takes slabs that the client is to unmap, and has at no other place, for
// unknown to it: whether it still does what it was asked to cannot be seen when
// the time for it is over.
func (g *gpuSession) forget(p *openapi.LeasePause) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.pausing, g.asked = p.ID, max(g.asked, p.ID)
	if g.image == nil {
		return
	}
	for _, place := range p.Unmap {
		g.unmapped[place] = true
	}
	stays := make(map[uint64]bool, len(g.has))
	for place, s := range g.image.Slabs {
		if !g.unmapped[place] && g.has[s.ID] {
			stays[s.ID] = true
		}
	}
	g.has = stays
}

// hear does what the client says.
func (g *gpuSession) hear(f openapi.LeaseFrame) error {
	switch f.Type {
	case openapi.FramePaused:
		return g.paused(f)
	case openapi.FrameDetach:
		return g.detach(f)
	case openapi.FrameAcquire:
		return g.acquire(f)
	}
	return outOfTurn(f)
}

// paused takes the answer to a pause. One that comes late is from a client that
// may have read the image before it unmapped: whatever it is sent next, it gets the
// slabs of.
func (g *gpuSession) paused(f openapi.LeaseFrame) error {
	g.mu.Lock()
	known, late := f.ID > 0 && f.ID <= g.asked, f.ID != g.pausing
	if known && late {
		clear(g.has)
	}
	g.mu.Unlock()
	if !known {
		return openapi.Errorf(openapi.CodeBadRequest, "frame %s of pause %d, which the agent did not ask for", f.Type, f.ID)
	}
	g.lease.Paused(f.ID)
	return nil
}

// detach takes that the client has unmapped everything.
func (g *gpuSession) detach(f openapi.LeaseFrame) error {
	if !g.nothing(func() {}) {
		return outOfTurn(f)
	}
	g.lease.Detach()
	return nil
}

// acquire takes that the client wants its image again. It has none, whatever it
// was sent meanwhile.
func (g *gpuSession) acquire(f openapi.LeaseFrame) error {
	if f.Acquire == nil {
		return openapi.Errorf(openapi.CodeBadRequest, "frame %s: want acquire, with what it is named for", f.Type)
	}
	deadline, err := seconds("deadline", f.Acquire.Deadline)
	if err != nil {
		return err
	}
	if !g.nothing(func() { g.acquiring = true }) {
		return outOfTurn(f)
	}
	g.lease.Detach()
	g.lease.Acquire(f.Acquire.Priority, deadline)
	return nil
}

// mostVoid is how often a client may say that it has nothing without hearing that
// this was heard: more is from one that does not read.
const mostVoid = 8

// nothing notes that the client has nothing mapped, and what else that means. It
// refuses a client that never had anything, or says so again and again.
func (g *gpuSession) nothing(also func()) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.image == nil || g.void >= mostVoid {
		return false
	}
	clear(g.has)
	g.void++
	also()
	return true
}

func (g *gpuSession) change(do func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	do()
}

// isVoid reports whether what the lease asks for is of no use to the client.
func (g *gpuSession) isVoid() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.void > 0
}

// waits reports whether the client waits for its image.
func (g *gpuSession) waits() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.acquiring
}

// told is what the client is told of an error of its lease.
func (g *gpuSession) told(err error) *openapi.Error {
	return g.api.told(g.ctx, "lease", node.Told(fmt.Sprintf("lease %s", g.ref), err))
}
