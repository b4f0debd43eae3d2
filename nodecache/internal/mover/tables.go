package mover

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
)

// What a mover has to know, and the next one again. Of each entry order protects
// session and call: the request that told the session of it, nil if there was none.
type (
	segment struct {
		size    int64
		file    *os.File
		session *session
		call    *call
	}
	slab struct {
		size    int64
		export  func() (*os.File, error)
		session *session
		call    *call
		dropped bool // order protects it
	}
	span struct {
		segment        uint64
		offset, length int64
	}
	pin struct {
		session *session
		call    *call
		held    bool // counted in pinned; mu protects it
	}
)

// AddSegment tells the mover of a segment of the RAM tier. f is the caller's. One
// that is known is left as it is.
func (m *Mover) AddSegment(id uint64, size int64, f *os.File) error {
	g, err := m.enter(id, size, f)
	if err != nil {
		return fmt.Errorf("segment %d: %w", id, err)
	}
	return m.tellSegment(id, g)
}

// tellSegment waits until the session has a segment of the table, and tells it if
// nobody has.
func (m *Mover) tellSegment(id uint64, g *segment) error {
	s, c := m.giveSegment(id, g)
	if c == nil {
		return nil // the next mover will be told
	}
	if _, err := s.wait(c); err != nil && !errors.Is(err, ErrGone) {
		m.Forget(id)
		return fmt.Errorf("segment %d: %w", id, err)
	}
	return nil
}

// enter adds a segment to the table.
func (m *Mover) enter(id uint64, size int64, f *os.File) (*segment, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ctx.Err() != nil {
		return nil, ErrClosed
	}
	if g := m.segments[id]; g != nil {
		return g, nil
	}
	mine, err := duplicate(f)
	if err != nil {
		return nil, err
	}
	g := &segment{size: size, file: mine}
	m.segments[id] = g
	return g, nil
}

// giveSegment tells the session of a segment, if there is one, and it was not told.
func (m *Mover) giveSegment(id uint64, g *segment) (*session, *call) {
	m.order.Lock()
	defer m.order.Unlock()
	m.mu.Lock()
	s, there := m.session, m.segments[id] == g
	m.mu.Unlock()
	if s == nil || !there {
		return nil, nil
	}
	if g.session != s {
		g.session, g.call = s, s.ask(message{Type: askSegment, Memory: id, Size: g.size}, g.file)
	}
	return s, g.call
}

// Forget ends what AddSegment began, pins included. It returns when the mover has
// nothing of the segment any more.
func (m *Mover) Forget(id uint64) {
	m.order.Lock()
	m.mu.Lock()
	g := m.segments[id]
	delete(m.segments, id)
	for at, p := range m.pins {
		if at.segment == id {
			m.uncount(at, p)
		}
	}
	m.mu.Unlock()
	if g == nil {
		m.order.Unlock()
		return
	}
	s := g.session
	var c *call
	if s != nil {
		c = s.ask(message{Type: askForget, Memory: id})
	}
	m.order.Unlock()
	if c != nil {
		s.must(c)
	}
	_ = g.file.Close() // which only the mover used
}

// Pin registers a part of a segment with the device. It returns when that is done, or
// at once while there is no mover: the next one does it. Parts must not overlap.
func (m *Mover) Pin(segment uint64, offset, length int64) error {
	at := span{segment, offset, length}
	s, p, err := m.givePin(at)
	if err == nil && s != nil {
		err = m.pinIs(s, at, p)
	}
	if errors.Is(err, ErrGone) {
		return nil
	}
	if err != nil {
		m.mu.Lock()
		if m.pins[at] == p {
			delete(m.pins, at)
		}
		m.mu.Unlock()
		return fmt.Errorf("pin %d bytes of segment %d: %w", length, segment, err)
	}
	return nil
}

// givePin adds a pin to the table, and tells the session if there is one.
func (m *Mover) givePin(at span) (*session, *pin, error) {
	m.order.Lock()
	defer m.order.Unlock()
	s, p, err := m.enterPin(at)
	if err == nil && s != nil {
		m.tellPin(s, at, p)
	}
	return s, p, err
}

// enterPin adds a pin to the table.
func (m *Mover) enterPin(at span) (*session, *pin, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ctx.Err() != nil {
		return nil, nil, ErrClosed
	}
	if g := m.segments[at.segment]; g == nil || !within(at.offset, at.length, g.size) {
		return nil, nil, ErrUnknown
	}
	p := m.pins[at]
	if p == nil {
		p = &pin{}
		m.pins[at] = p
	}
	return m.session, p, nil
}

// tellPin tells the session of a pin, once. order is held.
func (m *Mover) tellPin(s *session, at span, p *pin) {
	if p.session != s {
		p.session = s
		p.call = s.ask(message{Type: askPin, Memory: at.segment, Offset: at.offset, Length: at.length})
	}
}

// pinIs waits until the session has pinned what it was told to.
func (m *Mover) pinIs(s *session, at span, p *pin) error {
	m.order.Lock()
	c := p.call
	m.order.Unlock()
	if _, err := s.wait(c); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.session == s && m.pins[at] == p && !p.held {
		p.held = true
		m.pinned += at.length
	}
	return nil
}

