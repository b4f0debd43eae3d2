package synth

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sync/errgroup"
)

// Run is a model in training. It is held in memory, so that each of many checkpoints
// costs one stretch and not all before it.
type Run struct {
	model *model
	parts [][]trained // of each file
}

type trained struct {
	tensor
	data []byte
}

// NewRun makes the model that s and the changes describe. An impossible one is
// ErrSpec.
func NewRun(ctx context.Context, s Spec, changes ...Change) (*Run, error) {
	m, err := newModel(s, changes)
	if err != nil {
		return nil, err
	}
	r := &Run{model: m}
	for _, list := range m.shards() {
		parts := make([]trained, len(list))
		for i, t := range list {
			parts[i].tensor = t
		}
		r.parts = append(r.parts, parts)
	}
	return r, r.each(ctx, func(p *trained) {
		g := m.generator(p.tensor)
		p.data = make([]byte, 0, m.bytes(p.tensor))
		for y := range p.rows {
			p.data = g.appendRow(p.data, y)
		}
	})
}

// Train goes on by a stretch: what Write makes then are the files of a model with
// that change after all before it. An error leaves the run half-way.
func (r *Run) Train(ctx context.Context, seed uint64, share float64) error {
	return r.move(ctx, Train(seed, share))
}

// Scatter goes on by a change of that name.
func (r *Run) Scatter(ctx context.Context, seed uint64, share float64) error {
	return r.move(ctx, Scatter(seed, share))
}

func (r *Run) move(ctx context.Context, change Change) error {
	change(r.model)
	s := r.model.stretches[len(r.model.stretches)-1]
	return r.each(ctx, func(p *trained) {
		t, row := newTrainer(s, p.tensor, r.model.DType), p.cols*r.model.DType.Width()
		for y := range p.rows {
			t.move(p.data[y*row:(y+1)*row], y)
		}
	})
}

// each calls do for all tensors, on all processors that Go may use.
func (r *Run) each(ctx context.Context, do func(*trained)) error {
	group, working := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for _, parts := range r.parts {
		for i := range parts {
			group.Go(func() error {
				if working.Err() == nil {
					do(&parts[i])
				}
				return working.Err()
			})
		}
	}
	return group.Wait()
}

// Write writes the model as it is now, as Write does.
func (r *Run) Write(ctx context.Context, dir string) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return fmt.Errorf("write model: %w", err)
	}
	for i, parts := range r.parts {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := r.writeShard(filepath.Join(dir, shardName(i, len(r.parts))), parts); err != nil {
			return fmt.Errorf("write model: %w", err)
		}
	}
	if err := r.model.writeDocuments(dir); err != nil {
		return fmt.Errorf("write model: %w", err)
	}
	return nil
}

func (r *Run) writeShard(path string, parts []trained) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() {
		if cerr := f.Close(); err == nil {
			err = cerr
		}
	}()
	list := make([]tensor, len(parts))
	for i, p := range parts {
		list[i] = p.tensor
	}
	if _, err := f.Write(r.model.header(list)); err != nil {
		return err
	}
	for _, p := range parts {
		if _, err := f.Write(p.data); err != nil {
			return err
		}
	}
	return nil
}
