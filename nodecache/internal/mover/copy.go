package mover

import (
	"context"
	"fmt"
	"time"
)

// Copy does a list of copies in its order, one driver's copy for each that lies in
// one pin. progress, which may be nil, hears how many bytes have arrived. It returns
// when the device has done what it was given; after ctx ends it gives it no more.
//
// The list may be in any state when Copy fails. With ErrGone it may be tried again.
func (m *Mover) Copy(ctx context.Context, list []Copy, progress func(bytes int64)) (Moved, error) {
	if err := ctx.Err(); err != nil || len(list) == 0 {
		return Moved{}, err
	}
	if err := m.take(ctx); err != nil {
		return Moved{}, err
	}
	defer m.release()
	if err := m.fetch(list); err != nil {
		return Moved{}, err
	}
	s, err := m.ready(ctx)
	if err != nil {
		return Moved{}, err
	}
	if progress == nil {
		progress = func(int64) {}
	}
	t := &transfer{session: s, call: s.open(), list: list, progress: progress}
	moved, err := t.run(ctx)
	if err == nil {
		m.useful.Store(true)
	}
	return moved, err
}

// fetch sees to it that the mover has the segments that a list reads, also those that
// it is being told of.
func (m *Mover) fetch(list []Copy) error {
	last, any := uint64(0), false
	for _, c := range list {
		if c.From != FromMemory || any && c.Source == last {
			continue
		}
		last, any = c.Source, true
		if err := m.fetchOne(c.Source); err != nil {
			return err
		}
	}
	return nil
}

func (m *Mover) fetchOne(id uint64) error {
	m.mu.Lock()
	g := m.segments[id]
	m.mu.Unlock()
	if g != nil {
		return m.tellSegment(id, g)
	}
	if m.config.Segment == nil {
		return nil // the mover says that it does not know it
	}
	size, f, err := m.config.Segment(id)
	if err != nil {
		return fmt.Errorf("copy from memory: %w", err)
	}
	defer func() { _ = f.Close() }() // it is duplicated
	return m.AddSegment(id, size, f)
}

// transfer is a Copy under way.
type transfer struct {
	session  *session
	call     *call
	list     []Copy // that is not sent
	sent     int    // frames
	progress func(int64)
	told     int64 // by progress
	stopped  bool  // the mover was asked to
}

func (t *transfer) run(ctx context.Context) (Moved, error) {
	timer := time.NewTimer(t.session.patience)
	defer timer.Stop()
	done := ctx.Done()
	for {
		t.send()
		select {
		case <-t.call.bell:
			timer.Reset(t.session.patience)
		case <-t.call.done:
		case <-done:
			done = nil
			t.stopped = true
			t.session.say(message{ID: t.call.id, Type: askCancel})
		case <-t.session.gone:
		case <-timer.C:
			t.session.giveUp("no copy has arrived for " + t.session.patience.String())
		}
		t.tell()
		if over, moved, err := t.over(); over {
			if ctx.Err() != nil && err != nil {
				err = ctx.Err()
			}
			return moved, err
		}
	}
}

// send sends as much of the list as may be on the way.
func (t *transfer) send() {
	t.session.mu.Lock()
	taken := t.call.taken
	t.session.mu.Unlock()
	for len(t.list) > 0 && !t.stopped && t.sent < taken+ahead {
		n := min(len(t.list), maxList)
		packed := make([][6]uint64, n)
		for i, c := range t.list[:n] {
			packed[i] = c.pack()
		}
		t.list = t.list[n:]
		t.sent++
		t.session.say(message{ID: t.call.id, Type: askCopy, Copies: packed, More: len(t.list) > 0})
	}
}

// tell passes on how far the copies are.
func (t *transfer) tell() {
	t.session.mu.Lock()
	moved := t.call.moved
	t.session.mu.Unlock()
	if moved > t.told {
		t.told = moved
		t.progress(moved)
	}
}

// over reports whether there is an answer, or no mover to wait for.
func (t *transfer) over() (over bool, moved Moved, err error) {
	select {
	case <-t.call.done:
	default:
		select {
		case <-t.session.gone:
		default:
			return false, Moved{}, nil
		}
	}
	answer, err := t.session.last(t.call)
	if answer.Moved != nil {
		moved = *answer.Moved
	}
	return true, moved, err
}

// Sum returns the checksum of each range, as ptx.Sum64 computes it. Offsets are
// multiples of 8.
func (m *Mover) Sum(ctx context.Context, ranges []Range) ([]uint64, error) {
	if err := m.take(ctx); err != nil {
		return nil, err
	}
	defer m.release()
	s, err := m.ready(ctx)
	if err != nil {
		return nil, err
	}
	sums := make([]uint64, 0, len(ranges))
	for len(ranges) > 0 {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		n := min(len(ranges), maxList)
		packed := make([][3]uint64, n)
		for i, r := range ranges[:n] {
			packed[i] = [3]uint64{r.Slab, uint64(r.Offset), uint64(r.Length)}
		}
		answer, err := s.wait(s.ask(message{Type: askSum, Ranges: packed}))
		if err != nil {
			return nil, fmt.Errorf("sum: %w", err)
		}
		if len(answer.Sums) != n {
			return nil, fmt.Errorf("sum: %d answers to %d ranges", len(answer.Sums), n)
		}
		sums = append(sums, answer.Sums...)
		ranges = ranges[n:]
	}
	return sums, nil
}
