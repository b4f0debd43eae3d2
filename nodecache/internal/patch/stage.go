package patch

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/codec"
	"github.com/ingot-ml/ingot/nodecache/internal/ram"
	"github.com/ingot-ml/ingot/nodecache/internal/tier"
	"github.com/ingot-ml/ingot/registry/manifest"
)

// ErrWrong reports bytes that are not those of the chunk that they should be.
var ErrWrong = errors.New("its bytes are those of another chunk")

const (
	// mostWorkers bounds how many chunks are written at a time.
	mostWorkers = 8
	// reserved is what buffers may take of the memory: two for each who works.
	reserved = mostWorkers * 2 * chunker.MaxSize
)

// Order says what comes over what.
type Order struct {
	Manifest *manifest.Manifest // of the version that comes
	Base     *manifest.Manifest // of the one that it comes over, which is in RAM and stays until Begin
	RAM      *ram.Domain
	// Disk keeps the chunks that come too; nil keeps none.
	Disk tier.Store
	// Source has chunks of either version, perhaps; nil has none. Kept says that it has
	// all of Base until the end.
	Source tier.Store
	Kept   bool
	// Memory is the most bytes of staged chunks, of what undoes them, and of buffers.
	Memory int64
	// Whole gets a chunk of the version that comes from elsewhere, when nothing else
	// gives it; nil for nowhere.
	Whole func(ctx context.Context, chunk uint32, room []byte) ([]byte, error)
	// Arrived hears of each chunk when it is in RAM, and Wrong of each that its base
	// did not make. Both may be nil, and are called by several goroutines.
	Arrived func(chunk uint32)
	Wrong   func()
}

// Stage is a version on its way into the memory of another. It implements tier.Store
// for the chunks that come.
type Stage struct {
	Order
	kin   []int32
	types []chunker.DType
	index map[chunker.Digest]uint32 // of the chunks that come
	stays map[chunker.Digest]bool   // chunks of Base that are of both versions
	spare sync.Pool                 // of buffers

	mu      sync.Mutex // protects what follows
	staged  map[uint32][]byte
	held    int64 // bytes of staged chunks and of what undoes them
	buffers int64 // bytes
	peak    int64 // of both together
	unkept  error // why the Disk does not have all that was put
	written int64

	// What follows is from Begin on.
	rest  []uint32 // chunks that come beside the old ones
	pairs []pair
	over  map[chunker.Digest]int // pairs by the chunk that goes
	back  []backward
}

// New returns a Stage of nothing.
func New(o Order) *Stage {
	s := &Stage{
		Order: o, kin: manifest.NewKin(o.Base).Of(o.Manifest), types: o.Manifest.Types(),
		index: make(map[chunker.Digest]uint32, len(o.Manifest.Chunks)), stays: map[chunker.Digest]bool{},
		staged: map[uint32][]byte{},
	}
	for c, ref := range o.Manifest.Chunks {
		s.index[ref.Digest] = uint32(c)
	}
	for _, ref := range o.Base.Chunks {
		if _, both := s.index[ref.Digest]; both {
			s.stays[ref.Digest] = true
		}
	}
	return s
}

// Swaps lists which chunk may come into the memory of which, as things are in RAM now.
func (s *Stage) Swaps() (list []tier.Exchange) {
	taken := map[int32]bool{}
	for c, comes := range s.Manifest.Chunks {
		k := s.kin[c]
		if k < 0 || taken[k] || s.RAM.Has(comes.Digest) {
			continue
		}
		goes := s.Base.Chunks[k]
		if s.stays[goes.Digest] || s.RAM.Cost(goes.Size) != s.RAM.Cost(comes.Size) || !s.RAM.Has(goes.Digest) {
			continue
		}
		taken[k] = true
		list = append(list, tier.Exchange{Comes: comes, Goes: goes})
	}
	return list
}

