//go:build linux

package ram_test

import (
	"cmp"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/nodecache/internal/ram"
)

const page = 4 * kib

// device is a Pinner that is strict: no page that it has pinned may be given back,
// and no segment of one.
type device struct {
	t    testing.TB
	tier *ram.Tier

	mu     sync.Mutex // taken before that of the tier, never after
	pinned map[ram.Piece]bool
	files  map[uint64]*os.File // of the segments that it knows
	gone   map[uint64]bool
	unpins int
}

func newDevice(t testing.TB, tier *ram.Tier) *device {
	d := &device{t: t, tier: tier, pinned: map[ram.Piece]bool{}, files: map[uint64]*os.File{}, gone: map[uint64]bool{}}
	tier.SetPinner(d)
	return d
}

// pinSome pins all that can be pinned, or about every nth of it.
func (d *device) pinSome(n int) {
	for i, p := range d.tier.Full() {
		if n < 2 || i%n == 0 {
			d.pin(p)
		}
	}
}

// pin reports whether the piece is there still.
func (d *device) pin(p ram.Piece) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.tier.Pin(p) {
		return false
	}
	if d.pinned[p] || d.gone[p.Segment] {
		d.t.Errorf("%+v is pinned twice, or gone", p)
	}
	d.pinned[p] = true
	if d.files[p.Segment] == nil {
		_, f, err := d.tier.SegmentFile(p.Segment)
		if err != nil {
			d.t.Errorf("segment of what is pinned: %v", err)
			return true
		}
		d.files[p.Segment] = f
	}
	d.whole(p)
	return true
}

// Unpin implements ram.Pinner.
func (d *device) Unpin(p ram.Piece) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.pinned[p] {
		d.t.Errorf("%+v is unpinned, which is not pinned", p)
	}
	d.whole(p)
	if d.tier.Pin(p) {
		d.t.Errorf("%+v can be pinned while it is unpinned", p)
	}
	delete(d.pinned, p)
	d.unpins++
}

// Gone implements ram.Pinner.
func (d *device) Gone(segment uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for p := range d.pinned {
		if p.Segment == segment {
			d.t.Errorf("segment of %+v goes, which is pinned", p)
		}
	}
	if d.gone[segment] {
		d.t.Errorf("segment %d goes twice", segment)
	}
	d.gone[segment] = true
	if _, f, err := d.tier.SegmentFile(segment); err == nil {
		_ = f.Close()
		d.t.Errorf("segment %d goes, and has a descriptor", segment)
	}
	if f := d.files[segment]; f != nil {
		_ = f.Close()
		delete(d.files, segment)
	}
}

// whole checks that the system has given no page of a piece away. d.mu is held.
func (d *device) whole(p ram.Piece) {
	f := d.files[p.Segment]
	if f == nil {
		d.t.Errorf("%+v is pinned in a segment that nobody has", p)
		return
	}
	hole, err := unix.Seek(int(f.Fd()), p.Offset, unix.SEEK_HOLE)
	if err != nil || hole < p.Offset+p.Length {
		d.t.Errorf("%+v is pinned and has a hole at %d (%v)", p, hole, err)
	}
}

// nothing checks that nothing is pinned.
func (d *device) nothing() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.pinned) > 0 || len(d.files) > 0 {
		d.t.Errorf("%d pieces of %d segments are pinned at the end", len(d.pinned), len(d.files))
	}
}

