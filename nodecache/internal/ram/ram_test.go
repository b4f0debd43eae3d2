package ram_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/nodecache/internal/ram"
	"github.com/ingot-ml/ingot/nodecache/internal/tier"
	"github.com/ingot-ml/ingot/nodecache/internal/tier/tiertest"
)

const (
	kib = 1 << 10
	mib = 1 << 20
)

func open(t testing.TB, c ram.Config) *ram.Tier {
	t.Helper()
	r, err := ram.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

var conformance = tiertest.Config{
	Open: func(t testing.TB) tier.Store { return open(t, ram.Config{Budget: tiertest.Budget}).Domain("acme") },
	Damage: func(_ testing.TB, s tier.Store, d chunker.Digest) {
		s.(*ram.Domain).Damage(d)
	},
}

func TestConformance(t *testing.T) { tiertest.Run(t, conformance) }

func BenchmarkTier(b *testing.B) { tiertest.Bench(b, conformance) }

// ref names a chunk of a size that does not have to have that digest: this
// package never looks.
func ref(id uint64, size uint32) chunker.Ref {
	return chunker.Ref{Digest: chunker.Sum(fmt.Appendf(nil, "%d", id)), Size: size}
}

func group(from uint64, sizes ...uint32) []chunker.Ref {
	refs := make([]chunker.Ref, len(sizes))
	for i, size := range sizes {
		refs[i] = ref(from+uint64(i), size)
	}
	return refs
}

func claim(t testing.TB, d *ram.Domain, groups ...[]chunker.Ref) []*ram.Claim {
	t.Helper()
	claims, err := d.Claim(groups)
	if err != nil {
		t.Fatal(err)
	}
	return claims
}

// TestRuns checks that the chunks of a tensor lie behind each other, and that
// small chunks share slots.
func TestRuns(t *testing.T) {
	d := open(t, ram.Config{Budget: 64 * mib, Segment: 32 * mib}).Domain("acme")
	claims := claim(t, d,
		group(0, 2*mib, 2*mib, 2*mib, 700*kib),
		group(10, 100*kib), group(20, 100*kib),
		group(30, 2*mib, 5000),
	)
	next := map[int]bool{1: true, 2: true, 3: true, 7: true}
	for i, c := range claims {
		segment, offset, length := c.Place()
		if length == 2*mib && offset%(2*mib) != 0 {
			t.Errorf("chunk %d of 2 MiB begins at %d", i, offset)
		}
		if offset%(4*kib) != 0 {
			t.Errorf("chunk %d begins at %d", i, offset)
		}
		if next[i] {
			before, at, n := claims[i-1].Place()
			if segment != before || offset != at+n {
				t.Errorf("chunk %d is at %d of segment %d, the one before it ends at %d of %d", i, offset, segment, at+n, before)
			}
		}
		copy(c.Bytes(), bytes.Repeat([]byte{byte(i)}, int(length)))
		c.Publish()
	}
	for i, c := range claims {
		_, _, length := c.Place()
		got, err := d.Read(t.Context(), chunker.Ref{Digest: digestOf(i), Size: uint32(length)}, make([]byte, 0, length))
		if err != nil || got[0] != byte(i) || got[length-1] != byte(i) {
			t.Errorf("chunk %d: %v", i, err)
		}
	}
}

// digestOf is that of the chunks of TestRuns, in their order.
func digestOf(i int) chunker.Digest {
	return ref([]uint64{0, 1, 2, 3, 10, 20, 30, 31}[i], 1).Digest
}

// TestClaims has two claim one chunk: one fills, the other waits, and takes over
// when the first gives up.
func TestClaims(t *testing.T) {
	r := open(t, ram.Config{Budget: 16 * mib})
	d := r.Domain("acme")
	first := claim(t, d, group(0, 1000))[0]
	second := claim(t, d, group(0, 1000))[0]
	if !first.Mine() || second.Mine() {
		t.Fatal("want the first to fill, and only that")
	}
	if d.Has(ref(0, 0).Digest) {
		t.Fatal("an empty place is there")
	}
	waited := make(chan error)
	go func() { waited <- second.Wait(t.Context()) }()
	first.Abandon()
	if err := <-waited; !errors.Is(err, ram.ErrAbandoned) {
		t.Fatalf("wait: %v", err)
	}
	if r.Used() != 0 || r.Segments() != 0 {
		t.Fatalf("%d bytes in %d segments are left", r.Used(), r.Segments())
	}
	second = claim(t, d, group(0, 1000))[0]
	if !second.Mine() {
		t.Fatal("nobody fills it")
	}
	copy(second.Bytes(), "weights")
	second.Publish()
	if err := second.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if third := claim(t, d, group(0, 1000))[0]; third.Mine() || third.Wait(t.Context()) != nil {
		t.Fatal("what is there is to be filled again")
	}
}

// TestFullClaimsNothing claims more than there is room for.
func TestFullClaimsNothing(t *testing.T) {
	r := open(t, ram.Config{Budget: 8 * mib})
	d := r.Domain("acme")
	kept := claim(t, d, group(100, 2*mib))[0]
	copy(kept.Bytes(), "kept")
	kept.Publish()
	if _, err := d.Claim([][]chunker.Ref{group(0, 2*mib, 2*mib), group(10, 2*mib, 2*mib)}); !errors.Is(err, tier.ErrFull) {
		t.Fatalf("claim: %v", err)
	}
	if r.Used() != 2*mib {
		t.Fatalf("%d bytes are used", r.Used())
	}
	for _, c := range claim(t, d, group(0, 2*mib, 2*mib), group(10, 2*mib)) {
		if !c.Mine() {
			t.Fatal("something of the failed claim is left")
		}
		c.Abandon()
	}
	if panes, err := d.Window([]uint32{2 * mib, 2 * mib, 2 * mib, 2 * mib}); !errors.Is(err, tier.ErrFull) {
		t.Fatalf("window: %v, %v", panes, err)
	}
	if r.Used() != 2*mib {
		t.Fatalf("%d bytes are used", r.Used())
	}
}

// TestDomains checks that two namespaces share no segment, nor see each other's.
func TestDomains(t *testing.T) {
	r := open(t, ram.Config{Budget: 16 * mib})
	a, b := r.Domain("acme"), r.Domain("other")
	claims := append(claim(t, a, group(0, 1000)), claim(t, b, group(0, 1000))...)
	for _, c := range claims {
		if !c.Mine() {
			t.Fatal("a chunk is shared between namespaces")
		}
		c.Publish()
	}
	ids := make([]uint64, len(claims))
	for i, c := range claims {
		ids[i], _, _ = c.Place()
	}
	if ids[0] == ids[1] {
		t.Fatal("a segment is shared between namespaces")
	}
	if _, _, err := b.Segment(ids[0]); err == nil {
		t.Error("a namespace gets another's segment")
	}
	if _, _, err := a.Segment(ids[0]); err != nil {
		t.Error(err)
	}
}

// TestClientsCannotWrite tries all ways to write through the descriptor that
// clients get.
func TestClientsCannotWrite(t *testing.T) {
	d := open(t, ram.Config{Budget: 16 * mib}).Domain("acme")
	c := claim(t, d, group(0, 2*mib))[0]
	copy(c.Bytes(), "weights")
	c.Publish()
	id, _, _ := c.Place()
	size, file, err := d.Segment(id)
	if err != nil {
		t.Fatal(err)
	}
	fd := int(file.Fd())
	if _, err := unix.Pwrite(fd, []byte("x"), 0); !errors.Is(err, unix.EBADF) {
		t.Errorf("pwrite: %v", err)
	}
	if _, err := unix.Mmap(fd, 0, int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); !errors.Is(err, unix.EACCES) {
		t.Errorf("shared writable mapping: %v", err)
	}
	b, err := unix.Mmap(fd, 0, 2*mib, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Munmap(b) }()
	if err := unix.Mprotect(b, unix.PROT_READ|unix.PROT_WRITE); !errors.Is(err, unix.EACCES) {
		t.Errorf("mprotect: %v", err)
	}
	if err := unix.Ftruncate(fd, 0); err == nil {
		t.Error("ftruncate succeeds")
	}
	if err := unix.Fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, 4*kib); err == nil {
		t.Error("fallocate succeeds")
	}
	if string(b[:7]) != "weights" {
		t.Errorf("the mapping reads %q", b[:7])
	}
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil || stat.Mode&0o777 != 0o600 {
		t.Errorf("mode %o, %v", stat.Mode, err)
	}
	private, err := unix.Mmap(fd, 0, 4*kib, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Munmap(private) }()
	private[0] = 'X'
	if b[0] != 'w' {
		t.Error("a private write is seen by others")
	}
}

