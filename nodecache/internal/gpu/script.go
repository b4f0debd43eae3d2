package gpu

import (
	"context"
	"errors"
	"fmt"

	"github.com/ingot-ml/ingot/nodecache/internal/ledger"
	"github.com/ingot-ml/ingot/nodecache/internal/mover"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/openapi/trace"
)

// script is copies that are to be done together, as few and as large as can be.
type script struct {
	copies   []mover.Copy
	uploaded int64
	within   int64 // from slab to slab
	zeroed   int64
	sources  map[*slab]bool
}

// add appends a copy, to the one before if both go on from there.
func (s *script) add(c mover.Copy) {
	switch c.From {
	case mover.FromMemory:
		s.uploaded += c.Length
	case mover.FromSlab:
		s.within += c.Length
	case mover.FromZero:
		s.zeroed += c.Length
	}
	if n := len(s.copies) - 1; n >= 0 {
		last := &s.copies[n]
		if last.Slab == c.Slab && last.Offset+last.Length == c.Offset && last.From == c.From && last.Source == c.Source &&
			(c.From == mover.FromZero || last.At+last.Length == c.At) {
			last.Length += c.Length
			return
		}
	}
	s.copies = append(s.copies, c)
}

// fill makes a slab what its recipe says, from what is on the GPU or else from RAM.
// d.mu is held.
func (d *Device) fill(to *script, s *slab, held *Held, busy map[*slab]bool) error {
	for at, length := range s.recipe.gaps {
		to.add(mover.Copy{Slab: s.id, Offset: at, Length: length, From: mover.FromZero})
	}
	for _, e := range s.recipe.extents {
		if err := d.write(to, s, e, held, busy); err != nil {
			return err
		}
	}
	return nil
}

// write brings one extent into a slab. What is in the busy slabs is about to change.
func (d *Device) write(to *script, s *slab, e extent, held *Held, busy map[*slab]bool) error {
	for _, r := range d.extents[extentName{s.name.domain, e.chunk, e.at, e.length}] {
		if r.slab != s && !busy[r.slab] {
			to.sources[r.slab] = true
			to.add(mover.Copy{Slab: s.id, Offset: e.offset, Length: e.length, From: mover.FromSlab, Source: r.slab.id, At: r.offset})
			return nil
		}
	}
	return upload(to, s, e, held)
}

// upload brings one extent into a slab from RAM.
func upload(to *script, s *slab, e extent, held *Held) error {
	segment, offset, length, ok := held.Place(e.chunk)
	if !ok || e.at+e.length > length {
		return fmt.Errorf("chunk %s is not in RAM", e.chunk.Short())
	}
	to.add(mover.Copy{Slab: s.id, Offset: e.offset, Length: e.length, From: mover.FromMemory, Source: segment, At: offset + e.at})
	return nil
}

// keep leases the images that the sources are in, so that nobody unloads them while
// they are read. d.mu is held. The caller ends that with unkeep.
func (d *Device) keep(sources map[*slab]bool) (kept []ledger.Key) {
	for s := range sources {
		for im := range s.images {
			if d.ledger.Lease(im.version.Key, d.config.Now()) == nil {
				kept = append(kept, im.version.Key)
			}
			break
		}
	}
	return kept
}

func (d *Device) unkeep(kept []ledger.Key) {
	for _, k := range kept {
		d.ledger.Unlease(k, d.config.Now())
	}
	if len(kept) > 0 {
		d.bell.Ring()
	}
}

// mostTries is how often copies are tried when the mover dies under them.
const mostTries = 3

// run does what a script says. Doing it again is no harm, so a mover that died is
// no reason to give up.
func (d *Device) run(ctx context.Context, s *script, waiting func(done, total int64), r *openapi.SwapReceipt) (err error) {
	total := s.uploaded + s.within
	ctx, span := trace.Start(ctx, "gpu copy")
	span.Text("ingot.gpu", d.config.UUID)
	span.Number("ingot.bytes.uploaded", s.uploaded)
	span.Number("ingot.bytes.within", s.within)
	defer func() { span.End(err) }()
	for try := 1; ; try++ {
		moved, err := d.config.Bus.Copy(ctx, s.copies, func(done int64) {
			if waiting != nil {
				waiting(min(done, total), total)
			}
		})
		if err == nil {
			r.BytesUploaded += s.uploaded
			r.BytesDeviceCopied += s.within
			r.Copies += moved.Copies
			return nil
		}
		if try == mostTries || !errors.Is(err, mover.ErrGone) || ctx.Err() != nil {
			return err
		}
	}
}
