package s3

import (
	"context"
	"sync"
)

// turns lets one writer of a key at a time through, for stores that check the
// condition of a PUT and write in two steps.
type turns struct {
	mu   sync.Mutex // protects keys and waiting
	keys map[string]*turn
}

type turn struct {
	free    chan struct{} // holds one when nobody has the turn
	holders int           // who have it or wait for it
}

func newTurns() *turns { return &turns{keys: map[string]*turn{}} }

// wait returns when it is the caller's turn, who then calls done.
func (t *turns) wait(ctx context.Context, key string) (done func(), err error) {
	own := t.join(key)
	select {
	case <-own.free:
		return func() {
			own.free <- struct{}{}
			t.leave(key, own)
		}, nil
	case <-ctx.Done():
		t.leave(key, own)
		return nil, ctx.Err()
	}
}

func (t *turns) join(key string) *turn {
	t.mu.Lock()
	defer t.mu.Unlock()
	own := t.keys[key]
	if own == nil {
		own = &turn{free: make(chan struct{}, 1)}
		own.free <- struct{}{}
		t.keys[key] = own
	}
	own.holders++
	return own
}

func (t *turns) leave(key string, own *turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if own.holders--; own.holders == 0 {
		delete(t.keys, key)
	}
}