// held is a place that the random test holds.
type held struct {
	claim *ram.Claim
	pane  *ram.Pane
	fill  byte
	id    uint64
}

func (h held) place() (uint64, int64, int64) {
	if h.pane != nil {
		return h.pane.Place()
	}
	return h.claim.Place()
}

func (h held) bytes() []byte {
	if h.pane != nil {
		return h.pane.Bytes()
	}
	return nil
}

// TestRandom claims, fills, drops and abandons at random. Places never overlap,
// keep their bytes, and the system agrees with the tier on what is resident.
func TestRandom(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { walk(t, seed) })
	}
}

func walk(t *testing.T, seed uint64) {
	const budget, steps = 24 * mib, 100
	r := open(t, ram.Config{Budget: budget, Segment: 8 * mib})
	domains := []*ram.Domain{r.Domain("a"), r.Domain("b")}
	holding := [2][]held{}
	rnd := rand.New(rand.NewPCG(seed, 2))
	next := uint64(0)
	size := func() uint32 {
		if rnd.IntN(2) == 0 {
			return 2 * mib
		}
		return 1 + rnd.Uint32N(2*mib)
	}
	for range steps {
		which := rnd.IntN(2)
		d, hs := domains[which], holding[which]
		switch op := rnd.IntN(5); {
		case op < 2: // claim and fill
			refs := make([]chunker.Ref, 1+rnd.IntN(4))
			for i := range refs {
				refs[i] = ref(next, size())
				next++
			}
			claims, err := d.Claim([][]chunker.Ref{refs})
			if errors.Is(err, tier.ErrFull) {
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			for i, c := range claims {
				if rnd.IntN(8) == 0 {
					c.Abandon()
					continue
				}
				h := held{claim: c, fill: byte(rnd.Uint32()) | 1, id: next - uint64(len(refs)) + uint64(i)}
				fill(c.Bytes(), h.fill)
				c.Publish()
				hs = append(hs, h)
			}
		case op == 2:
			panes, err := d.Window([]uint32{size(), size()})
			if errors.Is(err, tier.ErrFull) {
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range panes {
				h := held{pane: p, fill: byte(rnd.Uint32()) | 1}
				fill(p.Bytes(), h.fill)
				hs = append(hs, h)
			}
		case len(hs) > 0: // drop
			i := rnd.IntN(len(hs))
			if hs[i].pane != nil {
				hs[i].pane.Free()
			} else {
				d.Drop(ref(hs[i].id, 0).Digest)
			}
			hs = append(hs[:i:i], hs[i+1:]...)
		}
		holding[which] = hs
		check(t, r, domains, holding, budget)
	}
	for which, hs := range holding {
		for _, h := range hs {
			if h.pane != nil {
				h.pane.Free()
			} else {
				domains[which].Drop(ref(h.id, 0).Digest)
			}
		}
	}
	if r.Used() != 0 || r.Segments() != 0 {
		t.Errorf("%d bytes in %d segments are left", r.Used(), r.Segments())
	}
}

func fill(b []byte, with byte) {
	b[0] = with
	for n := 1; n < len(b); n *= 2 {
		copy(b[n:], b[:n])
	}
}

// check compares a tier with what it should hold.
func check(t *testing.T, r *ram.Tier, domains []*ram.Domain, holding [2][]held, budget int64) {
	t.Helper()
	type page struct {
		segment uint64
		page    int64
	}
	taken := map[page]bool{}
	for which, hs := range holding {
		for _, h := range hs {
			segment, offset, length := h.place()
			for p := offset / (4 * kib); p*4*kib < offset+length; p++ {
				if taken[page{segment, p}] {
					t.Fatalf("page %d of segment %d is taken twice", p, segment)
				}
				taken[page{segment, p}] = true
			}
			got := h.bytes()
			if got == nil {
				var err error
				got, err = domains[which].Read(t.Context(), ref(h.id, uint32(length)), make([]byte, 0, length))
				if err != nil {
					t.Fatal(err)
				}
			}
			if got[0] != h.fill || got[length/2] != h.fill || got[length-1] != h.fill {
				t.Fatal("a place does not hold what was written")
			}
		}
	}
	want := int64(len(taken)) * 4 * kib
	resident, err := r.Resident()
	if err != nil {
		t.Fatal(err)
	}
	if r.Used() != want || resident != want || want > budget {
		t.Fatalf("%d bytes are taken, the tier says %d, the system %d, the budget is %d", want, r.Used(), resident, budget)
	}
}

// TestTailsAreZero reuses the pages of a longer chunk.
func TestTailsAreZero(t *testing.T) {
	d := open(t, ram.Config{Budget: 4 * mib}).Domain("acme")
	keep := claim(t, d, group(9, 100))[0] // keeps the segment
	keep.Publish()
	c := claim(t, d, group(0, 4096))[0]
	fill(c.Bytes(), 0xff)
	c.Publish()
	_, at, _ := c.Place()
	d.Drop(ref(0, 0).Digest)
	c = claim(t, d, group(1, 10))[0]
	fill(c.Bytes(), 0xee)
	c.Publish()
	id, offset, _ := c.Place()
	if offset != at {
		t.Fatalf("the page at %d is not used again, but that at %d", at, offset)
	}
	_, file, err := d.Segment(id)
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 4096)
	if _, err := file.ReadAt(got, offset); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got[10:], make([]byte, 4086)) {
		t.Error("the rest of the page is not zero")
	}
}