// checkPins compares what can be pinned with what a simple model of the pages
// says, and looks for holes in what is.
func (w *walk) checkPins() {
	const free, taken, published, pinned = 0, 1, 2, 3
	pages := map[uint64]*[modelSegment / page]int{}
	mark := func(segment uint64, offset, length int64, what int) {
		if pages[segment] == nil {
			pages[segment] = &[modelSegment / page]int{}
		}
		for at := offset; at < offset+length; at += page {
			pages[segment][at/page] = what
		}
	}
	for _, chunks := range w.chunks {
		for _, k := range chunks {
			segment, offset, length := k.claim.Place()
			mark(segment, offset, length, taken)
			if k.published {
				mark(segment, offset, length, published)
			}
		}
	}
	for _, p := range w.panes {
		segment, offset, length := p.Place()
		mark(segment, offset, length, taken)
	}
	w.device.mu.Lock()
	for p := range w.device.pinned {
		w.device.whole(p)
		for at := p.Offset; at < p.Offset+p.Length; at += page {
			if of := pages[p.Segment]; of == nil || of[at/page] != published {
				w.Fatalf("%+v is pinned, and has no published chunk at %d", p, at)
			}
		}
		mark(p.Segment, p.Offset, p.Length, pinned)
	}
	w.device.mu.Unlock()
	var want []ram.Piece
	for segment, of := range pages {
		for from := 0; from < len(of); from++ {
			through, ok := from, true
			for ; through < len(of) && (of[through] == taken || of[through] == published); through++ {
				ok = ok && of[through] == published
			}
			if p := (ram.Piece{Segment: segment, Offset: int64(from) * page, Length: int64(through-from) * page}); ok && p.Length >= 256*kib {
				want = append(want, p)
			}
			from = through
		}
	}
	slices.SortFunc(want, func(a, b ram.Piece) int {
		return cmp.Or(cmp.Compare(a.Segment, b.Segment), cmp.Compare(a.Offset, b.Offset))
	})
	if got := w.tier.Full(); !slices.Equal(got, want) {
		w.Fatalf("can be pinned: %v, want %v", got, want)
	}
}

// TestPieces are cut where PieceSize says, and wait for what is filled beside them.
func TestPieces(t *testing.T) {
	r := open(t, ram.Config{Budget: 256 * mib, Segment: 70 * mib})
	device := newDevice(t, r)
	sizes := slices.Repeat([]uint32{2 * mib}, 34) // 68 MiB
	claims := claim(t, r.Domain("acme"), group(1, sizes...))
	for _, c := range claims[1:33] {
		publish(c, 1)
	}
	if got := r.Full(); len(got) != 0 {
		t.Errorf("beside chunks that are being filled: %v", got)
	}
	publish(claims[0], 1)
	first := ram.Piece{Segment: 1, Length: 64 * mib}
	second := ram.Piece{Segment: 1, Offset: 64 * mib, Length: 4 * mib}
	if got := r.Full(); !slices.Equal(got, []ram.Piece{first}) {
		t.Errorf("can be pinned: %v, want %v", got, first)
	}
	<-r.Filled()
	publish(claims[33], 1)
	<-r.Filled()
	if got := r.Full(); !slices.Equal(got, []ram.Piece{first, second}) {
		t.Errorf("can be pinned: %v, want %v and %v", got, first, second)
	}
	for _, c := range []struct {
		p    ram.Piece
		want bool
	}{
		{ram.Piece{Segment: 1, Offset: 68 * mib, Length: page}, false}, // free
		{ram.Piece{Segment: 1, Offset: 66 * mib, Length: 4 * mib}, false},
		{ram.Piece{Segment: 1, Offset: 64 * mib, Length: 8 * mib}, false}, // reaches beyond
		{ram.Piece{Segment: 1, Offset: 64*mib + 1, Length: page}, false},
		{ram.Piece{Segment: 1, Offset: 64 * mib, Length: page - 1}, false},
		{ram.Piece{Segment: 1, Offset: 64 * mib}, false},
		{ram.Piece{Segment: 1, Offset: -page, Length: page}, false},
		{ram.Piece{Segment: 1, Offset: 1<<63 - page, Length: 1<<63 - page}, false},
		{ram.Piece{Segment: 1, Offset: 64 * mib, Length: 1<<63 - page}, false},
		{ram.Piece{Segment: 2, Length: page}, false},
		{first, true},
		{first, false}, // pinned
		{ram.Piece{Segment: 1, Offset: 64 * mib, Length: 2 * mib}, true}, // part of what can be
		{ram.Piece{Segment: 1, Offset: 66 * mib, Length: 2 * mib}, true},
	} {
		if got := device.pin(c.p); got != c.want {
			t.Errorf("pin %+v: %v, want %v", c.p, got, c.want)
		}
	}
	r.Domain("acme").Drop(ref(33, 0).Digest)
	if got := r.Full(); len(got) != 0 || device.unpins != 1 {
		t.Errorf("after a drop: %v can be pinned, %d unpinned", got, device.unpins)
	}
	r.Domain("acme").Drop(ref(1, 0).Digest)
	rest := ram.Piece{Segment: 1, Offset: 2 * mib, Length: 62 * mib}
	if got := r.Full(); !slices.Equal(got, []ram.Piece{rest}) || device.unpins != 2 {
		t.Errorf("after another: %v can be pinned, want %v; %d unpinned", got, rest, device.unpins)
	}
}

