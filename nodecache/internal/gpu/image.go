package gpu

import (
	"os"
	"slices"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/cuda"
	"github.com/ingot-ml/ingot/nodecache/internal/ledger"
	"github.com/ingot-ml/ingot/openapi"
)

// slabName names what is in a slab. Namespaces share none.
type slabName struct {
	domain string
	recipe chunker.Digest
}

// slab is memory of the GPU.
type slab struct {
	id     uint64
	size   int64
	handle cuda.Handle
	name   slabName
	recipe *recipe
	images map[*image]bool // that have it; empty for one that is being filled
}

// extentName names bytes that may be on the GPU somewhere.
type extentName struct {
	domain string
	chunk  chunker.Digest
	at     int64
	length int64
}

// resident is where such bytes are.
type resident struct {
	slab   *slab
	offset int64
}

// image is a version on the GPU.
type image struct {
	version Version
	layout  *layout
	slabs   []*slab // by place; one may come twice
	pinned  bool
	// vacating says that those who use the image are asked to pause, and that whoever
	// wants it stands in line.
	vacating bool
	swapping bool                // likewise, for another version
	leases   map[*Lease]struct{} // that have it
	shown    *openapi.LeaseImage // what they get of it, but for the reference
}

// entry is what the account has of a version.
func entryOf(k ledger.Key, l *layout) ledger.Entry {
	e := ledger.Entry{Key: k, Domain: k.Repo.Namespace}
	known := map[chunker.Digest]bool{}
	for _, r := range l.slabs {
		if !known[r.name] {
			known[r.name] = true
			e.Chunks = append(e.Chunks, chunker.Ref{Digest: r.name, Size: uint32(r.size)})
		}
	}
	return e
}

// reserve makes an image one that has the slabs of its layout which are there
// already, so that they stay. The account has it.
func (d *Device) reserve(im *image) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, r := range im.layout.slabs {
		if s := d.slabs[slabName{im.version.Key.Repo.Namespace, r.name}]; s != nil {
			s.images[im] = true
			im.slabs = append(im.slabs, s)
		}
	}
}

// publish makes an image one that is there. d.mu is held, and the account has it.
func (d *Device) publish(im *image) {
	im.leases = map[*Lease]struct{}{}
	for _, s := range im.slabs {
		s.images[im] = true
		if d.slabs[s.name] != s {
			d.slabs[s.name] = s
			d.index(s)
		}
	}
	im.shown = im.show(d.config.UUID)
	d.images[im.version.Key] = im
}

// index makes the bytes of a slab known. d.mu is held.
func (d *Device) index(s *slab) {
	for _, e := range s.recipe.extents {
		d.know(s, e)
	}
}

func (d *Device) know(s *slab, e extent) {
	n := extentName{s.name.domain, e.chunk, e.at, e.length}
	d.extents[n] = append(d.extents[n], resident{s, e.offset})
}

func (d *Device) unknow(s *slab, e extent) {
	n := extentName{s.name.domain, e.chunk, e.at, e.length}
	d.extents[n] = slices.DeleteFunc(d.extents[n], func(r resident) bool { return r == resident{s, e.offset} })
	if len(d.extents[n]) == 0 {
		delete(d.extents, n)
	}
}

// become makes a slab that was written over one of another recipe. d.mu is held.
func (d *Device) become(s *slab, r *recipe) {
	delete(d.slabs, s.name)
	for _, e := range s.recipe.extents {
		if !r.has(e) {
			d.unknow(s, e)
		}
	}
	for _, e := range r.extents {
		if !s.recipe.has(e) {
			d.know(s, e)
		}
	}
	s.recipe, s.name.recipe = r, r.name
	d.slabs[s.name] = s
}

// forget makes what a slab held unknown. d.mu is held.
func (d *Device) forget(s *slab) {
	if d.slabs[s.name] != s {
		return
	}
	delete(d.slabs, s.name)
	for _, e := range s.recipe.extents {
		d.unknow(s, e)
	}
}

// drop takes images off the GPU that are out of the account, and gives back what
// only they had. d.change is held.
func (d *Device) drop(images ...*image) {
	d.mu.Lock()
	var free []*slab
	for _, im := range images {
		if d.images[im.version.Key] == im {
			delete(d.images, im.version.Key)
			d.tell(im.version, openapi.EventDropped, 0, "")
		}
		for _, s := range im.slabs {
			delete(s.images, im)
			if len(s.images) == 0 && d.slabs[s.name] == s {
				d.forget(s)
				free = append(free, s)
			}
		}
	}
	d.mu.Unlock()
	d.free(free...)
}

// evict drops what has left the account. d.change is held.
func (d *Device) evict(out ledger.Eviction) {
	var gone []*image
	d.mu.Lock()
	for _, k := range out.Keys {
		if im := d.images[k]; im != nil {
			gone = append(gone, im)
		}
	}
	d.mu.Unlock()
	d.drop(gone...)
}

// free gives the memory of slabs back. What goes wrong with that goes wrong for the
// driver alone: nobody knows the slab any more.
func (d *Device) free(slabs ...*slab) {
	for _, s := range slabs {
		d.config.Bus.DropSlab(s.id)
		if err := d.config.Memory.Release(s.handle); err != nil {
			d.config.Logger.Warn("memory of a GPU could not be released", "gpu", d.config.UUID, "bytes", s.size, "err", err)
		}
	}
}

// export returns a descriptor of the slab.
func (d *Device) export(s *slab) (*os.File, error) { return d.config.Memory.Export(s.handle) }

// show says where everything is.
func (im *image) show(device string) *openapi.LeaseImage {
	out := &openapi.LeaseImage{
		Version: im.version.Key.Digest, Device: device, Size: im.layout.size,
		Slabs: []openapi.LeaseSlab{}, Tensors: make([]openapi.ImageTensor, 0, len(im.layout.spots)),
	}
	for _, s := range im.slabs {
		out.Slabs = append(out.Slabs, openapi.LeaseSlab{ID: s.id, Size: s.size})
	}
	for _, at := range im.layout.spots {
		shape := at.tensor.Shape
		if shape == nil {
			shape = []uint64{}
		}
		out.Tensors = append(out.Tensors, openapi.ImageTensor{
			File: at.file, Name: at.tensor.Name, DType: at.tensor.DType, Shape: shape,
			Offset: at.offset, Bytes: int64(at.tensor.Length),
		})
	}
	return out
}
