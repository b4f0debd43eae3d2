package mover

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"

	"github.com/ingot-ml/ingot/cuda"
	"github.com/ingot-ml/ingot/openapi/leaseconn"
)

// DefaultStaging is how many bytes of memory are pinned for what is not itself.
const DefaultStaging = 128 << 20

// Options is what Serve works with.
type Options struct {
	UUID    cuda.UUID
	Library string // of the driver; empty is where cuda.Open looks
	Staging int64  // bytes; 0 is DefaultStaging
}

// server is the mover's end of the connection.
type server struct {
	conn   *leaseconn.Conn[message]
	device *device
	asked  chan request
	jobs   chan *job

	write sync.Mutex

	mu      sync.Mutex
	job     *job          // that is under way
	lastJob uint64        // the id of the newest job there was
	err     error         // why the mover ends
	over    chan struct{} // closed when it ends
}

// request is something in passing, with its descriptors.
type request struct {
	message
	files []*os.File
}

// job is copies or sums.
type job struct {
	id     uint64
	frames chan message // has room for what may be on the way
	ctx    context.Context
	cancel context.CancelFunc
}

// Serve is the mover: it does what the other end of a connection asks until that
// goes away, which is no error, or until the device is lost. Then the process has to
// end: it has memory and a context that only its end gives back.
func Serve(conn *net.UnixConn, o Options) error {
	o.Staging = cmp.Or(o.Staging, DefaultStaging)
	s := &server{
		conn:  leaseconn.New[message](conn, maxFrame),
		asked: make(chan request, 64), jobs: make(chan *job, 1), over: make(chan struct{}),
	}
	defer func() { _ = s.conn.Close() }()
	d, err := openDevice(o)
	if err != nil {
		s.say(message{Type: sayHello, Error: failureOf(err)})
		return fmt.Errorf("%s: %w", o.UUID, err)
	}
	s.device = d
	s.say(message{Type: sayHello, Info: &d.info})
	go s.control()
	go s.work()
	s.end(s.read())
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// end ends the mover, with the first error that there is.
func (s *server) end(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.over:
	default:
		s.err = err
		close(s.over)
		_ = s.conn.Close() // which ends read
	}
}

// say sends a frame. If that fails read will fail too.
func (s *server) say(m message) {
	s.write.Lock()
	defer s.write.Unlock()
	if err := s.conn.Write(m); err != nil {
		_ = s.conn.Close()
	}
}

// answer is the last word on a request. Where the device is lost, or in a state that
// nobody knows, it is the last word at all.
func (s *server) answer(m message, err error) {
	m.Type, m.Error = sayAnswer, failureOf(err)
	m.Fatal = fatal(err)
	s.say(m)
	if m.Fatal {
		s.end(err)
	}
}

// errState says that something could not be undone or waited for: the device may use
// memory still.
var errState = errors.New("the device is in an unknown state")

func fatal(err error) bool { return errors.Is(err, errState) || errors.Is(err, cuda.ErrSticky) }

// read takes requests until there are no more.
func (s *server) read() error {
	for {
		m, files, err := s.conn.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read a request: %w", err)
		}
		if err := s.hear(request{m, files}); err != nil {
			return err
		}
	}
}

// hear gives a request to whoever does it.
func (s *server) hear(r request) error {
	switch r.Type {
	case askSegment, askForget, askPin, askUnpin, askSlab, askDrop, askMemory:
		select {
		case s.asked <- r:
		case <-s.over:
			leaseconn.CloseAll(r.files)
		}
		return nil
	}
	leaseconn.CloseAll(r.files)
	switch r.Type {
	case askCopy, askSum:
		return s.heavy(r.message)
	case askCancel:
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.job != nil && s.job.id == r.ID {
			s.job.cancel()
		}
		return nil
	}
	return fmt.Errorf("request of type %q: %w", r.Type, leaseconn.ErrFrame)
}

// heavy begins a job, or goes on with it.
func (s *server) heavy(m message) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	j := s.job
	switch {
	case m.ID <= s.lastJob && (j == nil || j.id != m.ID):
		return nil // of a job that failed meanwhile
	case j != nil && j.id != m.ID:
		return fmt.Errorf("request %d while %d is under way: %w", m.ID, j.id, leaseconn.ErrFrame)
	case j == nil:
		j = &job{id: m.ID, frames: make(chan message, ahead)}
		j.ctx, j.cancel = context.WithCancel(context.Background())
		s.job, s.lastJob = j, m.ID
		s.jobs <- j // there is none in it
	}
	select {
	case j.frames <- m:
		return nil
	default:
		return fmt.Errorf("request %d runs ahead: %w", m.ID, leaseconn.ErrFrame)
	}
}

// work does jobs, one after the other.
func (s *server) work() {
	err := s.device.context.With(func(b *cuda.Bound) error {
		e, err := newEngine(s.device, b)
		if err != nil {
			return err
		}
		for j := range s.jobs {
			m, err := s.do(e, j)
			s.mu.Lock()
			s.job = nil
			s.mu.Unlock()
			j.cancel()
			m.ID = j.id
			s.answer(m, err)
			if fatal(err) {
				return err
			}
		}
		return nil
	})
	s.end(fmt.Errorf("move bytes: %w", err))
}

// do does a job.
func (s *server) do(e *engine, j *job) (message, error) {
	first := <-j.frames
	if first.Type == askSum {
		sums, err := e.sum(first.Ranges)
		return message{Sums: sums}, err
	}
	e.begin(func(moved int64) { s.say(message{ID: j.id, Type: sayMoved, Done: moved}) })
	err := s.copies(e, j, first)
	return message{Moved: e.finish()}, err
}

// copies does the copies of all frames of a job, and waits for them.
func (s *server) copies(e *engine, j *job, m message) error {
	for {
		s.say(message{ID: j.id, Type: sayTaken})
		if len(m.Copies) > maxList {
			return e.settle(fmt.Errorf("%d copies in a frame: %w", len(m.Copies), ErrUnknown))
		}
		for _, packed := range m.Copies {
			c, err := unpack(packed)
			if err == nil {
				err = j.ctx.Err()
			}
			if err == nil {
				err = e.copy(c)
			}
			if err != nil {
				return e.settle(err)
			}
		}
		if !m.More {
			return e.settle(nil)
		}
		select {
		case m = <-j.frames:
		case <-j.ctx.Done():
			return e.settle(j.ctx.Err())
		}
	}
}
