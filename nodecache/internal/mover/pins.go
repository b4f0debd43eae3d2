package mover

import (
	"context"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/ingot-ml/ingot/nodecache/internal/ram"
)

const (
	// giveWay is how long a piece waits for copies that are under way, before it is
	// pinned beside them.
	giveWay = time.Second
	// againAfter is when what could not be pinned is tried again.
	againAfter = 30 * time.Second
)

// Pins pins the memory of a RAM tier for the movers of all GPUs, in the background,
// and unpins it before it is given back. It is the tier's ram.Pinner.
type Pins struct {
	tier   *ram.Tier
	movers []pinner
	log    *slog.Logger
	stop   context.CancelFunc
	done   chan struct{}

	// mu is taken before the lock of the tier, which holds none when it calls.
	mu     sync.Mutex
	pieces map[ram.Piece]*piece
}

// pinner is what Pins needs of a Mover.
type pinner interface {
	AddSegment(id uint64, size int64, f *os.File) error
	Forget(id uint64)
	Pin(segment uint64, offset, length int64) error
	Unpin(segment uint64, offset, length int64)
	settle(ctx context.Context, most time.Duration)
}

// piece is a ram.Piece that the tier takes for pinned.
type piece struct {
	ram.Piece

	mu   sync.Mutex // held while it is pinned or unpinned
	over bool       // it is unpinned, and stays so
	left []pinner   // movers that have not pinned it
}

// PinAll begins to pin the memory of a tier, which nobody has used yet, for these
// movers. The caller closes the Pins before the movers.
func PinAll(t *ram.Tier, movers []*Mover, log *slog.Logger) *Pins {
	of := make([]pinner, len(movers))
	for i, m := range movers {
		of[i] = m
	}
	return pinAll(t, of, log)
}

func pinAll(t *ram.Tier, movers []pinner, log *slog.Logger) *Pins {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	ctx, stop := context.WithCancel(context.Background())
	p := &Pins{tier: t, movers: movers, log: log, stop: stop, done: make(chan struct{}), pieces: map[ram.Piece]*piece{}}
	t.SetPinner(p)
	go p.run(ctx)
	return p
}

// Close ends the pinning of more. What is pinned stays so until the tier or the
// movers end it.
func (p *Pins) Close() {
	p.stop()
	<-p.done
}

// run pins what the tier has until ctx ends.
func (p *Pins) run(ctx context.Context) {
	defer close(p.done)
	again := time.NewTicker(againAfter)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.tier.Filled():
			for _, at := range p.tier.Full() {
				if e := p.enter(at); e != nil {
					p.pin(ctx, e)
				}
			}
		case <-again.C:
			for _, e := range p.all() {
				p.pin(ctx, e)
			}
		}
	}
}

// enter notes that a piece is about to be pinned, nil if it cannot be any more.
func (p *Pins) enter(at ram.Piece) *piece {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.tier.Pin(at) {
		return nil
	}
	e := &piece{Piece: at, left: slices.Clone(p.movers)}
	p.pieces[at] = e
	return e
}

func (p *Pins) all() []*piece {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make([]*piece, 0, len(p.pieces))
	for _, e := range p.pieces {
		all = append(all, e)
	}
	return all
}

// pin pins a piece for the movers that have not pinned it. Copies go first, and who
// wants to unpin the piece does not wait for them.
func (p *Pins) pin(ctx context.Context, e *piece) {
	for _, m := range p.movers {
		m.settle(ctx, giveWay)
		if ctx.Err() != nil {
			return
		}
		e.mu.Lock()
		if !e.over && slices.Contains(e.left, m) {
			if err := p.pinFor(m, e); err != nil {
				p.log.Warn("memory is not pinned", "segment", e.Segment, "bytes", e.Length, "error", err)
			} else {
				e.left = slices.DeleteFunc(e.left, func(o pinner) bool { return o == m })
			}
		}
		e.mu.Unlock()
	}
}

// pinFor pins a piece for one mover.
func (p *Pins) pinFor(m pinner, e *piece) error {
	size, f, err := p.tier.SegmentFile(e.Segment)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // the mover has its own
	if err := m.AddSegment(e.Segment, size, f); err != nil {
		return err
	}
	return m.Pin(e.Segment, e.Offset, e.Length)
}

// Unpin implements ram.Pinner.
func (p *Pins) Unpin(at ram.Piece) {
	p.mu.Lock()
	e := p.pieces[at]
	delete(p.pieces, at)
	p.mu.Unlock()
	if e == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.over = true
	var all sync.WaitGroup
	for _, m := range p.movers {
		all.Go(func() { m.Unpin(at.Segment, at.Offset, at.Length) })
	}
	all.Wait()
}

// Gone implements ram.Pinner.
func (p *Pins) Gone(segment uint64) {
	for _, m := range p.movers {
		m.Forget(segment)
	}
}
