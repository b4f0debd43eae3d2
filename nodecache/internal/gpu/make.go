package gpu

import (
	"context"
	"slices"
	"sync"

	"github.com/ingot-ml/ingot/openapi"
)

// make makes the slabs of an image that are not there, fills them and shows it. To
// make slabs takes the driver a while, so those that are made are filled while the
// others are.
func (d *Device) make(ctx context.Context, im *image, held *Held, o Order, r *openapi.SwapReceipt) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	f := filling{device: d, held: held, order: o, receipt: r, total: d.lacks(im)}
	made := make(chan *slab, len(im.layout.slabs))
	var failed error
	var maker sync.WaitGroup
	maker.Go(func() {
		defer close(made)
		failed = d.allocate(ctx, im, made)
	})
	err := f.fill(ctx, made)
	cancel()
	maker.Wait()
	if err == nil {
		err = failed
	}
	if err != nil {
		for one := range made {
			f.slabs = append(f.slabs, one)
		}
		im.slabs = without(im.slabs, f.slabs)
		d.free(f.slabs...)
		return err
	}
	d.mu.Lock()
	d.publish(im)
	d.mu.Unlock()
	r.Kind = openapi.SwapLoad
	r.SlabsTotal, r.SlabsNew = len(im.slabs), len(f.slabs)
	r.SlabsShared = r.SlabsTotal - r.SlabsNew
	r.BytesTotal = im.layout.bytes
	r.BytesReused = r.BytesTotal - r.BytesUploaded - r.BytesDeviceCopied
	return nil
}

// lacks is how many bytes are to be moved for an image.
func (d *Device) lacks(im *image) (n int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	known := map[slabName]bool{}
	for _, r := range im.layout.slabs {
		name := slabName{im.version.Key.Repo.Namespace, r.name}
		if known[name] || d.slabs[name] != nil {
			continue
		}
		known[name] = true
		for _, e := range r.extents {
			n += e.length
		}
	}
	return n
}

// filling is new slabs that are filled as they come.
type filling struct {
	device  *Device
	held    *Held
	order   Order
	receipt *openapi.SwapReceipt
	slabs   []*slab
	total   int64 // bytes to move
	moved   int64
}

// fill fills slabs until there are no more, all that there are at a time.
func (f *filling) fill(ctx context.Context, made <-chan *slab) error {
	for one := range made {
		some := []*slab{one}
		for range len(made) {
			some = append(some, <-made)
		}
		f.slabs = append(f.slabs, some...)
		if err := f.some(ctx, some); err != nil {
			return err
		}
	}
	return nil
}

func (f *filling) some(ctx context.Context, slabs []*slab) (err error) {
	d := f.device
	s := script{sources: map[*slab]bool{}}
	d.mu.Lock()
	for _, one := range slabs {
		if err = d.fill(&s, one, f.held, nil); err != nil {
			break
		}
	}
	kept := d.keep(s.sources)
	d.mu.Unlock()
	defer d.unkeep(kept)
	if err != nil {
		return err
	}
	err = d.run(ctx, &s, func(done, _ int64) {
		if f.order.Waiting != nil {
			f.order.Waiting(f.moved+done, f.total)
		}
	}, f.receipt)
	f.moved += s.uploaded + s.within
	return err
}

// without returns the slabs that are not of the others.
func without(slabs, others []*slab) []*slab {
	return slices.DeleteFunc(slabs, func(s *slab) bool { return slices.Contains(others, s) })
}
