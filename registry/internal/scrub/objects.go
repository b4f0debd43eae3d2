package scrub

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/codec"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/blobs"
	"github.com/ingot-ml/ingot/registry/internal/placement"
	"github.com/ingot-ml/ingot/registry/internal/registers"
	"github.com/ingot-ml/ingot/registry/internal/versions"
)

// maxEncoded is the longest encoded chunk.
var maxEncoded = codec.MaxEncoded(chunker.MaxSize)

// buffers lends what it takes to read and decode one chunk.
var buffers = sync.Pool{New: func() any {
	return &buffer{enc: make([]byte, maxEncoded), plain: make([]byte, 0, chunker.MaxSize)}
}}

type buffer struct{ enc, plain []byte }

// walk is one way through the objects of the store.
type walk struct {
	*verification
	places *places // to be seen; nil for none
	first  bool    // count, and read if that is wanted; else only see
	after  string  // where to begin
	done   int64
}

// objects goes through the store.
func (w *walk) objects(ctx context.Context) error {
	group, inner := errgroup.WithContext(ctx)
	group.SetLimit(w.Parallel)
	err := w.list(inner, func(info blobs.Info, f func(context.Context, blobs.Info) error) error {
		if w.pace != nil {
			return w.slowly(ctx, info, f)
		}
		group.Go(func() error { return f(inner, info) })
		return nil
	})
	if failed := group.Wait(); failed != nil {
		return failed
	}
	return err
}

// slowly looks at one object, and takes it out of use at once if it is bad: the end
// of the walk may be days away. It leaves in after what is done.
func (w *walk) slowly(ctx context.Context, info blobs.Info, look func(context.Context, blobs.Info) error) error {
	if err := look(ctx, info); err != nil {
		return err
	}
	if f := w.of(info.Name); f != nil && !w.ReadOnly {
		w.Logger.ErrorContext(ctx, "an object of the store is bad", "object", f.object, "reason", f.reason)
		if err := w.Service.Quarantine(ctx, f.object, f.reason, f.digest, f.places); err != nil && !errors.Is(err, versions.ErrQuarantineFull) {
			return err
		}
	}
	w.after = info.Name
	return nil
}

