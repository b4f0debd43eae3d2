package gpu

import (
	"context"
	"errors"
	"fmt"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/cuda/ptx"
	"github.com/ingot-ml/ingot/nodecache/internal/ledger"
	"github.com/ingot-ml/ingot/nodecache/internal/mover"
)

// ErrWrong reports bytes on the GPU that are not what they should be.
var ErrWrong = errors.New("bytes on the GPU are not those of the version")

// Verify compares what is on the GPU with what is in RAM: the GPU sums its bytes up,
// and none of them travel.
func (d *Device) Verify(ctx context.Context, v Version) error {
	var found *image
	var r receipt
	if !d.take(v.Key, &r, func(im *image) { found = im }) {
		return fmt.Errorf("verify %s on GPU %s: %w", v.Key, d.config.UUID, ErrNotOn)
	}
	defer d.unkeep([]ledger.Key{v.Key})
	held, err := v.Hold(ctx)
	if err != nil {
		return err
	}
	defer held.Release()
	for _, s := range found.slabs {
		if err := d.verify(ctx, s, held); err != nil {
			return fmt.Errorf("verify %s on GPU %s: %w", v.Key, d.config.UUID, err)
		}
	}
	return nil
}

// verify compares one slab.
func (d *Device) verify(ctx context.Context, s *slab, held *Held) error {
	ranges := make([]mover.Range, 0, len(s.recipe.extents))
	for _, e := range s.recipe.extents {
		ranges = append(ranges, mover.Range{Slab: s.id, Offset: e.offset, Length: e.length})
	}
	sums, err := d.config.Bus.Sum(ctx, ranges)
	if err != nil {
		return err
	}
	buffer := make([]byte, 0, chunker.MaxSize)
	for i, e := range s.recipe.extents {
		_, _, length, ok := held.Place(e.chunk)
		if !ok {
			return fmt.Errorf("chunk %s is not in RAM", e.chunk.Short())
		}
		plain, err := held.Read(ctx, chunker.Ref{Digest: e.chunk, Size: uint32(length)}, buffer)
		if err != nil {
			return err
		}
		if ptx.Sum64(plain[e.at:e.at+e.length]) != sums[i] {
			return fmt.Errorf("slab %d at %d, %d bytes of chunk %s: %w", s.id, e.offset, e.length, e.chunk.Short(), ErrWrong)
		}
	}
	return nil
}