// Has implements tier.Store: whether the chunk need not be brought.
func (s *Stage) Has(d chunker.Digest) bool {
	c, ok := s.index[d]
	if !ok {
		return false
	}
	if s.stays[d] || s.Source != nil && s.Source.Has(d) {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.staged[c] != nil
}

// Put implements tier.Store.
func (s *Stage) Put(ctx context.Context, ref chunker.Ref, plain, enc []byte) error {
	c, ok := s.index[ref.Digest]
	if !ok {
		return fmt.Errorf("stage %s: it is not of the version that comes", ref.Digest.Short())
	}
	if s.keep(ctx, ref, plain, enc) {
		return nil
	}
	if delta, ok := s.delta(ctx, c, plain, len(enc)); ok {
		return s.add(c, delta)
	}
	if enc == nil {
		enc = codec.Append(nil, plain, s.types[c])
	}
	return s.add(c, append([]byte(nil), enc...))
}

// PutDelta is Put for a chunk that came as a delta of a chunk that the node has.
func (s *Stage) PutDelta(ctx context.Context, ref chunker.Ref, plain, delta []byte) error {
	c, ok := s.index[ref.Digest]
	base, err := codec.Base(delta)
	if !ok || err != nil || s.kin[c] < 0 || s.Base.Chunks[s.kin[c]].Digest != base {
		return s.Put(ctx, ref, plain, nil)
	}
	kept := s.keep(ctx, ref, plain, nil)
	if err := s.add(c, append([]byte(nil), delta...)); err != nil && !kept {
		return err
	}
	return nil
}

// keep puts a chunk on the disk too, if it is to be there.
func (s *Stage) keep(ctx context.Context, ref chunker.Ref, plain, enc []byte) bool {
	s.mu.Lock()
	failed := s.unkept != nil
	s.mu.Unlock()
	if s.Disk == nil || failed {
		return false
	}
	err := s.Disk.Put(ctx, ref, plain, enc)
	if err != nil {
		s.mu.Lock()
		s.unkept = err
		s.mu.Unlock()
	}
	return err == nil
}

// delta encodes a chunk as a delta of the one that it comes over, if that is shorter
// than so many bytes; 0 is any number.
func (s *Stage) delta(ctx context.Context, c uint32, plain []byte, most int) ([]byte, bool) {
	if s.kin[c] < 0 {
		return nil, false
	}
	if most == 0 {
		most = len(plain)
	}
	base := s.Base.Chunks[s.kin[c]]
	room := s.buffer()
	defer s.free(room)
	old, err := s.RAM.Read(ctx, base, room)
	if err != nil {
		return nil, false
	}
	return codec.AppendDelta(nil, plain, old, base.Digest, s.types[c], most)
}

// add stages encoded bytes, which are the Stage's from then on.
func (s *Stage) add(c uint32, enc []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.staged[c] != nil {
		return nil
	}
	if err := s.hold(len(enc)); err != nil {
		return fmt.Errorf("stage %s: %w", s.Manifest.Chunks[c].Digest.Short(), err)
	}
	s.staged[c] = enc
	return nil
}

// hold counts memory that is kept, if there may be so much. s.mu is held.
func (s *Stage) hold(n int) error {
	if most := s.Memory - reserved; s.held+int64(n) > most {
		return fmt.Errorf("the patch takes more than %d bytes of memory: %w", most, tier.ErrFull)
	}
	s.held += int64(n)
	s.peak = max(s.peak, s.held+s.buffers)
	return nil
}

// buffer returns memory of no bytes for a chunk, until free.
func (s *Stage) buffer() []byte {
	s.mu.Lock()
	s.buffers += chunker.MaxSize
	s.peak = max(s.peak, s.held+s.buffers)
	s.mu.Unlock()
	if b, ok := s.spare.Get().(*[]byte); ok {
		return (*b)[:0]
	}
	return make([]byte, 0, chunker.MaxSize)
}

func (s *Stage) free(b []byte) {
	s.mu.Lock()
	s.buffers -= chunker.MaxSize
	s.mu.Unlock()
	s.spare.Put(&b)
}

// Unkept is why the Disk does not have all that came; nil when it has.
func (s *Stage) Unkept() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.unkept
}

// Peak is the most bytes that were taken beside the two versions.
func (s *Stage) Peak() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.peak
}

// Written is the plain bytes that were written over others.
func (s *Stage) Written() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.written
}

// Read implements tier.Store: nobody reads what is staged.
func (s *Stage) Read(_ context.Context, ref chunker.Ref, _ []byte) ([]byte, error) {
	return nil, fmt.Errorf("read %s while it is staged: %w", ref.Digest.Short(), tier.ErrAbsent)
}

// Drop implements tier.Store: what is staged stays until it is written.
func (s *Stage) Drop(chunker.Digest) {}

// Cost implements tier.Store.
func (s *Stage) Cost(size uint32) int64 { return int64(codec.MaxEncoded(int(size))) }

// Used implements tier.Store.
func (s *Stage) Used() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held
}

var _ tier.Store = (*Stage)(nil)
