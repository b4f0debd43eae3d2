package patch

import (
	"context"
	"errors"
	"fmt"

	"github.com/ingot-ml/ingot/chunker/codec"
	"github.com/ingot-ml/ingot/nodecache/internal/ram"
	"github.com/ingot-ml/ingot/nodecache/internal/tier"
)

// backward is a chunk that was written over and comes back.
type backward struct {
	*ram.Exchange
	undo undo
}

// Recall begins to put back what was there, after Apply has failed: nobody finds the
// chunks that came any more, and those that went and were not written over are there
// again. After an error the caller calls Forsake.
func (s *Stage) Recall() error {
	var list []tier.Exchange
	var written []*pair
	for i := range s.pairs {
		if p := &s.pairs[i]; p.written {
			list = append(list, tier.Exchange{Comes: p.Swap().Goes, Goes: p.Swap().Comes})
			written = append(written, p)
		}
	}
	back, err := s.RAM.Exchange(list)
	if err != nil {
		return fmt.Errorf("put back what was there: %w", err)
	}
	for i, x := range back {
		s.back = append(s.back, backward{x, written[i].undo})
	}
	for i := range s.pairs {
		if !s.pairs[i].written {
			s.pairs[i].Return()
		}
	}
	s.pairs = nil
	return nil
}

// Restore writes what Recall has begun to put back. After an error some of the old
// version is gone.
func (s *Stage) Restore(ctx context.Context) error {
	errs := make([]error, len(s.back))
	err := s.each(context.WithoutCancel(ctx), len(s.back), func(ctx context.Context, i int) error {
		errs[i] = s.restore(ctx, &s.back[i])
		return nil // the others are put back whatever comes of this one
	})
	return errors.Join(append(errs, err)...)
}

func (s *Stage) restore(ctx context.Context, b *backward) (err error) {
	defer func() {
		if err != nil {
			b.Abandon()
		}
	}()
	room := s.buffer()
	defer s.free(room)
	ref := b.Swap().Comes
	var old []byte
	switch {
	case b.undo.delta != nil:
		if old, err = codec.UndoDelta(room, b.undo.delta, b.Old(), ref.Digest); err == nil {
			old = old[:min(len(old), int(ref.Size))] // the base may have been shorter
		}
	case b.undo.enc != nil:
		old, err = decode(room, b.undo.enc, b.Old())
	default:
		old, err = s.Source.Read(ctx, ref, room)
	}
	if err = verify(ref, old, err); err != nil {
		return fmt.Errorf("put back chunk %s: %w", ref.Digest.Short(), err)
	}
	if err = b.Fill(ctx, old); err != nil {
		return err
	}
	b.Publish()
	return nil
}

// Forsake lets go of the memory of chunks that are neither there nor came: both
// versions are gone.
func (s *Stage) Forsake() {
	for i := range s.pairs {
		if !s.pairs[i].written {
			s.pairs[i].Abandon()
		}
	}
	s.pairs = nil
}
