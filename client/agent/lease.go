package agent

import (
	"context"
	"fmt"
	"sync"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/openapi/leaseconn"
)

// LeaseOptions say more about a lease. The zero value is ready for use.
type LeaseOptions struct {
	// Waiting is told how many of the version's bytes are there while the lease
	// waits for them; nil is nobody. It is called before Lease returns.
	Waiting func(done, total int64)
}

// Lease is the right to use a version. Its methods are safe for concurrent use.
// What it has mapped is valid until Close.
type Lease struct {
	agent *Agent
	mode  string
	ctx   context.Context // until Close
	close context.CancelFunc
	ended chan struct{} // closed when nobody serves the connection any more
	moved chan chunker.Digest

	window sync.Mutex                          // held by who iterates over a window, and so writes to conn
	conn   *leaseconn.Conn[openapi.LeaseFrame] // that the lease was given on

	mu       sync.Mutex // protects what follows
	ref      string
	version  chunker.Digest
	segments map[uint64]segment
	layout   *layout
	arrived  []arrival
	passed   int // of arrived, by the iterator of a window
	done     bool
	err      error         // why the lease is not served any more
	news     chan struct{} // closed when any of the above changes
	views    views
}

// Lease asks for the use of a version, and waits until it is there, or, for a
// stream or window, until its tensors begin to come. ctx bounds that wait only.
// The version is leased in RAM: memory of a GPU is for who computes on it, which
// this package does not.
func (a *Agent) Lease(ctx context.Context, q openapi.LeaseRequest, o LeaseOptions) (*Lease, error) {
	if q.Tier == openapi.TierGPU {
		return nil, openapi.Errorf(openapi.CodeBadRequest, "lease %s: this client maps RAM only; the Python package attaches to a GPU", q.Ref)
	}
	if q.Client == "" {
		q.Client = a.client
	}
	conn, err := a.connect(ctx)
	if err != nil {
		return nil, err
	}
	l := newLease(a, q.Mode)
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() }) // ends the wait
	if err = conn.Write(openapi.LeaseFrame{Type: openapi.FrameLease, Lease: &q}); err == nil {
		err = l.start(conn, o.Waiting)
	}
	if stop() && err == nil {
		l.conn = conn
		go l.serve(conn)
		return l, nil
	}
	_ = conn.Close() // the lease ends with it
	l.close()
	_ = l.free() // nothing is mapped yet
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("lease %s: %w", q.Ref, context.Cause(ctx))
	case isOwn(err):
		return nil, err
	}
	return nil, fmt.Errorf("lease %s: agent %s: %w: %w", q.Ref, a.address, ErrLost, err)
}

func newLease(a *Agent, mode string) *Lease {
	ctx, cancel := context.WithCancel(context.Background())
	return &Lease{
		agent: a, mode: mode, ctx: ctx, close: cancel,
		ended:    make(chan struct{}),
		moved:    make(chan chunker.Digest, 1),
		segments: map[uint64]segment{},
		news:     make(chan struct{}),
		views:    views{budget: &a.budget, shared: map[uint64]mapping{}, known: map[spot][]byte{}},
	}
}

// start takes frames until the lease holds.
func (l *Lease) start(conn *leaseconn.Conn[openapi.LeaseFrame], waiting func(done, total int64)) error {
	for {
		f, files, err := conn.Read()
		if err != nil {
			return err
		}
		if f.Type == openapi.FrameWaiting {
			leaseconn.CloseAll(files)
			if waiting != nil {
				waiting(f.Bytes, f.Total)
			}
			continue
		}
		if err := l.take(f, files); err != nil {
			return err
		}
		if l.holds() {
			return nil
		}
	}
}

// holds reports whether the version is known and admitted.
func (l *Lease) holds() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.layout != nil || l.mode != openapi.LeaseWhole && (l.done || len(l.arrived) > 0)
}

// whole reports whether every byte of the version is in segments that the lease
// has.
func (l *Lease) whole() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.layout != nil
}

// Ref returns the reference that was asked for, its tag written out.
func (l *Lease) Ref() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ref
}

// Version returns what is leased.
func (l *Lease) Version() chunker.Digest {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.version
}

// Moved returns a channel that gets the version that the reference has now, each
// time it gets another. Who is late gets the newest only. It is closed when the
// lease has ended. The version that is leased stays the same.
func (l *Lease) Moved() <-chan chunker.Digest { return l.moved }

// Err returns why the lease is not known to an agent any more, nil while it is,
// or may be again. The tensors of a whole version stay valid even so.
func (l *Lease) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// Close ends the lease. No tensor of it may be used any more: its pages are
// unmapped.
func (l *Lease) Close() error {
	l.close()
	<-l.ended
	return l.free()
}

// free gives back what the lease has mapped and opened.
func (l *Lease) free() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = ErrClosed
	l.tell()
	err := l.views.free()
	for id, s := range l.segments {
		_ = s.file.Close() // it was only read
		delete(l.segments, id)
	}
	return err
}

// fail says why the lease is not served any more.
func (l *Lease) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.err = err
	}
	l.tell()
}

// tell wakes who waits for news. The caller holds mu.
func (l *Lease) tell() {
	close(l.news)
	l.news = make(chan struct{})
}
