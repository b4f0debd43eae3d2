package registerstest

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"sync"

	"github.com/ingot-ml/ingot/registry/internal/registers"
)

// Flaky is an Engine that loses answers: some CAS end with ErrUnknown, and have
// happened, or never happen, or happen later, before some other call.
type Flaky struct {
	registers.Engine
	share float64

	mu   sync.Mutex // protects the fields below; not held across a call of Engine
	rand *rand.Rand
	late []func()
	lost int
}

// NewFlaky returns an Engine over e that loses the given share of the answers, 0
// to 1. Which ones depends on seed and the order of the calls.
func NewFlaky(e registers.Engine, seed uint64, share float64) *Flaky {
	return &Flaky{Engine: e, share: share, rand: rand.New(rand.NewPCG(seed, seed))}
}

// Lost returns how many answers were lost so far.
func (f *Flaky) Lost() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.lost
}

// Get implements registers.Engine.
func (f *Flaky) Get(ctx context.Context, key string) ([]byte, registers.Version, error) {
	f.arrive()
	return f.Engine.Get(ctx, key)
}

// CAS implements registers.Engine.
func (f *Flaky) CAS(ctx context.Context, key string, want registers.Version, val []byte) (registers.Version, error) {
	f.arrive()
	val = bytes.Clone(val)
	apply := func() { _, _ = f.Engine.CAS(context.WithoutCancel(ctx), key, want, val) } // its answer is lost
	switch f.fate(apply) {
	case answered:
		return f.Engine.CAS(ctx, key, want, val)
	case applied:
		apply()
	}
	return registers.Absent, fmt.Errorf("write register %q: answer lost: %w", key, registers.ErrUnknown)
}

// The fates of a CAS.
const (
	answered = iota
	applied  // and the answer lost
	dropped
	delayed
)

// fate draws what becomes of a CAS. A delayed one is kept.
func (f *Flaky) fate(apply func()) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.rand.Float64() >= f.share {
		return answered
	}
	f.lost++
	fate := applied + f.rand.IntN(3)
	if fate == delayed {
		f.late = append(f.late, apply)
	}
	return fate
}

// arrive lets some delayed writes happen.
func (f *Flaky) arrive() {
	f.mu.Lock()
	var due []func()
	for len(f.late) > 0 && f.rand.IntN(2) == 0 {
		i := f.rand.IntN(len(f.late))
		due = append(due, f.late[i])
		f.late = append(f.late[:i], f.late[i+1:]...)
	}
	f.mu.Unlock()
	for _, apply := range due {
		apply()
	}
}
