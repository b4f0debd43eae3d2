package mover

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/ingot-ml/ingot/openapi/leaseconn"
)

// session is what the agent has of one process.
type session struct {
	conn     *leaseconn.Conn[message]
	patience time.Duration
	kill     func() // ends the process at once
	hello    chan message

	write sync.Mutex

	mu    sync.Mutex
	next  uint64
	calls map[uint64]*call
	err   error         // why it is dead
	dead  chan struct{} // closed when there will be no more answers
	gone  chan struct{} // closed when the process has ended, and nothing of it is left
}

// call is a request that the mover has not answered.
type call struct {
	id     uint64
	answer message       // good when done is closed
	done   chan struct{} // closed by the answer
	bell   chan struct{} // has room for one: something of what follows has changed
	taken  int           // frames; session.mu protects it
	moved  int64         // bytes; session.mu protects it
}

func newSession(conn *leaseconn.Conn[message], patience time.Duration, kill func()) *session {
	return &session{
		conn: conn, patience: patience, kill: kill, hello: make(chan message, 1),
		calls: map[uint64]*call{}, dead: make(chan struct{}), gone: make(chan struct{}),
	}
}

// read takes what the mover says until there is no more.
func (s *session) read() {
	for {
		m, files, err := s.conn.Read()
		leaseconn.CloseAll(files) // it has none to give
		if err == nil {
			err = s.hear(m)
		}
		if err != nil {
			s.die(err)
			return
		}
	}
}

// die ends the session: there will be no answers.
func (s *session) die(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = err
		close(s.dead)
	}
}

func (s *session) hear(m message) error {
	if m.Type == sayHello {
		select {
		case s.hello <- m:
			return nil
		default:
			return fmt.Errorf("the mover says hello twice: %w", leaseconn.ErrFrame)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.calls[m.ID]
	if c == nil {
		return fmt.Errorf("the mover speaks of request %d, which there is none: %w", m.ID, leaseconn.ErrFrame)
	}
	switch m.Type {
	case sayTaken:
		c.taken++
	case sayMoved:
		c.moved = m.Done
	case sayAnswer:
		c.answer = m
		delete(s.calls, m.ID)
		close(c.done)
	}
	select {
	case c.bell <- struct{}{}:
	default:
	}
	return nil
}

// open begins a request.
func (s *session) open() *call {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next++
	c := &call{id: s.next, done: make(chan struct{}), bell: make(chan struct{}, 1)}
	s.calls[c.id] = c
	return c
}

// say sends a frame. What comes of it, wait tells; a mover that cannot be told
// anything is dead.
func (s *session) say(m message, files ...*os.File) {
	s.write.Lock()
	defer s.write.Unlock()
	if err := s.conn.Write(m, files...); err != nil {
		s.die(err)
	}
}

// ask sends a request that is one frame. The order of requests is that of the
// calls of ask.
func (s *session) ask(m message, files ...*os.File) *call {
	c := s.open()
	m.ID = c.id
	s.say(m, files...)
	return c
}

// wait returns the answer, or ErrGone when the process has ended without one.
func (s *session) wait(c *call) (message, error) {
	timer := time.NewTimer(s.patience)
	defer timer.Stop()
	for {
		select {
		case <-c.done:
			return s.answered(c)
		case <-s.gone:
			return s.last(c)
		case <-timer.C:
			s.giveUp("it has not answered for " + s.patience.String())
		}
	}
}

// last is wait when the process is gone: the answer may have come before.
func (s *session) last(c *call) (message, error) {
	select {
	case <-c.done:
		return s.answered(c)
	default:
		return message{}, s.why()
	}
}

// answered returns the answer that has come. After one that is fatal it waits for the
// end of the process.
func (s *session) answered(c *call) (message, error) {
	if !c.answer.Fatal {
		return c.answer, c.answer.Error.err()
	}
	s.die(c.answer.Error.err())
	<-s.gone
	return c.answer, fmt.Errorf("%w: %w", ErrGone, c.answer.Error.err())
}

// why is the error of a request that the end came before.
func (s *session) why() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return fmt.Errorf("%w: %w", ErrGone, s.err)
}

// giveUp ends a process that does not do what it should.
func (s *session) giveUp(why string) {
	s.die(fmt.Errorf("the mover hangs: %s", why))
	s.kill()
}

// must waits until a request is done, or the process has ended: what it is about is
// over either way.
func (s *session) must(c *call) {
	if _, err := s.wait(c); err != nil && !errors.Is(err, ErrGone) {
		s.giveUp(err.Error())
		<-s.gone
	}
}
