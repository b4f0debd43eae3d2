package gpuclient

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/ingot-ml/ingot/cuda"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/openapi/leaseconn"
)

// Options say what is leased, and who looks at it.
type Options struct {
	Socket  string // of the agent
	Driver  *cuda.Driver
	Request openapi.LeaseRequest
	// Check looks at every image as it comes, before Use may; nil is nobody. An error
	// ends the lease.
	Check func(*View) error
}

// State counts what the agent has asked of a lease and given it.
type State struct {
	Version string `json:"version"` // that is mapped; empty for none
	Images  int    `json:"images"`
	Pauses  int    `json:"pauses"`
	Lost    int    `json:"lost"`
	Denied  int    `json:"denied"`
	Slabs   int    `json:"slabs"` // descriptors that came
	Moved   string `json:"moved"` // to what, the last time
	Address uint64 `json:"address"`
	Paused  bool   `json:"paused"` // now: stopped, and no image since
	Waiting int    `json:"waiting"`
	Reason  string `json:"reason"` // of the last pause
	Error   string `json:"error"`  // why the lease has ended
	// Unmapped is how many places the last pause had unmapped, and Imported how many
	// descriptors came for the last image.
	Unmapped int `json:"unmapped"`
	Imported int `json:"imported"`
	// Refusal is what the last denial or loss said.
	Refusal string `json:"refusal"`
}

// Lease is a lease on a GPU. Its methods are safe for concurrent use.
type Lease struct {
	o      Options
	conn   *leaseconn.Conn[openapi.LeaseFrame]
	device *cuda.Device
	write  sync.Mutex // held by who writes to conn

	use  sync.RWMutex // held to read by who uses the image, to write by who changes it
	view *View        // nil while parked

	mu      sync.Mutex // protects what follows
	state   State
	deaf    bool
	unasked []openapi.LeasePause // pauses that came while deaf
	err     error
	news    chan struct{} // closed when any of the above changes
	done    chan struct{} // closed when nobody serves the connection any more
	image   *mapped
	void    int    // answers to detach and acquire that have not come: all before is void
	arrived int    // descriptors since the last image
	pause   uint64 // answered, whose image has not come
	last    uint64 // pause that was answered
}

// Attach leases, and returns when the first image is mapped and looked at.
func Attach(ctx context.Context, o Options) (*Lease, error) {
	l := &Lease{o: o, news: make(chan struct{}), done: make(chan struct{})}
	conn, err := dial(ctx, o.Socket)
	if err != nil {
		return nil, err
	}
	l.conn = conn
	q := o.Request
	q.Tier = openapi.TierGPU
	if err := conn.Write(openapi.LeaseFrame{Type: openapi.FrameLease, Lease: &q}); err != nil {
		_ = conn.Close() // nothing was leased
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() }) // ends the wait
	defer stop()
	go l.serve()
	err = l.await(func(s State) bool { return s.Images+s.Lost > 0 })
	if now := l.State(); err == nil && now.Images == 0 {
		_ = conn.Close() // it could ask again, and leaves that to the caller
		err = fmt.Errorf("lease %s: %s", q.Ref, now.Refusal)
	}
	if err != nil {
		<-l.done
		if ctx.Err() != nil {
			err = fmt.Errorf("lease %s: %w", q.Ref, context.Cause(ctx))
		}
		return nil, errors.Join(err, l.drop())
	}
	return l, nil
}

// State returns what has happened so far.
func (l *Lease) State() State {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state
}

// Await waits until ready says so, or the lease ends, or ctx does.
func (l *Lease) Await(ctx context.Context, ready func(State) bool) error {
	stopped := false
	stop := context.AfterFunc(ctx, func() { l.change(func() { stopped = true }) })
	defer stop()
	err := l.await(func(s State) bool { return stopped || ready(s) })
	if err == nil && stopped {
		return context.Cause(ctx)
	}
	return err
}

// await waits until ready, which is called with l.mu held.
func (l *Lease) await(ready func(State) bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for !ready(l.state) {
		if l.err != nil {
			return l.err
		}
		news := l.news
		l.mu.Unlock()
		<-news
		l.mu.Lock()
	}
	return nil
}

// change changes the state and tells those who wait.
func (l *Lease) change(how func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	how()
	close(l.news)
	l.news = make(chan struct{})
}

// Use calls f with the image that is mapped, which stays until f returns.
func (l *Lease) Use(f func(*View) error) error {
	l.use.RLock()
	defer l.use.RUnlock()
	if l.view == nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.err != nil {
			return l.err
		}
		return ErrParked
	}
	return f(l.view)
}

// Deaf has the lease keep requests to pause to itself, or answer those that it has
// kept, and all that follow.
func (l *Lease) Deaf(deaf bool) error {
	l.mu.Lock()
	kept := l.unasked
	l.deaf = deaf
	if !deaf {
		l.unasked = nil
	}
	l.mu.Unlock()
	if deaf {
		return nil
	}
	for _, p := range kept {
		if err := l.paused(p); err != nil {
			return err
		}
	}
	return nil
}

// Detach unmaps everything and lets the agent know.
func (l *Lease) Detach() error {
	l.use.Lock()
	err := l.park()
	l.use.Unlock()
	if err == nil {
		err = l.leave(openapi.LeaseFrame{Type: openapi.FrameDetach})
	}
	return err
}

// Acquire asks for the image again and waits until it is there, or the agent's
// refusal is, or its word that the image is lost again.
func (l *Lease) Acquire(ctx context.Context, q openapi.LeaseAcquire) error {
	before := l.State()
	if err := l.leave(openapi.LeaseFrame{Type: openapi.FrameAcquire, Acquire: &q}); err != nil {
		return err
	}
	var after State
	err := l.Await(ctx, func(s State) bool {
		after = s
		return s.Images > before.Images || s.Denied > before.Denied || s.Lost > before.Lost
	})
	if err == nil && after.Images == before.Images {
		err = fmt.Errorf("acquire: %s", after.Refusal)
	}
	return err
}

// Close ends the lease and unmaps everything.
func (l *Lease) Close() error {
	_ = l.conn.Close() // the lease ends with it
	<-l.done
	return l.drop()
}

// leave sends what only who has nothing mapped sends.
func (l *Lease) leave(f openapi.LeaseFrame) error {
	l.write.Lock()
	defer l.write.Unlock()
	l.change(func() { l.void++ })
	return l.conn.Write(f)
}
