package blobs

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"sync"
)

// Memory is a Store that keeps its blobs in memory, for tests and for
// simulations. It is not durable; in all else it keeps the laws.
type Memory struct {
	mu    sync.Mutex // protects blobs; never held across a call out
	blobs map[string][]byte
}

// NewMemory returns a Store without blobs.
func NewMemory() *Memory { return &Memory{blobs: map[string][]byte{}} }

// Put implements Store.
func (m *Memory) Put(ctx context.Context, name string, parts ...[]byte) error {
	if err := check(ctx, name); err != nil {
		return fmt.Errorf("put blob: %w", err)
	}
	whole := slices.Concat(parts...)
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, taken := m.blobs[name]; taken {
		return fmt.Errorf("put blob %s: %w", name, ErrExists)
	}
	m.blobs[name] = whole
	return nil
}

// Open implements Store.
func (m *Memory) Open(ctx context.Context, name string, off, n int64) (io.ReadCloser, error) {
	blob, err := m.get(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("open blob: %w", err)
	}
	n, err = Span(int64(len(blob)), off, n)
	if err != nil {
		return nil, fmt.Errorf("open blob %s: %w", name, err)
	}
	return io.NopCloser(bytes.NewReader(blob[off : off+n])), nil
}

// Stat implements Store.
func (m *Memory) Stat(ctx context.Context, name string) (Info, error) {
	blob, err := m.get(ctx, name)
	if err != nil {
		return Info{}, fmt.Errorf("stat blob: %w", err)
	}
	return Info{name, int64(len(blob))}, nil
}

// List implements Store.
func (m *Memory) List(ctx context.Context, prefix, after string) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		for _, info := range m.infos(prefix, after) {
			if err := ctx.Err(); err != nil {
				yield(Info{}, fmt.Errorf("list blobs %q: %w", prefix, err))
				return
			}
			if !yield(info, nil) {
				return
			}
		}
	}
}

// infos returns what List yields.
func (m *Memory) infos(prefix, after string) []Info {
	m.mu.Lock()
	defer m.mu.Unlock()
	var infos []Info
	for name, blob := range m.blobs {
		if name > after && strings.HasPrefix(name, prefix) {
			infos = append(infos, Info{name, int64(len(blob))})
		}
	}
	slices.SortFunc(infos, func(a, b Info) int { return strings.Compare(a.Name, b.Name) })
	return infos
}

// get returns the bytes of a blob, which nobody changes.
func (m *Memory) get(ctx context.Context, name string) ([]byte, error) {
	if err := check(ctx, name); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	blob, ok := m.blobs[name]
	if !ok {
		return nil, fmt.Errorf("%s: %w", name, ErrNotFound)
	}
	return blob, nil
}

// check is what every call that takes a name begins with.
func check(ctx context.Context, name string) error {
	if err := CheckName(name); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}
