package patch

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/codec"
	"github.com/ingot-ml/ingot/nodecache/internal/ram"
	"github.com/ingot-ml/ingot/nodecache/internal/tier"
)

// pair is a chunk that comes into the memory of another.
type pair struct {
	*ram.Exchange
	chunk   uint32 // that comes
	undo    undo
	written bool
}

// undo makes the old chunk of a pair again. Its zero value reads it from the Source.
type undo struct {
	delta []byte // of the chunk that came, which it is undone from; nil for none
	enc   []byte // else the old one encoded, whole or as a delta of the one that came
}

// Begin takes the memory of the chunks that go, which nobody finds from then on. The
// swaps are those of Swaps, or fewer. The error is that of ram.Domain.Exchange, and
// then nothing has changed.
func (s *Stage) Begin(swaps []tier.Exchange) error {
	list, err := s.RAM.Exchange(swaps)
	if err != nil {
		return err
	}
	paired := make(map[uint32]bool, len(list))
	s.over = make(map[chunker.Digest]int, len(list))
	for _, x := range list {
		c := s.index[x.Swap().Comes.Digest]
		paired[c] = true
		s.over[x.Swap().Goes.Digest] = len(s.pairs)
		s.pairs = append(s.pairs, pair{Exchange: x, chunk: c})
	}
	for c, ref := range s.Manifest.Chunks {
		if !paired[uint32(c)] && !s.RAM.Has(ref.Digest) {
			s.rest = append(s.rest, uint32(c))
		}
	}
	return nil
}

// Apply brings all chunks to their places. After an error some of them are there, and
// the caller has to put the old ones back, or to let go of all.
func (s *Stage) Apply(ctx context.Context) error {
	waits := make(map[uint32]bool, len(s.rest)+len(s.pairs))
	for _, c := range s.rest {
		waits[c] = true
	}
	for i := range s.pairs {
		waits[s.pairs[i].chunk] = true
	}
	for c := range s.Manifest.Chunks {
		if !waits[uint32(c)] {
			s.arrived(uint32(c))
		}
	}
	// A chunk that comes beside the old ones may be a delta of one that another comes
	// over, so it is made first.
	if err := s.each(ctx, len(s.rest), func(ctx context.Context, i int) error { return s.place(ctx, s.rest[i]) }); err != nil {
		return err
	}
	return s.each(ctx, len(s.pairs), func(ctx context.Context, i int) error { return s.write(ctx, &s.pairs[i]) })
}

func (s *Stage) arrived(c uint32) {
	if s.Arrived != nil {
		s.Arrived(c)
	}
}

// each does something for every number below n, several at a time, until one fails.
func (s *Stage) each(ctx context.Context, n int, do func(ctx context.Context, i int) error) error {
	g, ctx := errgroup.WithContext(ctx)
	var next atomic.Int64
	for range min(n, mostWorkers, runtime.GOMAXPROCS(0)) {
		g.Go(func() error {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				if err := ctx.Err(); err != nil {
					return err
				}
				if err := do(ctx, i); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return g.Wait()
}

// place brings a chunk that has a place of its own.
func (s *Stage) place(ctx context.Context, c uint32) error {
	for {
		claims, err := s.RAM.Claim([][]chunker.Ref{{s.Manifest.Chunks[c]}})
		if err != nil {
			return err
		}
		claim := claims[0]
		if !claim.Mine() {
			if err = claim.Wait(ctx); errors.Is(err, ram.ErrAbandoned) {
				continue
			}
		} else if err = s.fill(ctx, c, claim.Bytes()); err != nil {
			claim.Abandon()
		} else {
			claim.Publish()
		}
		if err == nil {
			s.arrived(c)
		}
		return err
	}
}

// fill makes a chunk where it is to lie.
func (s *Stage) fill(ctx context.Context, c uint32, room []byte) error {
	base := s.buffer()
	defer s.free(base)
	if k := s.kin[c]; k >= 0 {
		base = s.old(ctx, s.Base.Chunks[k], base)
	}
	_, _, err := s.build(ctx, c, base, room[:0:len(room)])
	return err
}

// old returns the bytes of a chunk of the base, nil if they are not in RAM any more.
func (s *Stage) old(ctx context.Context, ref chunker.Ref, room []byte) []byte {
	if i, goes := s.over[ref.Digest]; goes {
		return s.pairs[i].Old()
	}
	old, err := s.RAM.Read(ctx, ref, room)
	if err != nil {
		return nil
	}
	return old
}

// write brings a chunk over the one that it comes over.
func (s *Stage) write(ctx context.Context, p *pair) error {
	room := s.buffer()
	defer s.free(room)
	plain, enc, err := s.build(ctx, p.chunk, p.Old(), room)
	if err == nil {
		err = s.prepare(p, plain, enc)
	}
	if err == nil {
		err = p.Fill(ctx, plain)
	}
	if err != nil {
		return fmt.Errorf("patch chunk %s: %w", p.Swap().Comes.Digest.Short(), err)
	}
	p.written = true
	p.Publish()
	s.mu.Lock()
	s.written += int64(len(plain))
	if p.undo.delta == nil {
		s.held -= int64(len(s.staged[p.chunk])) // it is not needed any more
	}
	delete(s.staged, p.chunk)
	s.mu.Unlock()
	s.arrived(p.chunk)
	return nil
}

// prepare keeps what makes the old chunk again: the delta itself that the new one was
// made of, run backwards, or else a delta the other way round.
func (s *Stage) prepare(p *pair, plain, enc []byte) error {
	if s.Kept {
		return nil
	}
	old, x := p.Old(), p.Swap()
	if base, err := codec.Base(enc); err == nil && base == x.Goes.Digest && x.Goes.Size <= x.Comes.Size {
		p.undo.delta = enc
		return nil
	}
	back, ok := codec.AppendDelta(nil, old, plain, x.Comes.Digest, s.types[p.chunk], len(old))
	if !ok {
		back = codec.Append(nil, old, s.types[p.chunk])
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.hold(len(back)); err != nil {
		return fmt.Errorf("keep what undoes it: %w", err)
	}
	p.undo.enc = back
	return nil
}
