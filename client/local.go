package client

import (
	"context"
	"io"
	"path"
	"slices"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/format"
)

// resume takes over what an interrupted pull has left: the chunks that are in
// their new places already.
func (p *pull) resume(ctx context.Context) error {
	return p.spots(ctx, func(emit func(spot) error) error {
		for i, t := range p.targets {
			if t.kept.Load() || !p.folder.Resume(p.m.Files[i].Path) {
				continue
			}
			if err := t.create(); err != nil {
				return err
			}
			if err := p.extents(i, true, func(uint32) bool { return true }, emit); err != nil {
				return err
			}
		}
		return nil
	}, p.match)
}

// reuse takes chunks from the files of the folder.
func (p *pull) reuse(ctx context.Context) error {
	if err := p.ask(ctx); err != nil {
		return err
	}
	return p.spots(ctx, func(emit func(spot) error) error {
		for i, t := range p.targets {
			if t.kept.Load() {
				// Its chunks are known, and most are nobody else's.
				err := p.extents(i, false, p.wants, emit)
				if err != nil {
					return err
				}
			} else if t.size > 0 {
				if err := p.cutOld(ctx, p.m.Files[i].Path, emit); err != nil {
					return err
				}
			}
		}
		return p.siblings(ctx, emit)
	}, p.match)
}

// ask asks the models in the folders of the version what they keep in other files,
// while chunks are wanted. One that cannot be read says nothing.
func (p *pull) ask(ctx context.Context) error {
	for _, dir := range p.dirs() {
		found, err := p.folder.Beside(dir, isONNX)
		if err != nil {
			return err
		}
		for _, model := range found {
			if p.open.Load() == 0 || ctx.Err() != nil {
				return ctx.Err()
			}
			_ = p.opened(model, func(f *format.File, _ io.ReaderAt) error {
				p.external.add(model, f)
				return nil
			})
		}
	}
	return nil
}

// dirs returns the folders that files of the version lie in.
func (p *pull) dirs() []string {
	var dirs []string
	for i := range p.m.Files {
		dirs = append(dirs, path.Dir(p.m.Files[i].Path))
	}
	slices.Sort(dirs)
	return slices.Compact(dirs)
}

// siblings emits the chunks of model files that lie beside those of the version,
// under other names: shards of another number, or the same under another name.
func (p *pull) siblings(ctx context.Context, emit func(spot) error) error {
	for _, dir := range p.dirs() {
		found, err := p.folder.Beside(dir, format.HoldsWeights)
		if err != nil {
			return err
		}
		for _, sibling := range found {
			if p.m.File(sibling) != nil {
				continue
			}
			if err := p.cutOld(ctx, sibling, emit); err != nil {
				return err
			}
		}
	}
	return nil
}

// cutOld emits the chunks of any file of the folder, while chunks are wanted. A
// file that cannot be read or cut is no source.
func (p *pull) cutOld(ctx context.Context, path string, emit func(spot) error) error {
	if p.open.Load() == 0 {
		return nil
	}
	return p.opened(path, func(f *format.File, r io.ReaderAt) error {
		if along, err := p.external.along(path, f); err == nil {
			f = along
		}
		for cut, err := range f.Cuts(r) {
			if err != nil || p.open.Load() == 0 {
				return ctx.Err()
			}
			if err := emit(spot{path: path, offset: cut.Offset, size: cut.Length, want: unknown}); err != nil {
				return err
			}
		}
		return nil
	})
}

// opened calls use with the file at path of the folder, and its structure, if it
// can be read.
func (p *pull) opened(path string, use func(f *format.File, r io.ReaderAt) error) error {
	file, err := p.folder.Open(path)
	if err != nil {
		return nil
	}
	defer func() { _ = file.Close() }() // it is only read
	info, err := file.Stat()
	if err != nil {
		return nil
	}
	f, err := format.Open("", file, info.Size())
	if err != nil {
		return nil
	}
	return use(f, file)
}

// match settles the chunk that a run of bytes is, if it is wanted, and notes where it lies.
func (p *pull) match(s spot, d chunker.Digest, plain []byte) error {
	p.older.note(s, d)
	c, known := p.index[d]
	if !known || int(p.m.Chunks[c].Size) != len(plain) {
		return nil
	}
	found := nowhere
	if s.making && c == s.want {
		found = place{uint32(s.target), s.offset} // it need not be written there
	}
	return p.settle(c, plain, true, found)
}

// wants reports whether chunk c has places and nobody has found it.
func (p *pull) wants(c uint32) bool { return len(p.places.of(c)) > 0 && !p.claimed[c].Load() }