// uncount takes a pin out of the table. mu is held.
func (m *Mover) uncount(at span, p *pin) {
	delete(m.pins, at)
	if p.held {
		m.pinned -= at.length
	}
}

// Unpin ends what Pin began for the same part. It returns when the device does not
// read it any more.
func (m *Mover) Unpin(segment uint64, offset, length int64) {
	at := span{segment, offset, length}
	m.order.Lock()
	m.mu.Lock()
	p := m.pins[at]
	if p != nil {
		m.uncount(at, p)
	}
	m.mu.Unlock()
	if p == nil || p.session == nil {
		m.order.Unlock()
		return
	}
	s := p.session
	c := s.ask(message{Type: askUnpin, Memory: segment, Offset: offset, Length: length})
	m.order.Unlock()
	s.must(c)
}

// AddSlab tells the mover of a slab. export returns a descriptor of it, which is
// closed then; it is called again for every new mover until the slab is dropped,
// and must not call the Mover.
func (m *Mover) AddSlab(id uint64, size int64, export func() (*os.File, error)) error {
	b := &slab{size: size, export: export}
	m.mu.Lock()
	s, is := m.session, m.slabs[id]
	if is == nil && m.ctx.Err() == nil {
		m.slabs[id] = b
	}
	m.mu.Unlock()
	switch {
	case m.ctx.Err() != nil:
		return ErrClosed
	case is != nil:
		return fmt.Errorf("slab %d: it is there already", id)
	case s == nil:
		return nil // the next mover will be told
	}
	err := m.giveSlab(s, id, b)
	if err == nil || errors.Is(err, ErrGone) {
		return nil
	}
	m.DropSlab(id)
	return fmt.Errorf("slab %d: %w", id, err)
}

// giveSlab tells the session of a slab, if it was not told, and waits until it has
// it.
func (m *Mover) giveSlab(s *session, id uint64, b *slab) error {
	f, err := b.export()
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	defer func() { _ = f.Close() }() // the mover has its own
	m.order.Lock()
	m.mu.Lock()
	current := m.session == s
	m.mu.Unlock()
	if !current || b.dropped {
		m.order.Unlock()
		return nil
	}
	if b.session != s {
		b.session, b.call = s, s.ask(message{Type: askSlab, Memory: id, Size: b.size}, f)
	}
	c := b.call
	m.order.Unlock()
	_, err = s.wait(c)
	return err
}

// DropSlab ends what AddSlab began. It returns when the mover has nothing of the slab
// any more.
func (m *Mover) DropSlab(id uint64) {
	m.order.Lock()
	m.mu.Lock()
	b := m.slabs[id]
	delete(m.slabs, id)
	m.mu.Unlock()
	if b == nil {
		m.order.Unlock()
		return
	}
	b.dropped = true
	s := b.session
	if s == nil {
		m.order.Unlock()
		return
	}
	c := s.ask(message{Type: askDrop, Memory: id})
	m.order.Unlock()
	s.must(c)
}

// replay tells a new mover of all segments and slabs that there are.
func (m *Mover) replay(s *session) error {
	m.mu.Lock()
	segments, slabs := maps.Clone(m.segments), maps.Clone(m.slabs)
	m.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(segments)) {
		if of, c := m.giveSegment(id, segments[id]); c != nil && of == s {
			if _, err := s.wait(c); err != nil && m.hasSegment(id) {
				return fmt.Errorf("segment %d: %w", id, err)
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(slabs)) {
		if err := m.giveSlab(s, id, slabs[id]); err != nil && m.hasSlab(id) {
			return fmt.Errorf("slab %d: %w", id, err)
		}
	}
	return nil
}

func (m *Mover) hasSegment(id uint64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.segments[id] != nil
}

func (m *Mover) hasSlab(id uint64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.slabs[id] != nil
}

// replayPins pins again what was pinned, one after the other. What cannot be is left
// to the next mover, or to who asks for it again.
func (m *Mover) replayPins(s *session) {
	m.mu.Lock()
	spans := slices.SortedFunc(maps.Keys(m.pins), func(a, b span) int {
		return cmp.Or(cmp.Compare(a.segment, b.segment), cmp.Compare(a.offset, b.offset))
	})
	m.mu.Unlock()
	for _, at := range spans {
		m.order.Lock()
		m.mu.Lock()
		p := m.pins[at]
		current := m.session == s
		m.mu.Unlock()
		if p != nil && current {
			m.tellPin(s, at, p)
		}
		m.order.Unlock()
		if p == nil || !current {
			continue
		}
		if err := m.pinIs(s, at, p); err != nil && !errors.Is(err, ErrGone) {
			m.config.Logger.Warn("memory is not pinned again", "segment", at.segment, "bytes", at.length, "error", err)
			m.order.Lock()
			if p.session == s {
				p.session = nil
			}
			m.order.Unlock()
		}
	}
}