// TestPinnedAtClose unpins all, and then the segments go.
func TestPinnedAtClose(t *testing.T) {
	r, err := ram.Open(ram.Config{Budget: 32 * mib, Segment: 4 * mib})
	if err != nil {
		t.Fatal(err)
	}
	device := newDevice(t, r)
	for id := range uint64(6) {
		publish(claim(t, r.Domain("acme"), group(id, 2*mib))[0], 1)
	}
	device.pinSome(0)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	device.nothing()
	if device.unpins != 3 || len(device.gone) != 3 {
		t.Errorf("%d pieces unpinned, %d segments gone, want 3 and 3", device.unpins, len(device.gone))
	}
}

// TestSegmentFile is of any domain, and stays its caller's.
func TestSegmentFile(t *testing.T) {
	r := open(t, ram.Config{Budget: 32 * mib, Segment: 4 * mib})
	d := r.Domain("acme")
	publish(claim(t, d, group(1, page))[0], 7)
	size, f, err := r.SegmentFile(1)
	if err != nil || size != 4*mib {
		t.Fatalf("segment of %d bytes, %v", size, err)
	}
	defer func() { _ = f.Close() }()
	if _, err := f.WriteAt([]byte{1}, 0); err == nil {
		t.Error("it can be written")
	}
	b := make([]byte, 1)
	if _, err := f.ReadAt(b, 0); err != nil || b[0] != 7 {
		t.Errorf("it holds %d (%v), want 7", b[0], err)
	}
	d.Drop(ref(1, 0).Digest)
	if _, err := f.Stat(); err != nil {
		t.Errorf("after the segment went: %v", err)
	}
	if _, _, err := r.SegmentFile(1); err == nil {
		t.Error("a segment that is gone has a descriptor")
	}
}

// TestPinTogether has many claim, fill, abandon and drop while others pin, and
// one looks for holes.
func TestPinTogether(t *testing.T) {
	r := open(t, ram.Config{Budget: 64 * mib, Segment: 4 * mib})
	device := newDevice(t, r)
	d := r.Domain("acme")
	stop := make(chan struct{})
	var pinners, workers sync.WaitGroup
	for range 2 {
		pinners.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-r.Filled():
					device.pinSome(0)
				}
			}
		})
	}
	for worker := range uint64(4) {
		workers.Go(func() {
			random := rand.New(rand.NewPCG(worker, 3))
			for range 100 {
				pinTogether(t, d, random)
				device.mu.Lock()
				for p := range device.pinned {
					device.whole(p)
				}
				device.mu.Unlock()
			}
		})
	}
	workers.Wait()
	close(stop)
	pinners.Wait()
	for id := range uint64(12) {
		d.Drop(ref(id, 0).Digest)
	}
	empty(t, r)
	device.nothing()
	if device.unpins == 0 {
		t.Error("nothing was ever pinned")
	}
}

// pinTogether does what one of many does.
func pinTogether(t *testing.T, d *ram.Domain, r *rand.Rand) {
	first := r.Uint64N(10)
	claims, err := d.Claim([][]chunker.Ref{group(first, 2*mib, 2*mib)})
	if err != nil {
		t.Error(err)
		return
	}
	for _, c := range claims {
		switch {
		case c.Mine() && r.IntN(8) == 0:
			c.Abandon()
		case c.Mine():
			publish(c, 1)
		}
	}
	d.Drop(ref(first+r.Uint64N(2), 0).Digest)
	d.Drop(ref(r.Uint64N(12), 0).Digest)
}
