package doctor

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"

	"github.com/ingot-ml/ingot/registry/internal/blobs"
	"github.com/ingot-ml/ingot/registry/internal/registers"
)

// bench is what a test works with: the store, a corner of the scratch for itself,
// and how much it is to do.
type bench struct {
	Store
	name string
	amounts
}

// amounts says how much of everything a test does.
type amounts struct {
	writers    int   // at a time in a race
	creations  int   // races to make a key
	overwrites int   // races to write over one version
	additions  int   // that each writer makes to a counter, as fast as it can
	reads      int   // writes that are read back
	keys       int   // in a list
	scans      int   // of a list that changes
	bodies     []int // sizes of large blobs
}

// newBench returns a bench with what the depth asks for. See docs/reliability.md for
// how often a store without a property gets through.
func newBench(s Store, property string, depth Depth) *bench {
	b := &bench{Store: s, name: property, amounts: amounts{
		writers: 8, creations: 150, overwrites: 8, additions: 25, reads: 8,
		keys: 60, scans: 4, bodies: []int{16<<20 + 1},
	}}
	if depth == Thorough {
		b.amounts = amounts{
			writers: 12, creations: 400, overwrites: 40, additions: 60, reads: 30,
			keys: 1200, scans: 8, bodies: []int{5<<20 + 1, 16 << 20, 64<<20 + 4097},
		}
	}
	return b
}

// engine returns the i-th way to the registers, and again from the first.
func (b *bench) engine(i int) registers.Engine { return b.Registers[i%len(b.Registers)] }

// store returns the i-th way to the blobs, and again from the first.
func (b *bench) store(i int) blobs.Store { return b.Blobs[i%len(b.Blobs)] }

// key returns a key, or a blob's name, in the corner of the test.
func (b *bench) key(format string, args ...any) string {
	return "d/" + b.name + "/" + fmt.Sprintf(format, args...)
}

// nonce returns 16 hex digits that no other call returns.
func (b *bench) nonce() (string, error) {
	var raw [8]byte
	if _, err := io.ReadFull(b.Rand, raw[:]); err != nil {
		return "", fmt.Errorf("draw a nonce: %w", err)
	}
	return hex.EncodeToString(raw[:]), nil
}

// unique returns a value that no other call returns, of at least size bytes.
func (b *bench) unique(size int) ([]byte, error) {
	nonce, err := b.nonce()
	if err != nil {
		return nil, err
	}
	return []byte(nonce + strings.Repeat(".", max(0, size-len(nonce)))), nil
}

// noise returns bytes that no two offsets have alike.
func (b *bench) noise(size int) ([]byte, error) {
	var seed [32]byte
	if _, err := io.ReadFull(b.Rand, seed[:]); err != nil {
		return nil, fmt.Errorf("draw a seed: %w", err)
	}
	body := make([]byte, size)
	_, _ = rand.NewChaCha8(seed).Read(body) // never fails
	return body, nil
}

// write makes a write that has to succeed, by the i-th way, of a value that no
// other write has. An answer that was lost is settled.
func (b *bench) write(ctx context.Context, i int, key string, want registers.Version) (registers.Version, []byte, error) {
	val, err := b.unique(0)
	if err != nil {
		return registers.Absent, nil, err
	}
	version, err := registers.Settle(ctx, b.engine(i), key, want, val)
	return version, val, err
}

// refusalTries is how often a write whose outcome is not known is sent again.
const refusalTries = 4

// refused sends a write that has to be refused and tells whether it was. It is
// refused too if the register then holds something else, which is for the caller
// to look at.
func (b *bench) refused(ctx context.Context, i int, key string, want registers.Version, val []byte) (bool, error) {
	var err error
	for range refusalTries {
		_, err = b.engine(i).CAS(ctx, key, want, val)
		if err == nil {
			return false, nil
		}
		if errors.Is(err, registers.ErrConflict) {
			return true, nil
		}
		if !errors.Is(err, registers.ErrUnknown) {
			break
		}
	}
	return false, err
}

// holds tells whether the register has that value and version for the i-th way.
func (b *bench) holds(ctx context.Context, i int, key string, val []byte, version registers.Version) (bool, error) {
	got, now, err := b.engine(i).Get(ctx, key)
	if errors.Is(err, registers.ErrNotFound) {
		return false, nil
	}
	return err == nil && now == version && bytes.Equal(got, val), err
}

// together calls f for 0 to n-1 at the same time and returns what failed first.
func together(n int, f func(i int) error) error {
	errs := make([]error, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { errs[i] = f(i) })
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