// TestParallelFill fills many places at a time.
func TestParallelFill(t *testing.T) {
	r := open(t, ram.Config{Budget: 64 * mib})
	d := r.Domain("acme")
	var wg sync.WaitGroup
	for w := range uint64(8) {
		wg.Go(func() {
			for i := range uint64(20) {
				refs := group(w*1000+i*10, 100*kib, 5000)
				for _, c := range claim(t, d, refs) {
					fill(c.Bytes(), byte(w))
					c.Publish()
				}
				d.Drop(refs[0].Digest)
				d.Drop(refs[1].Digest)
			}
		})
	}
	wg.Wait()
	if r.Used() != 0 || r.Segments() != 0 {
		t.Errorf("%d bytes in %d segments are left", r.Used(), r.Segments())
	}
}

func TestConfig(t *testing.T) {
	for _, c := range []ram.Config{{}, {Budget: -1}, {Budget: mib, Segment: 3 * mib}, {Budget: mib, Segment: kib}} {
		if _, err := ram.Open(c); err == nil {
			t.Errorf("%+v is accepted", c)
		}
	}
}

func TestMain(m *testing.M) {
	before := descriptors()
	code := m.Run()
	if after := descriptors(); code == 0 && after > before {
		fmt.Fprintf(os.Stderr, "%d descriptors are left open\n", after-before)
		code = 1
	}
	os.Exit(code)
}

// descriptors is how many memfds this process has open.
func descriptors() (n int) {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	for _, e := range entries {
		if target, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && bytes.Contains([]byte(target), []byte("memfd:ingot")) {
			n++
		}
	}
	return n
}

// BenchmarkClaim claims and gives back the places of a model of 2 GiB.
func BenchmarkClaim(b *testing.B) {
	d := open(b, ram.Config{Budget: 4 << 30}).Domain("acme")
	var groups [][]chunker.Ref
	for i := range uint64(100) {
		groups = append(groups, group(i*100, 2*mib, 2*mib, 2*mib, 2*mib, 2*mib, 2*mib, 2*mib, 2*mib, 2*mib, 1500*kib))
	}
	for b.Loop() {
		claims, err := d.Claim(groups)
		if err != nil {
			b.Fatal(err)
		}
		for _, c := range claims {
			c.Abandon()
		}
	}
}
