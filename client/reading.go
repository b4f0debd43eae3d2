package client

import (
	"context"
	"errors"
	"fmt"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/registry/manifest"
)

// cut cuts one file.
func (p *pass) cut(ctx context.Context, f *pushed, out chan<- *piece) (err error) {
	reader, err := f.Open()
	if err != nil {
		return err
	}
	defer func() {
		if rerr := reader.Release(); err == nil {
			err = rerr
		}
	}()
	if f.format, err = p.external.structure(f.File, reader, p.options.AllowMalformed); err != nil {
		return asInput(err)
	}
	for c, err := range f.format.Cuts(reader) {
		if err != nil {
			return asInput(err)
		}
		if err := emit(ctx, out, &piece{file: f, reader: reader, index: f.add(c), cut: c}); err != nil {
			return err
		}
	}
	return nil
}

// asInput adds ErrInput to an error that does not have it yet.
func asInput(err error) error {
	if errors.Is(err, ErrInput) {
		return err
	}
	return fmt.Errorf("%w: %w", err, ErrInput)
}

// add makes room for what becomes of one more cut, and returns its index.
func (f *pushed) add(c chunker.Cut) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cuts = append(f.cuts, c)
	f.refs = append(f.refs, chunker.Ref{Size: uint32(c.Length)})
	return len(f.refs) - 1
}

// pick sends on the wanted chunks of file i that no file before it has, and
// takes them off the list.
func (p *pass) pick(ctx context.Context, m *manifest.Manifest, i int, wanted map[uint32]bool, out chan<- *piece) (err error) {
	f := p.files[i]
	reader, err := f.Open()
	if err != nil {
		return err
	}
	defer func() {
		if rerr := reader.Release(); err == nil {
			err = rerr
		}
	}()
	for k, c := range m.Files[i].Chunks {
		if !wanted[c] {
			continue
		}
		delete(wanted, c)
		next := &piece{file: f, reader: reader, index: k, cut: f.cuts[k], digest: m.Chunks[c].Digest}
		if err := emit(ctx, out, next); err != nil {
			return err
		}
	}
	return nil
}

// emit sends a piece that holds its file.
func emit(ctx context.Context, out chan<- *piece, next *piece) error {
	next.reader.Hold()
	if err := send(ctx, out, next); err != nil {
		_ = next.reader.Release() // the caller holds it too, and hears of its errors
		return err
	}
	return nil
}

// hash reads pieces and names them. With first, only the first of a name goes on.
func (p *pass) hash(ctx context.Context, first bool, in <-chan *piece, out chan<- *piece) error {
	for next := range in {
		if err := p.read(ctx, next); err != nil {
			return err
		}
		if first && !p.meets(next.digest) {
			p.drop(next)
			continue
		}
		if err := send(ctx, out, next); err != nil {
			return err
		}
	}
	return nil
}

// read fills a piece and lets go of its file.
func (p *pass) read(ctx context.Context, next *piece) (err error) {
	defer func() {
		if rerr := next.reader.Release(); err == nil {
			err = rerr
		}
	}()
	buf, err := p.plain.get(ctx)
	if err != nil {
		return err
	}
	next.plain = buf[:next.cut.Length]
	if _, err := next.reader.ReadAt(next.plain, next.cut.Offset); err != nil {
		return err
	}
	digest := chunker.Sum(next.plain)
	if !next.digest.IsZero() && next.digest != digest {
		return next.file.Changed()
	}
	next.digest = digest
	next.file.mu.Lock()
	next.file.refs[next.index].Digest = digest
	next.file.mu.Unlock()
	return nil
}

// meets reports whether the pass meets d for the first time.
func (p *pass) meets(d chunker.Digest) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, met := p.seen[d]
	p.seen[d] = struct{}{}
	return !met
}

// drop is the end of a piece that need not be sent.
func (p *pass) drop(done *piece) {
	p.progress.Add(int64(done.cut.Length))
	p.plain.put(done.plain)
}
