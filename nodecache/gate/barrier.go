package gate

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// The reasons why a request is not let through.
var (
	errDeadline = errors.New("not there in time")
	errCrowded  = errors.New("too many requests wait")
	errEnding   = errors.New("the gate is ending")
)

// turn is one attempt to open the barrier. It ends once, either open or with an
// error for all who wait for it.
type turn struct {
	over    chan struct{} // closed when it ends
	err     error         // set before that
	waiting int
}

func newTurn() *turn { return &turn{over: make(chan struct{})} }

// ended reports whether the turn is over.
func (t *turn) ended() bool {
	select {
	case <-t.over:
		return true
	default:
		return false
	}
}

// barrier is where requests wait. It counts them, and tells the keeper when one
// waits.
type barrier struct {
	idle   time.Duration
	most   int           // waiting
	wanted chan struct{} // has an entry after a request began to wait while the keeper slept
	lost   chan struct{} // has an entry after the service was not reached
	ending chan struct{} // closed when nobody should wait any more

	mu      sync.Mutex
	turn    *turn // that is open, or that all wait for who come now
	active  int   // requests that wait or are under way
	waiting int
	none    sync.Cond   // active is 0
	quiet   *time.Timer // runs while active is 0
	sleep   func()      // ends what the keeper does; nil while it sleeps
	reason  error       // why the barrier is not open yet, for those who give up
}

func newBarrier(idle time.Duration, most int) *barrier {
	b := &barrier{
		idle: idle, most: most, turn: newTurn(),
		wanted: make(chan struct{}, 1), lost: make(chan struct{}, 1), ending: make(chan struct{}),
	}
	b.none.L = &b.mu
	return b
}

// enter counts a request.
func (b *barrier) enter() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.active++
	if b.quiet != nil {
		b.quiet.Stop()
		b.quiet = nil
	}
}

// leave counts a request that is done. After the last one the idle time begins.
func (b *barrier) leave() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.active--
	if b.active == 0 {
		b.quiet = time.AfterFunc(b.idle, b.rest)
		b.none.Broadcast()
	}
}

// rest sends the keeper to sleep, unless a request came. Those who come from now
// on wait for it to wake again.
func (b *barrier) rest() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.active > 0 || b.sleep == nil {
		return
	}
	b.renew()
	b.sleep()
	b.sleep = nil
}

// wake begins the keeper's work. Sleep is called when there was no request for the
// idle time.
func (b *barrier) wake(sleep func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sleep, b.reason = sleep, nil
	if b.active == 0 { // the request that woke it has gone
		b.quiet = time.AfterFunc(b.idle, b.rest)
	}
}

// slept ends the keeper's work. Whoever came too late for it wakes it anew.
func (b *barrier) slept() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sleep = nil
	if b.turn.waiting > 0 {
		signal(b.wanted)
	}
}

// open lets everybody through who waits, and who comes.
func (b *barrier) open() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.turn.ended() {
		close(b.turn.over)
	}
}

// refuse sends everybody away who waits.
func (b *barrier) refuse(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.turn.ended() {
		b.turn.err = err
		close(b.turn.over)
	}
	b.turn = newTurn()
}

// shut makes those who come wait.
func (b *barrier) shut() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.renew()
}

// renew begins a turn if one is over. b.mu is held.
func (b *barrier) renew() {
	if b.turn.ended() {
		b.turn = newTurn()
	}
}

// because keeps why the barrier is not open yet.
func (b *barrier) because(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reason = err
}

// failed tells that the service was not reached by a request that t let through.
// Others may have found that before: then another turn has begun.
func (b *barrier) failed(t *turn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.turn == t {
		b.turn = newTurn()
		signal(b.lost)
	}
}

// pass returns when the barrier is open, with the turn that opened it. Limit ends
// the wait.
func (b *barrier) pass(ctx context.Context, limit <-chan time.Time) (*turn, error) {
	t, waits, err := b.queue()
	if err != nil || !waits {
		return t, err
	}
	defer b.unqueue(t)
	select {
	case <-t.over:
		return t, t.err
	case <-limit:
		return nil, b.late()
	case <-b.ending:
		return nil, errEnding
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// queue counts one who waits, unless the barrier is open.
func (b *barrier) queue() (t *turn, waits bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.turn.ended() {
		return b.turn, false, nil
	}
	if b.waiting >= b.most {
		return nil, false, fmt.Errorf("%w: %d already", errCrowded, b.waiting)
	}
	b.waiting++
	b.turn.waiting++
	if b.sleep == nil {
		signal(b.wanted)
	}
	return b.turn, true, nil
}

func (b *barrier) unqueue(t *turn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waiting--
	t.waiting--
}

// late says why the barrier was not open in time.
func (b *barrier) late() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.reason == nil {
		return errDeadline
	}
	return fmt.Errorf("%w: %w", errDeadline, b.reason)
}

// counts returns how many requests there are, how many of them wait, and whether
// the barrier is open.
func (b *barrier) counts() (active, waiting int, open bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.active, b.waiting, b.turn.ended()
}

// drain returns when no request is left.
func (b *barrier) drain() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.active > 0 {
		b.none.Wait()
	}
	if b.quiet != nil {
		b.quiet.Stop()
	}
}

// signal leaves an entry in c unless there is one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
