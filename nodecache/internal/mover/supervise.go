package mover

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"time"
)

const (
	// startTime is the least time that a mover has to open the driver, which takes
	// seconds on a machine of many GPUs.
	startTime = time.Minute
	// endTime is how long it has to end when it is told to.
	endTime = 5 * time.Second
	// calm is how long a mover has to work until what was before is forgotten, unless it
	// has copied something.
	calm = 10 * time.Second
)

// errStart says that there was no process at all.
var errStart = errors.New("the mover cannot be run")

// supervise starts movers until the Mover is closed. first hears how the first start
// went.
func (m *Mover) supervise(first chan<- error) {
	defer close(m.done)
	// The kernel ends the child when the thread ends that has started it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var once sync.Once
	report := func(err error) { once.Do(func() { first <- err }) }
	tries := 0 // since all was calm
	vain := 0  // starts in a row that came to nothing
	for {
		var since time.Time
		err := m.live(func() {
			since = time.Now()
			vain = 0
			m.works()
			report(nil)
		})
		if since.IsZero() {
			vain++
			report(err)
		} else if time.Since(since) >= calm || m.useful.Swap(false) {
			tries = 0
		}
		if m.ctx.Err() != nil {
			return
		}
		m.ended(err, vain)
		select {
		case <-time.After(backoff(tries)):
		case <-m.ctx.Done():
			return
		}
		tries++
		m.mu.Lock()
		m.restarts++
		m.mu.Unlock()
	}
}

// works says that a mover works.
func (m *Mover) works() {
	m.set(Ready, nil)
	m.mu.Lock()
	again := m.restarts > 0
	m.mu.Unlock()
	if again && m.config.Restarted != nil {
		m.background.Go(m.config.Restarted)
	}
}

// ended says that a mover has ended. One start that fails after another that worked
// is no verdict yet.
func (m *Mover) ended(err error, vain int) {
	m.config.Logger.Warn("the mover of a GPU has ended", "device", m.config.UUID.String(), "error", err)
	m.mu.Lock()
	was := m.state
	m.mu.Unlock()
	if vain < 2 && was != Failed && !(vain > 0 && hopeless(err)) {
		m.set(Starting, err)
		return
	}
	m.set(Failed, err)
	if was != Failed && m.config.Failed != nil {
		m.background.Go(func() { m.config.Failed(err) })
	}
}

// live is the life of one process. works is called when it has all that it needs.
// The error says why it ended; nothing of it is left then.
func (m *Mover) live(works func()) error {
	p, s, err := m.spawn()
	if err != nil {
		return err
	}
	var helpers sync.WaitGroup
	helpers.Go(s.read)
	err = m.serve(s, &helpers, works)
	s.die(err)
	m.leave(s)
	_ = s.conn.Close() // which tells it to end
	exit := p.end(endTime)
	close(s.gone)
	helpers.Wait()
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("the mover has ended: %s", exit)
	}
	return err
}

// serve works with a process until that is over.
func (m *Mover) serve(s *session, helpers *sync.WaitGroup, works func()) error {
	most := max(s.patience, startTime)
	timer := time.NewTimer(most)
	defer timer.Stop()
	var hello message
	select {
	case hello = <-s.hello:
	case <-s.dead:
		return s.reason()
	case <-m.ctx.Done():
		return ErrClosed
	case <-timer.C:
		s.giveUp("it has not opened the driver in " + most.String())
		return s.reason()
	}
	if err := hello.Error.err(); err != nil {
		return err
	}
	if hello.Info == nil {
		return errors.New("the mover does not say what the GPU is")
	}
	m.join(s, *hello.Info)
	told := make(chan error, 1)
	helpers.Go(func() { told <- m.replay(s) })
	for {
		select {
		case err := <-told:
			if err != nil {
				return fmt.Errorf("tell the mover what there is: %w", err)
			}
			works()
			helpers.Go(func() { m.replayPins(s) })
			told = nil
		case <-s.dead:
			return s.reason()
		case <-m.ctx.Done():
			return ErrClosed
		}
	}
}

// reason is why the session is dead.
func (s *session) reason() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// join makes a session the one that is told.
func (m *Mover) join(s *session, info Info) {
	m.order.Lock()
	defer m.order.Unlock()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.session, m.info, m.pinned = s, info, 0
}

// leave ends what join began.
func (m *Mover) leave(s *session) {
	m.order.Lock()
	defer m.order.Unlock()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.session != s {
		return
	}
	m.session, m.pinned = nil, 0
	for _, p := range m.pins {
		p.held = false
	}
	if m.state == Ready {
		m.state = Starting
		close(m.changed)
		m.changed = make(chan struct{})
	}
}
