package cas

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/registry/internal/registers"
	"github.com/ingot-ml/ingot/registry/internal/xet"
	"github.com/ingot-ml/ingot/registry/name"
)

// pools is a folder of xorbs with a clock.
type pools struct {
	*pool
	t     *testing.T
	clock time.Time
}

func newPools(t *testing.T, limit int64) *pools {
	t.Helper()
	p := &pools{t: t, clock: time.Now()}
	p.open(t.TempDir(), limit)
	return p
}

// open opens a folder.
func (p *pools) open(dir string, limit int64) {
	p.t.Helper()
	pool, err := openPool(dir, limit, func() time.Time { return p.clock })
	if err != nil {
		p.t.Fatal(err)
	}
	p.pool = pool
}

func keyOf(n byte) poolKey { return poolKey{senderKey("alice", "acme"), xet.Hash{n}} }

// put puts a xorb of chunks of 100 KB there.
func (p *pools) put(n byte, chunks int) error {
	a, err := p.begin()
	if err != nil {
		return err
	}
	defer a.abort()
	for range chunks {
		if err := a.add(bytes.Repeat([]byte{n}, 100_000)); err != nil {
			return err
		}
	}
	return a.commit(keyOf(n))
}

// TestPoolGivesWay fills the folder: what is new or in use stays, and there is no more
// room, until something is kept elsewhere or was abandoned.
func TestPoolGivesWay(t *testing.T) {
	p := newPools(t, 3*roomStep)
	for n := range byte(3) {
		if err := p.put(n, 70); err != nil { // 7 MB
			t.Fatal(err)
		}
		p.clock = p.clock.Add(time.Hour)
	}
	if err := p.put(9, 70); !errors.Is(err, errPoolFull) {
		t.Fatalf("a fourth: %v", err)
	}
	used, err := p.pool.open(keyOf(0))
	if err != nil {
		t.Fatal(err)
	}
	for n := range byte(2) {
		if err := p.keep(keyOf(n)); err != nil || p.has(keyOf(n)) != (n == 0) {
			t.Fatalf("xorb %d, which is kept elsewhere: %v, %v", n, p.has(keyOf(n)), err)
		}
	}
	if err := p.put(3, 70); err != nil {
		t.Fatalf("after one was kept elsewhere: %v", err)
	}
	var got bytes.Buffer
	if err := used.Copy(t.Context(), &got, 1, 3); err != nil || got.Len() != 200_000 {
		t.Errorf("%d bytes, %v", got.Len(), err)
	}
	if err := used.Close(); err != nil || p.has(keyOf(0)) {
		t.Errorf("one that was in use when it was kept elsewhere: %v", err)
	}
	p.clock = p.clock.Add(abandoned - time.Minute)
	p.has(keyOf(3))
	if n, err := p.tidy(); n != 1 || err != nil || p.has(keyOf(2)) || !p.has(keyOf(3)) {
		t.Errorf("%d were abandoned, %v", n, err)
	}
	// What was never whole takes no room.
	if p.used != 70*100_000+71*endSize {
		t.Errorf("%d bytes are in use", p.used)
	}
}

// TestPoolReopened finds what a process before it has left.
func TestPoolReopened(t *testing.T) {
	p := newPools(t, 1<<30)
	for n := range byte(3) {
		if err := p.put(n, 2); err != nil {
			t.Fatal(err)
		}
	}
	left := filepath.Join(p.dir, arriving+"1")
	for path, content := range map[string]string{left: "half", filepath.Join(p.dir, "README"): "of somebody else", p.path(keyOf(2)): "damaged"} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Remove(p.path(keyOf(1))); err != nil {
		t.Fatal(err)
	}
	if f, err := p.pool.open(keyOf(1)); f != nil || err != nil || p.has(keyOf(1)) {
		t.Errorf("one that somebody removed: %v, %v", f, err)
	}
	p.open(p.dir, 1<<30)
	if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what was never whole: %v", err)
	}
	if !p.has(keyOf(0)) || p.used != 200_000+3*endSize+int64(len("damaged")) {
		t.Errorf("%d bytes are in use", p.used)
	}
	if f, err := p.pool.open(keyOf(2)); f != nil || err != nil || p.has(keyOf(2)) {
		t.Errorf("a damaged one: %v, %v", f, err)
	}
}

// TestPlaces bounds what is noted of a xorb.
func TestPlaces(t *testing.T) {
	var p placed
	ends := []uint32{10, 200, 300}
	if !p.add(ends, []place{{"a/b", "s", 0, 0, 3}}) || p.add(ends, []place{{"a/b", "t", 0, 1, 2}}) || !p.add(ends, []place{{"a/c", "t", 0, 1, 2}}) {
		t.Errorf("%+v", p.Places)
	}
	got := p.ends()
	if len(got) != 3 || got[0] != 10 || got[1] != 200 || got[2] != 300 {
		t.Errorf("ends %v", got)
	}
	for i := range 3 * maxPlaces {
		p.add(ends, []place{{"a/d", "t", int64(i), uint32(i), uint32(i + 1)}})
	}
	if len(p.Places) != maxPlaces || p.Places[maxPlaces-1].Offset != 3*maxPlaces-1 {
		t.Errorf("%d places", len(p.Places))
	}
	longest := placed{}
	long := strings.Repeat("n", name.MaxPart)
	all := make([]uint32, xet.MaxChunks)
	for i := range all {
		all[i] = uint32(i+1) * xet.MaxChunk
	}
	for i := range maxPlaces {
		longest.add(all, []place{{long + "/" + long, strings.Repeat("0", 64), 4 << 40, xet.MaxChunks - uint32(i) - 1, xet.MaxChunks - uint32(i)}})
	}
	if b, err := json.Marshal(&longest); err != nil || len(longest.Places) != maxPlaces || len(b)+100 > registers.MaxValue {
		t.Errorf("%d places in %d bytes, %v", len(longest.Places), len(b), err)
	}
	p.Sizes = bytes.Repeat([]byte{0xff}, 20)
	if p.ends() != nil {
		t.Error("sizes that are none")
	}
}
