package arrival

import (
	"context"
	"slices"
	"sync"
	"time"
)

// Arrival is a file on its way. It is safe for concurrent use.
type Arrival struct {
	config Config

	mu      sync.Mutex // protects what follows
	here    spans
	parts   []*claim
	waiting map[int64]int // readers by the offset that they want
	whole   bool          // no parts are to be had
	started bool          // the other side has begun to send
	proven  bool
	misses  int
	err     error
	changed chan struct{} // closed when something of this changes
	readers int
	closing bool
}

// claim is a part that comes: it has got to at and goes to end.
type claim struct{ at, end int64 }

// New returns an Arrival. Nothing comes before Run.
func New(c Config) *Arrival {
	return &Arrival{config: c.withDefaults(), waiting: map[int64]int{}, changed: make(chan struct{})}
}

// tell wakes whoever waits. The caller holds mu.
func (a *Arrival) tell() {
	close(a.changed)
	a.changed = make(chan struct{})
}

// Run fetches the file until it is here and proven, or has failed, or ctx ends. It
// returns after all that it began has ended. It is called once.
func (a *Arrival) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if a.fetch(ctx); a.failed() == nil && a.config.Proof != nil {
		if err := a.config.Proof(); err != nil {
			a.fail(err)
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.err == nil {
		a.proven, a.started = true, true
		a.tell()
	}
	return a.err
}

func (a *Arrival) failed() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.err
}

// fetch has parts come until all are here.
func (a *Arrival) fetch(ctx context.Context) {
	var parts sync.WaitGroup
	defer parts.Wait()
	for {
		c, changed, more := a.next()
		if !more {
			return
		}
		if c != nil {
			parts.Go(func() { a.bring(ctx, c) })
			continue
		}
		select {
		case <-changed:
		case <-ctx.Done():
			a.fail(context.Cause(ctx))
			return
		}
	}
}

// next returns a part that is to come now, or nil. more is false when there is
// nothing left to do.
func (a *Arrival) next() (c *claim, changed <-chan struct{}, more bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.err != nil || a.here.covers(0, a.config.Size) {
		return nil, nil, false
	}
	at, ok := a.wanted()
	if !ok && len(a.parts) == 0 {
		at, ok = a.here.gap(0), true
	}
	if !ok {
		return nil, a.changed, true
	}
	c = &claim{at: at, end: min(a.here.next(at), a.config.Size)}
	for _, other := range a.parts {
		if other.at > at {
			c.end = min(c.end, other.at)
		} else if other.end > at {
			other.end = at // what it would bring later comes now
		}
	}
	a.parts = append(a.parts, c)
	return c, nil, true
}

// wanted returns an offset that a reader waits for and no part will bring soon.
func (a *Arrival) wanted() (int64, bool) {
	if a.whole || len(a.parts) >= a.config.Connections {
		return 0, false
	}
	for offset := range a.waiting {
		if !a.here.has(offset) && !a.soon(offset) {
			return offset, true
		}
	}
	return 0, false
}

// soon tells whether a part that comes gets to offset before long.
func (a *Arrival) soon(offset int64) bool {
	for _, c := range a.parts {
		if c.at <= offset && offset < c.end && offset-c.at <= a.config.Near {
			return true
		}
	}
	return false
}

// bring has one part come. Whatever it does not bring is left to others.
func (a *Arrival) bring(ctx context.Context, c *claim) {
	err := a.read(ctx, c)
	if pause := a.count(ctx, err); pause > 0 {
		sleep(ctx, pause)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.parts = slices.DeleteFunc(a.parts, func(p *claim) bool { return p == c })
	a.tell()
}

// count counts an attempt that has ended early, and returns how long to wait before
// the next.
func (a *Arrival) count(ctx context.Context, err error) time.Duration {
	if err == nil {
		return 0
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.misses++
	if a.err == nil && (!a.started || a.misses >= a.config.Tries || a.config.Final(err) || ctx.Err() != nil) {
		a.err = err
	}
	if a.err != nil {
		return 0
	}
	return a.config.Pause << min(a.misses-1, 6)
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// piece is how many bytes are read at a time.
const piece = 256 << 10

// read reads one part into the room, up to where another has taken over.
func (a *Arrival) read(ctx context.Context, c *claim) error {
	from, end := a.span(c)
	part, err := a.config.Open(ctx, from, end)
	if err != nil {
		return err
	}
	defer part.Close()
	at := part.Offset()
	if !a.begin(c, at) {
		return nil
	}
	buf := make([]byte, piece)
	for at < from { // the other side knows no parts: what is here is skipped
		n, err := part.Read(buf[:min(int64(len(buf)), from-at)])
		if at += int64(n); err != nil {
			return err
		}
	}
	for {
		from, end := a.span(c)
		if from >= end {
			return nil
		}
		n, err := part.Read(buf[:min(int64(len(buf)), end-from)])
		if n > 0 {
			err = a.put(c, buf[:n])
		}
		if err != nil {
			return err
		}
	}
}

// span returns what a part has still to bring.
func (a *Arrival) span(c *claim) (from, end int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return c.at, c.end
}

// begin notes that the other side sends, from an offset on. It returns false when
// that is not where the part is to begin, and another part comes too: then one of them
// is enough.
func (a *Arrival) begin(c *claim, at int64) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.started {
		a.started = true
		a.tell()
	}
	if at == c.at {
		return true
	}
	a.whole = true
	return len(a.parts) == 1 && at < c.at
}

// put writes what a part has brought. Nobody takes over what is so near.
func (a *Arrival) put(c *claim, b []byte) error {
	if _, err := a.config.Room.WriteAt(b, c.at); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.here.add(c.at, c.at+int64(len(b)))
	c.at += int64(len(b))
	a.misses = 0
	a.tell()
	return nil
}

// fail ends the arrival for all.
func (a *Arrival) fail(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.err == nil && !a.proven {
		a.err = err
		a.tell()
	}
}
