package mover

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ingot-ml/ingot/cuda"
)

// What State says.
const (
	Starting = "starting"
	Ready    = "ready"
	Failed   = "failed"
)

// DefaultPatience is longer than a driver takes for anything that it will finish.
const DefaultPatience = 2 * time.Minute

// Config is what a Mover works with.
type Config struct {
	// Command is the program that calls Serve, and its arguments. Its descriptor 3 is
	// the connection, and "--device" with the UUID comes behind the arguments.
	Command []string
	// Env is added to the environment of this process.
	Env    []string
	UUID   cuda.UUID
	Logger *slog.Logger // nil is nobody
	// Patience is how long a mover has for anything, and between two signs of life of
	// a list of copies. A driver that takes longer has hung, and the mover is ended. 0
	// is DefaultPatience.
	Patience time.Duration
	// Segment finds a segment that a Copy names and that the mover was not told of. The
	// descriptor is closed then. nil finds none.
	Segment func(id uint64) (size int64, f *os.File, err error)
	// Restarted is called when there is a mover again and it has all that the last one
	// had, but for pins, which follow. It must not call Close.
	Restarted func()
	// Failed is called when the GPU does not work and a new process did not help. It
	// must not call Close. Restarted says when it works again.
	Failed func(err error)
}

// Mover is the process that works for one GPU, and a new one when that ends. It is
// safe for concurrent use.
type Mover struct {
	config     Config
	bus        chan struct{} // full while somebody copies or sums
	ctx        context.Context
	stop       context.CancelFunc
	done       chan struct{} // closed when the last process has ended
	background sync.WaitGroup
	useful     atomic.Bool // it has copied something

	// order is held while a table changes and the mover is told, so that it hears of
	// things in the order in which they happened. It comes before mu.
	order sync.Mutex

	mu       sync.Mutex // protects what follows
	state    string
	failure  error
	restarts int
	info     Info
	changed  chan struct{} // closed when the state changes
	session  *session      // nil while there is none to tell
	segments map[uint64]*segment
	slabs    map[uint64]*slab
	pins     map[span]*pin
	pinned   int64 // bytes that are pinned there
}

// Start starts the mover of a GPU and waits until it works, or says why it does not.
// It fails where the process cannot be started, and where the mover finds no driver
// or no such GPU. Any other trouble may pass: State tells. The caller closes the
// Mover.
func Start(c Config) (*Mover, error) {
	if len(c.Command) == 0 {
		return nil, errors.New("start mover: no command")
	}
	c.Patience = cmp.Or(c.Patience, DefaultPatience)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	m := &Mover{
		config: c, bus: make(chan struct{}, 1), done: make(chan struct{}), state: Starting, changed: make(chan struct{}),
		segments: map[uint64]*segment{}, slabs: map[uint64]*slab{}, pins: map[span]*pin{},
	}
	m.ctx, m.stop = context.WithCancel(context.Background())
	first := make(chan error, 1)
	go m.supervise(first)
	if err := <-first; hopeless(err) {
		return nil, errors.Join(fmt.Errorf("start mover of %s: %w", c.UUID, err), m.Close())
	}
	_, _ = m.ready(context.Background()) // State tells how it went
	return m, nil
}

// hopeless reports whether a mover that failed like this is not worth another try.
func hopeless(err error) bool {
	return errors.Is(err, errStart) || errors.Is(err, cuda.ErrNoLibrary) || errors.Is(err, cuda.ErrNoDriver) || errors.Is(err, cuda.ErrNoDevice)
}

// Info says what the GPU is. It is empty until a mover has worked.
func (m *Mover) Info() Info {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.info
}

// State says how the mover is: Starting, Ready or Failed, why, if there is a reason,
// and how often it was started again.
func (m *Mover) State() (state, message string, restarts int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.failure != nil {
		message = m.failure.Error()
	}
	return m.state, message, m.restarts
}

// Pinned is how many bytes of RAM are pinned for the GPU now.
func (m *Mover) Pinned() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.pinned
}

// Memory returns how much of the GPU's memory is free for whoever asks first, and
// how much there is.
func (m *Mover) Memory() (free, total int64, err error) {
	s, err := m.ready(m.ctx)
	if err != nil {
		return 0, 0, err
	}
	answer, err := s.wait(s.ask(message{Type: askMemory}))
	return answer.Free, answer.Total, err
}

// Close ends the mover and waits for its end. Nobody may call the Mover any more.
func (m *Mover) Close() error {
	m.stop()
	<-m.done
	m.background.Wait()
	m.mu.Lock()
	defer m.mu.Unlock()
	var errs []error
	for id, g := range m.segments {
		errs = append(errs, g.file.Close())
		delete(m.segments, id)
	}
	return errors.Join(errs...)
}

// set changes the state.
func (m *Mover) set(state string, failure error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.state, m.failure = state, failure
	close(m.changed)
	m.changed = make(chan struct{})
}

// ready returns the session when it works. It waits while a mover starts, and fails
// with ErrGone if that does not help.
func (m *Mover) ready(ctx context.Context) (*session, error) {
	for {
		m.mu.Lock()
		state, failure, s, changed := m.state, m.failure, m.session, m.changed
		m.mu.Unlock()
		switch {
		case m.ctx.Err() != nil:
			return nil, ErrClosed
		case state == Ready && s != nil:
			return s, nil
		case state == Failed:
			return nil, fmt.Errorf("%w: %w", ErrGone, failure)
		}
		select {
		case <-changed:
		case <-m.done:
			return nil, ErrClosed
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// take waits for the bus, which release gives back.
func (m *Mover) take(ctx context.Context) error {
	select {
	case m.bus <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-m.done:
		return ErrClosed
	}
}

func (m *Mover) release() { <-m.bus }

// settle waits until no copy is under way, or for some time.
func (m *Mover) settle(ctx context.Context, most time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	if m.take(ctx) == nil {
		m.release()
	}
}

// backoff is how long to wait before the nth start in a row that came to nothing:
// the first comes at once.
func backoff(n int) time.Duration {
	const first, most = 100 * time.Millisecond, 30 * time.Second
	if n <= 0 {
		return 0
	}
	return min(first<<min(n-1, 16), most)
}
