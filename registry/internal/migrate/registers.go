package migrate

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"

	"golang.org/x/sync/errgroup"

	"github.com/ingot-ml/ingot/registry/internal/registers"
)

// sum is the hash of all keys and versions that a scan saw. Versions are never used
// twice, so equal sums mean that nothing was written between.
type sum [sha256.Size]byte

// scan returns the sum of the source.
func (r *run) scan(ctx context.Context) (sum, error) {
	return r.pages(ctx, func([]registers.Entry) error { return nil })
}

// pages calls f with the source's registers, page by page, and returns their sum.
func (r *run) pages(ctx context.Context, f func([]registers.Entry) error) (sum, error) {
	seen := sha256.New()
	for after := ""; ; {
		page, err := r.From.Registers.List(ctx, "", after, registers.MaxList)
		if err != nil {
			return sum{}, fmt.Errorf("list the source: %w", err)
		}
		more := len(page) == registers.MaxList
		if len(page) > 0 {
			after = page[len(page)-1].Key
		}
		page = without(page)
		add(seen, page)
		if err := f(page); err != nil {
			return sum{}, err
		}
		if !more {
			return sum(seen.Sum(nil)), nil
		}
	}
}

// without leaves out what is not copied.
func without(page []registers.Entry) []registers.Entry {
	kept := page[:0]
	for _, e := range page {
		if !own(e.Key) {
			kept = append(kept, e)
		}
	}
	return kept
}

func add(seen hash.Hash, page []registers.Entry) {
	for _, e := range page {
		fmt.Fprintf(seen, "%s %q\n", e.Key, e.Version)
	}
}

// copyRegisters copies the values of all registers, and returns what it saw of the
// source.
func (r *run) copyRegisters(ctx context.Context) (sum, error) {
	return r.pages(ctx, func(page []registers.Entry) error {
		if err := r.copyPage(ctx, page); err != nil {
			return err
		}
		r.report.Registers += int64(len(page))
		r.Progress(Progress{PhaseRegisters, r.report.Registers})
		return nil
	})
}

// value is a register of the source, and what the destination had of it.
type value struct {
	entry registers.Entry
	val   []byte
	was   registers.Version
	same  bool
}

// copyPage copies a page. All of the destination's values are read first, then the
// marker, and then they are written over: if the marker is still ours, what was
// read stems from no one who is served, and a write of such a one makes ours fail.
func (r *run) copyPage(ctx context.Context, page []registers.Entry) error {
	values := make([]value, len(page))
	err := r.each(ctx, len(page), func(ctx context.Context, i int) (err error) {
		values[i], err = r.look(ctx, page[i])
		return err
	})
	if err != nil {
		return err
	}
	if err := r.owns(ctx); err != nil {
		return err
	}
	return r.each(ctx, len(values), func(ctx context.Context, i int) error { return r.put(ctx, values[i]) })
}

// each calls f for 0 to n-1, several at a time.
func (r *run) each(ctx context.Context, n int, f func(ctx context.Context, i int) error) error {
	workers, ctx := errgroup.WithContext(ctx)
	workers.SetLimit(r.Workers)
	for i := range n {
		workers.Go(func() error { return f(ctx, i) })
	}
	return workers.Wait()
}

// look reads a register of the source, and of the destination.
func (r *run) look(ctx context.Context, e registers.Entry) (value, error) {
	val, version, err := r.From.Registers.Get(ctx, e.Key)
	if err != nil {
		return value{}, fmt.Errorf("read the source: %w", err)
	}
	if version != e.Version {
		return value{}, fmt.Errorf("%w: register %q; %s", ErrWritten, e.Key, rest)
	}
	there, was, err := r.To.Registers.Get(ctx, e.Key)
	if errors.Is(err, registers.ErrNotFound) {
		return value{entry: e, val: val}, nil
	}
	if err != nil {
		return value{}, fmt.Errorf("read the destination: %w", err)
	}
	return value{e, val, was, bytes.Equal(there, val)}, nil
}

// put writes a value, unless it is there. Values that the registry wrote differ by
// a nonce, so that an answer that was lost can be settled.
func (r *run) put(ctx context.Context, v value) error {
	if v.same {
		return nil
	}
	_, err := registers.Settle(ctx, r.To.Registers, v.entry.Key, v.was, v.val)
	if errors.Is(err, registers.ErrConflict) {
		return fmt.Errorf("%w: %w", ErrOvertaken, err)
	}
	if err != nil {
		return fmt.Errorf("write the destination: %w", err)
	}
	return nil
}

// compareRegisters reads all registers of both sides once more.
func (r *run) compareRegisters(ctx context.Context) error {
	var done int64
	_, err := r.pages(ctx, func(page []registers.Entry) error {
		done += int64(len(page))
		r.Progress(Progress{PhaseCompare, done})
		return r.each(ctx, len(page), func(ctx context.Context, i int) error { return r.compare(ctx, page[i].Key) })
	})
	if err != nil {
		return err
	}
	return r.noMore(ctx, done)
}

// noMore fails if the destination has more registers than the n that were compared.
func (r *run) noMore(ctx context.Context, n int64) error {
	err := r.book.Each(ctx, "", "", func(e registers.Entry) (bool, error) {
		if !own(e.Key) {
			n--
		}
		return true, nil
	})
	if err != nil {
		return fmt.Errorf("list the destination: %w", err)
	}
	if n == 0 {
		return nil
	}
	return r.book.Each(ctx, "", "", func(e registers.Entry) (bool, error) {
		_, _, err := r.From.Registers.Get(ctx, e.Key)
		if !own(e.Key) && errors.Is(err, registers.ErrNotFound) {
			return false, fmt.Errorf("%w: it holds the register %q, which the source has not; choose an empty destination", ErrDiffers, e.Key)
		}
		return true, nil
	})
}

// compare compares one register.
func (r *run) compare(ctx context.Context, key string) error {
	val, _, err := r.From.Registers.Get(ctx, key)
	if err != nil {
		return fmt.Errorf("read the source: %w", err)
	}
	there, _, err := r.To.Registers.Get(ctx, key)
	if err != nil && !errors.Is(err, registers.ErrNotFound) {
		return fmt.Errorf("read the destination: %w", err)
	}
	if err != nil || !bytes.Equal(there, val) {
		return fmt.Errorf("%w: register %q", ErrDiffers, key)
	}
	return nil
}