// list has every object looked at by what fits its kind.
func (w *walk) list(ctx context.Context, do func(blobs.Info, func(context.Context, blobs.Info) error) error) error {
	for info, err := range w.Blobs.List(ctx, "", w.after) {
		if err != nil {
			return err
		}
		if w.done++; w.done%registers.MaxList == 0 {
			w.tell(openapi.VerifyProgress{Phase: "objects", Done: w.done})
		}
		named := placement.ParseName(info.Name)
		if named.Kind == placement.Lists {
			continue // they come and go
		}
		if w.first {
			w.count(info, named)
		}
		switch named.Kind {
		case placement.Chunk:
			w.seeChunk(info)
			if w.first && w.deep {
				err = do(info, w.chunk)
			}
		case placement.Bundle:
			err = do(info, w.bundle)
		}
		if err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (v *verification) count(info blobs.Info, named placement.Named) {
	v.report.Objects++
	v.report.Bytes += info.Size
	switch named.Kind {
	case placement.Alien:
		if len(v.report.Foreign) < mostForeign {
			v.report.Foreign = append(v.report.Foreign, info.Name)
		}
	case placement.Chunk:
		v.chunks.Add(1)
	}
}

// chunkOf returns the digest that the name of a chunk's object repeats.
func chunkOf(object string) chunker.Digest {
	const from = len("c/000/")
	d, err := chunker.ParseDigest(object[from:min(from+2*chunker.DigestSize, len(object))])
	if err != nil {
		return chunker.Digest{}
	}
	return d
}

// ownPlace is that of an object that is one chunk.
func ownPlace(info blobs.Info) place {
	return place{info.Name, 0, uint32(info.Size), chunkOf(info.Name), strings.HasSuffix(info.Name, deltaMark)}
}

// deltaMark ends the name of a delta that is an object of its own.
var deltaMark = placement.DeltaName(chunker.Digest{}, "", 0)[len(placement.ChunkName(chunker.Digest{}, "", 0)):]

func (w *walk) seeChunk(info blobs.Info) {
	if w.places == nil || info.Size > int64(maxEncoded) {
		return
	}
	w.places.see(ownPlace(info))
}

// chunk reads an object that is one chunk.
func (w *walk) chunk(ctx context.Context, info blobs.Info) error {
	if err := w.pace.wait(ctx, info.Size); err != nil {
		return err
	}
	d := chunkOf(info.Name)
	reason := fmt.Sprintf("it has %d bytes, a chunk has at most %d", info.Size, maxEncoded)
	if info.Size <= int64(maxEncoded) {
		var err error
		reason, err = w.twice(ctx, info.Name, func() (string, error) { return w.check(ctx, ownPlace(info)) })
		if gone(err) {
			return nil // collected at this moment
		}
		if err != nil {
			return err
		}
	}
	if reason != "" {
		w.findings.add(&finding{object: info.Name, digest: d, reason: reason})
	}
	return nil
}

func gone(err error) bool {
	d := isDamage(err)
	return d != nil && d.missing
}

// bundle reads the table of a bundle, and its chunks if that is wanted.
func (w *walk) bundle(ctx context.Context, info blobs.Info) error {
	if err := w.pace.wait(ctx, info.Size); err != nil {
		return err
	}
	var items []placement.Item
	reason, err := w.twice(ctx, info.Name, func() (reason string, err error) {
		items, reason, err = w.table(ctx, info)
		return reason, err
	})
	if gone(err) {
		return nil // collected at this moment
	}
	if err != nil {
		return err
	}
	if reason != "" {
		w.findings.add(&finding{object: info.Name, reason: reason})
		return nil
	}
	if w.first {
		w.chunks.Add(int64(len(items)))
	}
	for _, it := range items {
		if w.places != nil {
			w.places.see(placeOf(info.Name, it))
		}
	}
	if !w.first || !w.deep {
		return nil
	}
	return w.items(ctx, info, items)
}

func placeOf(bundle string, it placement.Item) place {
	return place{bundle, it.Offset, it.Length, it.Digest, !it.Base.IsZero()}
}

// table reads the table of a bundle, or tells why there is none.
func (s *Scrubber) table(ctx context.Context, info blobs.Info) ([]placement.Item, string, error) {
	prefix := make([]byte, placement.BundlePrefix)
	if reason, err := s.read(ctx, info.Name, 0, prefix); err != nil || reason != "" {
		return nil, reason, err
	}
	n, err := placement.ParseBundlePrefix(prefix)
	if err != nil {
		return nil, err.Error(), nil
	}
	header := make([]byte, n)
	if reason, err := s.read(ctx, info.Name, 0, header); err != nil || reason != "" {
		return nil, reason, err
	}
	items, err := placement.ParseBundleHeader(header, info.Size)
	if err != nil {
		return nil, err.Error(), nil
	}
	return items, "", nil
}

// items reads the chunks of a bundle.
func (w *walk) items(ctx context.Context, info blobs.Info, items []placement.Item) error {
	f := &finding{object: info.Name}
	for _, it := range items {
		reason, err := w.twice(ctx, info.Name, func() (string, error) { return w.check(ctx, placeOf(info.Name, it)) })
		if gone(err) {
			return nil
		}
		if err != nil {
			return err
		}
		if reason == "" {
			continue
		}
		if f.digest = it.Digest; len(f.places) > 0 {
			f.digest = chunker.Digest{} // more than one is meant
		}
		f.places = append(f.places, it.Offset)
		f.reason = fmt.Sprintf("chunk at byte %d: %s", it.Offset, reason)
	}
	if len(f.places) > 0 {
		w.findings.add(f)
	}
	return nil
}

// check reads the bytes of a chunk and tells what is wrong with them.
func (s *Scrubber) check(ctx context.Context, at place) (reason string, err error) {
	b := buffers.Get().(*buffer)
	defer buffers.Put(b)
	return s.readChunk(ctx, at, b)
}

// readChunk is check with the bytes in b.enc. Of a chunk whose digest is not known,
// or that is a delta, only the checksum is compared: what its bases are, versions know.
func (s *Scrubber) readChunk(ctx context.Context, at place, b *buffer) (reason string, err error) {
	if int64(at.length) > int64(maxEncoded) {
		return tooLong(at.length), nil
	}
	enc := b.enc[:at.length]
	if reason, err := s.read(ctx, at.object, int64(at.offset), enc); err != nil || reason != "" {
		return reason, err
	}
	if err := codec.Check(enc); err != nil {
		return err.Error(), nil
	}
	plain, err := codec.Decode(b.plain, enc)
	switch {
	case errors.Is(err, codec.ErrBase) && !at.digest.IsZero() && !at.delta:
		return "it is a delta, and needs a chunk of which nobody names a place", nil
	case at.digest.IsZero() || errors.Is(err, codec.ErrUnsupported) || errors.Is(err, codec.ErrBase):
		return "", nil
	case err != nil:
		return err.Error(), nil
	}
	if got := chunker.Sum(plain); got != at.digest {
		return fmt.Sprintf("the bytes are those of %s", got.Short()), nil
	}
	return "", nil
}
