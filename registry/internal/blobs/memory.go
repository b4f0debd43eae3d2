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
	"time"
)

// Memory is a Store and a Sweeper that keeps its blobs in memory, for tests and for
// simulations. It is not durable; in all else it keeps the laws.
type Memory struct {
	mu    sync.Mutex // protects blobs; never held across a call out
	blobs map[string]memoryBlob
}

// NewMemory returns a Store without blobs.
func NewMemory() *Memory { return &Memory{blobs: map[string]memoryBlob{}} }

type memoryBlob struct {
	bytes    []byte // never changed
	modified time.Time
}

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
	m.blobs[name] = memoryBlob{whole, time.Now()}
	return nil
}

// Open implements Store.
func (m *Memory) Open(ctx context.Context, name string, off, n int64) (io.ReadCloser, error) {
	blob, err := m.get(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("open blob: %w", err)
	}
	n, err = Span(int64(len(blob.bytes)), off, n)
	if err != nil {
		return nil, fmt.Errorf("open blob %s: %w", name, err)
	}
	return io.NopCloser(bytes.NewReader(blob.bytes[off : off+n])), nil
}

// Stat implements Store.
func (m *Memory) Stat(ctx context.Context, name string) (Info, error) {
	blob, err := m.get(ctx, name)
	if err != nil {
		return Info{}, fmt.Errorf("stat blob: %w", err)
	}
	return blob.info(name), nil
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
			infos = append(infos, blob.info(name))
		}
	}
	slices.SortFunc(infos, func(a, b Info) int { return strings.Compare(a.Name, b.Name) })
	return infos
}

func (b memoryBlob) info(name string) Info { return Info{name, int64(len(b.bytes)), b.modified} }

// Delete implements Sweeper.
func (m *Memory) Delete(ctx context.Context, names []string) error {
	for _, name := range names {
		if err := check(ctx, name); err != nil {
			return fmt.Errorf("delete blob: %w", err)
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, name := range names {
		delete(m.blobs, name)
	}
	return nil
}

func (m *Memory) get(ctx context.Context, name string) (memoryBlob, error) {
	if err := check(ctx, name); err != nil {
		return memoryBlob{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	blob, ok := m.blobs[name]
	if !ok {
		return memoryBlob{}, fmt.Errorf("%s: %w", name, ErrNotFound)
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
