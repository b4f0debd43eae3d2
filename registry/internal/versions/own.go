package versions

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/codec"
	"github.com/ingot-ml/ingot/registry/internal/blobs"
	"github.com/ingot-ml/ingot/registry/internal/placement"
)

// probing is how many blobs are asked for at a time.
const probing = 16

// inPush asks the store for chunks that the push has uploaded through another
// replica, or before this one was started.
func (q *search) inPush(ctx context.Context) error {
	wanted := open(q.places)
	if len(wanted) == 0 {
		return nil
	}
	if err := q.readBundles(ctx, q.upload); err != nil {
		return err
	}
	if err := q.rebase(ctx); err != nil {
		return err
	}
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(probing)
	for _, i := range open(q.places) {
		group.Go(func() error { return q.probe(gctx, q.digests[i]) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return q.rebase(ctx)
}

// probe looks for a chunk under the names that the push's attempts give it, and remembers
// it: a whole one sooner than a delta.
func (q *search) probe(ctx context.Context, d chunker.Digest) error {
	u := q.upload
	for _, named := range []func(chunker.Digest, string, int) string{placement.ChunkName, placement.DeltaName} {
		for attempt := u.attempt(d, q.attempt); attempt >= 0; attempt-- {
			f, err := q.readPlace(ctx, named(d, u.id, attempt))
			if errors.Is(err, blobs.ErrNotFound) {
				continue
			}
			if err != nil {
				return err
			}
			if !u.absent(&f.entry) {
				u.put(d, f)
				return nil
			}
		}
	}
	return nil
}

// readPlace returns where the chunk lies that is this blob. A blob is verified
// before it is made, so its header is believed.
func (s *Service) readPlace(ctx context.Context, name string) (found, error) {
	info, err := s.Blobs.Stat(ctx, name)
	if err != nil {
		return found{}, err
	}
	header := make([]byte, min(info.Size, codec.BaseHeaderLen))
	if err := blobs.ReadInto(ctx, s.Blobs, name, 0, header); err != nil {
		return found{}, err
	}
	plain, err := codec.PlainLen(header)
	if err != nil {
		return found{}, fmt.Errorf("read chunk %q: %w", name, err)
	}
	base, err := codec.Base(header)
	if err != nil {
		return found{}, fmt.Errorf("read chunk %q: %w", name, err)
	}
	return found{placement.Entry{Object: name, Length: uint32(info.Size)}, uint32(plain), base}, nil
}

// readBundles learns which chunks lie in bundles of the push that are not known.
func (s *Service) readBundles(ctx context.Context, u *upload) error {
	for info, err := range s.Blobs.List(ctx, placement.BundlesOf(u.id), "") {
		if err != nil {
			return err
		}
		if u.knowsBundle(info.Name) {
			continue
		}
		items, err := s.readBundle(ctx, info)
		if errors.Is(err, blobs.ErrNotFound) {
			continue // collected at this moment
		}
		if err != nil {
			return err
		}
		u.putBundle(info.Name, items)
	}
	return nil
}

func (s *Service) readBundle(ctx context.Context, info blobs.Info) ([]placement.Item, error) {
	prefix := make([]byte, placement.BundlePrefix)
	if err := blobs.ReadInto(ctx, s.Blobs, info.Name, 0, prefix); err != nil {
		return nil, err
	}
	n, err := placement.ParseBundlePrefix(prefix)
	if err != nil {
		return nil, fmt.Errorf("read bundle %q: %w", info.Name, err)
	}
	header := make([]byte, n)
	if err := blobs.ReadInto(ctx, s.Blobs, info.Name, 0, header); err != nil {
		return nil, err
	}
	items, err := placement.ParseBundleHeader(header, info.Size)
	if err != nil {
		return nil, fmt.Errorf("read bundle %q: %w", info.Name, err)
	}
	return items, nil
}
