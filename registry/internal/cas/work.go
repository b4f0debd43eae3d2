package cas

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/ingot-ml/ingot/registry/internal/ingest"
	"github.com/ingot-ml/ingot/registry/internal/xet"
)

// work is what a shard asks for.
type work struct {
	*call
	shard *xet.Shard

	mu     sync.Mutex                  // protects what follows
	ends   map[xet.Hash][]uint32       // of the xorbs that were used
	places map[xet.Hash]map[place]bool // that they lie in now
}

// run makes the files, several at a time, and tells of each. Then it notes where the
// chunks of the xorbs lie.
func (w *work) run(ctx context.Context, made func(files int)) error {
	w.ends, w.places = map[xet.Hash][]uint32{}, map[xet.Hash]map[place]bool{}
	group, running := errgroup.WithContext(ctx)
	for i := range w.shard.Files {
		if err := w.filling.Acquire(running, 1); err != nil {
			break // the group has the cause, or the caller is gone
		}
		group.Go(func() error {
			defer w.filling.Release(1)
			if err := w.file(running, &w.shard.Files[i]); err != nil {
				return err
			}
			made(1)
			return nil
		})
	}
	if err := errors.Join(group.Wait(), ctx.Err()); err != nil {
		return err
	}
	w.noteAll(ctx)
	return nil
}

// file makes one file.
func (w *work) file(ctx context.Context, f *xet.File) error {
	if f.SHA256 != "" {
		o, ok, err := w.Files.Find(ctx, w.asks, w.repo, f.SHA256)
		if err != nil {
			return err
		}
		if ok && o.Size == f.Size {
			return w.placeKnown(ctx, f)
		}
	}
	o, err := w.receive(ctx, f)
	if err != nil {
		return err
	}
	w.place(f, o.SHA256)
	return nil
}

// receive has a file kept while it is put together.
func (w *work) receive(ctx context.Context, f *xet.File) (ingest.Object, error) {
	out, in := io.Pipe()
	var putting sync.WaitGroup
	putting.Go(func() { in.CloseWithError(w.assemble(ctx, in, f)) })
	o, err := w.Files.Receive(ctx, w.asks, w.repo, out, "", ingest.Want{SHA256: f.SHA256, Size: f.Size})
	_ = out.Close() // never fails
	putting.Wait()
	return o, err
}

// assemble writes the parts of a file.
func (w *work) assemble(ctx context.Context, out io.Writer, f *xet.File) error {
	for i, t := range f.Terms {
		if err := w.term(ctx, out, t); err != nil {
			return fmt.Errorf("part %d of file %.12s: %w", i, f.Hash, err)
		}
	}
	return nil
}

// term writes a part of a file.
func (w *work) term(ctx context.Context, out io.Writer, t xet.Term) error {
	x, err := w.chunks(ctx, t)
	if err != nil {
		return err
	}
	err = errors.Join(x.Copy(ctx, out, t.First, t.End), x.Close())
	if isLost(err) {
		return w.lost(ctx, t.Xorb)
	}
	return err
}

// chunks returns the xorb of a part, which has its chunks.
func (w *work) chunks(ctx context.Context, t xet.Term) (chunks, error) {
	x, err := w.xorb(ctx, t.Xorb)
	if err != nil {
		return nil, err
	}
	ends := x.Ends()
	if int64(t.End) > int64(len(ends)) {
		return nil, errors.Join(wrongTerm(t, "there are %d chunks", len(ends)), x.Close())
	}
	if from, to := span(ends, t.First, t.End); to-from != int64(t.Size) {
		return nil, errors.Join(wrongTerm(t, "they have %d", to-from), x.Close())
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ends[t.Xorb] = ends
	return x, nil
}

func wrongTerm(t xet.Term, format string, args ...any) error {
	return &failure{http.StatusBadRequest, fmt.Sprintf("%d bytes in chunks %d to %d of xorb %.12s: ", t.Size, t.First, t.End, t.Xorb) + fmt.Sprintf(format, args...)}
}

// xorb returns a xorb that the caller sent, or may read the chunks of.
func (w *work) xorb(ctx context.Context, hash xet.Hash) (chunks, error) {
	f, err := w.pool.open(w.key(hash))
	if err != nil {
		return nil, err
	}
	if f != nil {
		return f, nil
	}
	x, err := w.find(ctx, w.asks, w.repo.Namespace, hash)
	if err != nil {
		return nil, err
	}
	if x == nil {
		return nil, w.lost(ctx, hash)
	}
	return x, nil
}

func (w *work) key(hash xet.Hash) poolKey {
	return poolKey{senderKey(w.asks.Subject, w.repo.Namespace), hash}
}

// placeKnown is place for a file that the repository has already: what the shard says
// of it is only noted if the xorbs have such chunks.
func (w *work) placeKnown(ctx context.Context, f *xet.File) error {
	for _, t := range f.Terms {
		w.mu.Lock()
		known := w.ends[t.Xorb] != nil
		w.mu.Unlock()
		if known {
			continue
		}
		x, err := w.chunks(ctx, t)
		if _, ok := errors.AsType[*failure](err); ok {
			return nil // the file is there all the same
		}
		if err == nil {
			err = x.Close()
		}
		if err != nil {
			return err
		}
	}
	w.place(f, f.SHA256)
	return nil
}

// place notes that the chunks of a file lie in it.
func (w *work) place(f *xet.File, sha256 string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	at := int64(0)
	for _, t := range f.Terms {
		if w.places[t.Xorb] == nil {
			w.places[t.Xorb] = map[place]bool{}
		}
		w.places[t.Xorb][place{w.repo.String(), sha256, at, t.First, t.End}] = true
		at += int64(t.Size)
	}
}

// noteAll notes where chunks lie for later shards. Then the xorbs of which all chunks
// lie somewhere are not needed any more. What fails here costs room, and clients that
// name a xorb again another try: the files are kept.
func (w *work) noteAll(ctx context.Context) {
	for hash, places := range w.places {
		whole, err := w.note(ctx, w.repo.Namespace, hash, w.ends[hash], slices.Collect(maps.Keys(places)))
		if err == nil && whole {
			err = w.pool.keep(w.key(hash))
		}
		if err != nil {
			w.Logger.WarnContext(ctx, "a xorb is not put away", "xorb", hash.String(), "error", err)
		}
	}
}
