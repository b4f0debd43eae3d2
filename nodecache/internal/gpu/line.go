package gpu

import (
	"context"
	"slices"
	"sync"

	"github.com/ingot-ml/ingot/nodecache/internal/bell"
)

// line lets one work at a time: of those who wait, who has the highest priority,
// and of these who came first. Its zero value is ready.
type line struct {
	come    bell.Bell // rings when somebody comes
	mu      sync.Mutex
	last    uint64
	front   *turn   // who works
	waiting []*turn // in their order
}

// turn is somebody in the line. One goroutine uses it.
type turn struct {
	line     *line
	priority int
	age      uint64
	called   chan struct{} // closed when it is at the front
	short    bool          // at the front, and waits for room
	firm     bool          // it lets nobody work before it has done all
}

// enter waits for the front. The error is that of ctx.
func (l *line) enter(ctx context.Context, priority int) (*turn, error) {
	l.mu.Lock()
	l.last++
	t := &turn{line: l, priority: priority, age: l.last}
	l.add(t)
	l.mu.Unlock()
	return t, t.wait(ctx)
}

// add puts t where it belongs, at the front if nobody is there. l.mu is held.
func (l *line) add(t *turn) {
	t.called = make(chan struct{})
	i, _ := slices.BinarySearchFunc(l.waiting, t, func(a, b *turn) int {
		if a.before(b) {
			return -1
		}
		return 1
	})
	l.waiting = slices.Insert(l.waiting, i, t)
	l.come.Ring()
	l.call()
}

func (t *turn) before(o *turn) bool {
	return t.priority > o.priority || t.priority == o.priority && t.age < o.age
}

// call lets the next one work if nobody does. l.mu is held.
func (l *line) call() {
	if l.front == nil && len(l.waiting) > 0 {
		l.front, l.waiting = l.waiting[0], l.waiting[1:]
		close(l.front.called)
	}
}

// wait returns at the front, or has left the line.
func (t *turn) wait(ctx context.Context) error {
	select {
	case <-t.called:
		return nil
	case <-ctx.Done():
		t.leave()
		return ctx.Err()
	}
}

// leave is for one who has done his work, or gives up.
func (t *turn) leave() {
	l := t.line
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.front == t {
		l.front = nil
	} else {
		l.waiting = slices.DeleteFunc(l.waiting, func(o *turn) bool { return o == t })
	}
	l.call()
}

// outranked reports whether somebody waits who should work before t, which is at
// the front.
func (t *turn) outranked() bool {
	t.line.mu.Lock()
	defer t.line.mu.Unlock()
	return !t.firm && len(t.line.waiting) > 0 && t.line.waiting[0].before(t)
}

// yield lets those work who should before t. After an error t has left the line.
func (t *turn) yield(ctx context.Context) error {
	t.line.mu.Lock()
	t.line.front = nil
	t.line.add(t)
	t.line.mu.Unlock()
	return t.wait(ctx)
}

// len is how many wait: in the line, or at its front for room.
func (l *line) len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(l.waiting)
	if l.front != nil && l.front.short {
		n++
	}
	return n
}

// lacks says whether t, which is at the front, waits for room.
func (t *turn) lacks(short bool) {
	t.line.mu.Lock()
	defer t.line.mu.Unlock()
	t.short = short
}
