package agent

import (
	"context"
	"fmt"

	"github.com/ingot-ml/ingot/openapi"
)

// slide yields the tensors of a window that were not passed yet.
func (l *Lease) slide(ctx context.Context, yield func(Tensor, error) bool) {
	if !l.window.TryLock() {
		yield(Tensor{}, fmt.Errorf("tensors of %s: somebody else iterates over the window", l.Ref()))
		return
	}
	defer l.window.Unlock()
	for {
		more, err := l.step(ctx, yield)
		if err != nil {
			yield(Tensor{}, err)
			return
		}
		if !more {
			return
		}
	}
}

// step yields the next tensor, and gives its room back afterwards.
func (l *Lease) step(ctx context.Context, yield func(Tensor, error) bool) (more bool, err error) {
	l.mu.Lock()
	i := l.passed
	l.mu.Unlock()
	if ok, err := l.await(ctx, i); !ok || err != nil {
		return false, err
	}
	t, m, err := l.open(i)
	if err != nil {
		return false, err
	}
	more = yield(t, nil)
	if err := l.pass(m); err != nil && !more {
		return false, nil // nobody listens; the next iterator gets it
	} else if err != nil {
		return false, err
	}
	return more, nil
}

// open maps tensor i of a window by itself; m is nil for one that was copied.
func (l *Lease) open(i int) (t Tensor, m *mapping, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.closed(); err != nil {
		return Tensor{}, nil, err
	}
	a := &l.arrived[i]
	if len(a.parts) == 0 {
		return a.tensorOf([]byte{}), nil, nil
	}
	if joins(a.parts) && a.parts[0].offset%alignment(&a.tensor) == 0 {
		if got, ok := l.views.add(a.parts); ok {
			l.views.sliding = &got
			l.views.stats.Mapped += a.tensor.Bytes
			return a.tensorOf(got.bytes(a.parts[0].offset%page, a.tensor.Bytes)), &got, nil
		}
	}
	b, err := l.views.copy(a.parts)
	return a.tensorOf(b), nil, err
}

// pass unmaps the tensor that was yielded last, and tells the agent that its room
// is free.
func (l *Lease) pass(m *mapping) error {
	l.mu.Lock()
	if err := l.closed(); err != nil {
		l.mu.Unlock()
		return err // Close has unmapped it
	}
	l.arrived[l.passed] = arrival{} // it does not come again
	l.passed++
	l.views.sliding = nil
	var err error
	if m != nil {
		err = l.views.drop(*m)
	}
	l.mu.Unlock()
	if err != nil {
		return fmt.Errorf("tensors of %s: %w", l.Ref(), err)
	}
	if l.conn.Write(openapi.LeaseFrame{Type: openapi.FrameAck}) == nil {
		return nil
	}
	// Whoever reads from the connection knows better why it has ended.
	_ = l.conn.Close()
	<-l.ended
	if err := l.Err(); err != nil {
		return err
	}
	return ErrClosed
}

// tensorOf returns the tensor with its bytes.
func (a *arrival) tensorOf(b []byte) Tensor {
	return Tensor{a.file, a.tensor.Name, a.tensor.DType, a.tensor.Shape, b}
}
