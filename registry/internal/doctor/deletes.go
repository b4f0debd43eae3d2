package doctor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ingot-ml/ingot/registry/internal/blobs"
)

// gone tells through which call blobs that were deleted are still there, or "".
func (b *bench) gone(ctx context.Context, prefix string, names []string) (string, error) {
	for i, name := range names {
		if _, err := b.store(i).Stat(ctx, name); !errors.Is(err, blobs.ErrNotFound) {
			return fmt.Sprintf("its size is still told (%v)", err), nil
		}
		if _, err := b.read(ctx, i+1, name, 0, -1); !errors.Is(err, blobs.ErrNotFound) {
			return fmt.Sprintf("it can still be read (%v)", err), nil
		}
	}
	left, err := b.list(ctx, 0, prefix, "")
	if err != nil {
		return "", err
	}
	if len(left) > 0 {
		return "it is still listed", nil
	}
	return "", nil
}

// makeBlobs makes n small blobs.
func (b *bench) makeBlobs(ctx context.Context, prefix string, n int) ([]string, error) {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("%s%03d", prefix, i)
		if _, err := b.put(ctx, i, names[i], i); err != nil {
			return nil, err
		}
	}
	return names, nil
}

func testBlobDelete(ctx context.Context, b *bench) (verdict, error) {
	prefix := b.key("k/")
	names, err := b.makeBlobs(ctx, prefix, b.reads)
	if err != nil {
		return verdict{}, err
	}
	kept := b.key("kept")
	if _, err := b.put(ctx, 0, kept, 1); err != nil {
		return verdict{}, err
	}
	if err := b.Sweeper.Delete(ctx, names); err != nil {
		return lacks("blobs cannot be deleted: %v", err)
	}
	there, err := b.gone(ctx, prefix, names)
	if err != nil {
		return verdict{}, err
	}
	if there != "" {
		return lacks("after a blob was deleted, %s", there)
	}
	if _, err := b.store(0).Stat(ctx, kept); err != nil {
		return lacks("a blob beside those that were deleted is gone: %v", err)
	}
	return seen("%d blobs were deleted and are neither read nor listed", len(names))
}

func testBlobDeleteAgain(ctx context.Context, b *bench) (verdict, error) {
	prefix := b.key("k/")
	names, err := b.makeBlobs(ctx, prefix, 4)
	if err != nil {
		return verdict{}, err
	}
	if err := b.Sweeper.Delete(ctx, names[:2]); err != nil {
		return verdict{}, err
	}
	absent := []string{b.key("never/made")}
	for _, list := range [][]string{absent, names[:2], append(absent, names...), names} {
		if err := b.Sweeper.Delete(ctx, list); err != nil {
			return lacks("deleting blobs that are not there fails: %v", err)
		}
	}
	there, err := b.gone(ctx, prefix, names)
	if err != nil {
		return verdict{}, err
	}
	if there != "" {
		return lacks("after a blob was deleted beside one that was not there, %s", there)
	}
	return seen("blobs were deleted twice, and beside others that were not there")
}

// How far the store's clock may be off before somebody is told. Object stores
// tell times by the second.
const (
	clockGrain = time.Second
	clockOff   = 5 * time.Minute
)

func testClock(ctx context.Context, b *bench) (verdict, error) {
	name := b.key("k")
	before := b.Now()
	if _, err := b.put(ctx, 0, name, 1); err != nil {
		return verdict{}, err
	}
	after := b.Now()
	info, err := b.store(0).Stat(ctx, name)
	if err != nil {
		return verdict{}, err
	}
	listed, err := b.list(ctx, 0, name, "")
	if err != nil {
		return verdict{}, err
	}
	if len(listed) != 1 || listed[0].Modified.IsZero() || info.Modified.IsZero() {
		return lacks("the store does not say when a blob was made, so that nothing is ever old enough to be collected")
	}
	if apart := listed[0].Modified.Sub(info.Modified).Abs(); apart > clockGrain {
		return lacks("a list and a look at the same blob say times that are %s apart", apart)
	}
	off := time.Duration(0)
	switch made := info.Modified; {
	case made.After(after):
		off = made.Sub(after)
	case made.Before(before.Add(-clockGrain)):
		off = made.Sub(before)
	}
	off = off.Round(time.Second)
	switch {
	case off > clockOff:
		return warns("the store's clock is %s ahead of ours", off)
	case off < -clockOff:
		return warns("the store's clock is %s behind ours", -off)
	}
	return seen("the store's clock is within %s of ours", max(off.Abs(), clockGrain))
}
