package registers

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Memory is an Engine that keeps its registers in memory, for tests and for
// simulations. It is not durable; in all else it keeps the laws.
type Memory struct {
	mu   sync.Mutex // protects the fields below; never held across a call out
	keys map[string]memoryValue
	seq  uint64
}

type memoryValue struct {
	val     []byte
	version Version
}

// NewMemory returns an Engine without registers.
func NewMemory() *Memory { return &Memory{keys: map[string]memoryValue{}} }

// Get implements Engine.
func (m *Memory) Get(ctx context.Context, key string) ([]byte, Version, error) {
	if err := CheckKey(key); err != nil {
		return nil, Absent, fmt.Errorf("get register: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return nil, Absent, fmt.Errorf("get register %q: %w", key, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	v, ok := m.keys[key]
	if !ok {
		return nil, Absent, fmt.Errorf("get register %q: %w", key, ErrNotFound)
	}
	return bytes.Clone(v.val), v.version, nil
}

// CAS implements Engine.
func (m *Memory) CAS(ctx context.Context, key string, want Version, val []byte) (Version, error) {
	if err := CheckWrite(key, val); err != nil {
		return Absent, fmt.Errorf("write register: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return Absent, fmt.Errorf("write register %q: %w", key, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.keys[key].version != want {
		return Absent, fmt.Errorf("write register %q: %w", key, ErrConflict)
	}
	m.seq++
	v := Version(strconv.FormatUint(m.seq, 10))
	m.keys[key] = memoryValue{bytes.Clone(val), v}
	return v, nil
}

// List implements Engine.
func (m *Memory) List(ctx context.Context, prefix, after string, n int) ([]Entry, error) {
	if err := CheckList(n); err != nil {
		return nil, fmt.Errorf("list registers %q: %w", prefix, err)
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("list registers %q: %w", prefix, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var entries []Entry
	for key, v := range m.keys {
		if key > after && strings.HasPrefix(key, prefix) {
			entries = append(entries, Entry{key, v.version})
		}
	}
	slices.SortFunc(entries, func(a, b Entry) int { return strings.Compare(a.Key, b.Key) })
	return entries[:min(n, len(entries))], nil
}
