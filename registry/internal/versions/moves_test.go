package versions_test

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/codec"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/placement"
	"github.com/ingot-ml/ingot/registry/internal/registers"
	"github.com/ingot-ml/ingot/registry/internal/versions"
)

// mover points versions elsewhere, and sometimes leaves that to others.
type mover struct {
	*pusher
	moves int
}

var errDied = errors.New("the process has died")

// dying is an engine that a process reaches for some writes of heads, and then not
// any more.
type dying struct {
	registers.Engine
	left int
}

func (d *dying) CAS(ctx context.Context, key string, want registers.Version, val []byte) (registers.Version, error) {
	if d.left--; d.left < 0 {
		return registers.Absent, errDied
	}
	return d.Engine.CAS(ctx, key, want, val)
}

func (m *mover) run(done <-chan struct{}) {
	for {
		select {
		case <-done:
			return
		default:
		}
		v := m.versions[m.rand.IntN(len(m.versions))]
		if m.rand.IntN(4) == 0 {
			m.allow(m.any().FinishMove(context.Background(), model, v.digest))
			continue
		}
		m.once(v)
	}
}

// once moves a random part of a version: to new objects, or to those of other
// versions.
func (m *mover) once(v *version) {
	s := m.any()
	if m.rand.IntN(4) == 0 {
		config := m.config
		config.Registers = &dying{Engine: config.Registers, left: m.rand.IntN(3)}
		s = versions.New(config)
	}
	move, err := s.StartMove(context.Background())
	if err != nil {
		m.t.Error(err)
		return
	}
	at := map[chunker.Digest]placement.Entry{}
	found, err := move.Find(context.Background(), model, v.order)
	m.allow(err)
	for i, d := range v.order {
		switch m.rand.IntN(3) {
		case 0:
			entries, err := move.Put(context.Background(), []versions.Encoded{{Digest: d, Bytes: v.chunks[d]}})
			m.allow(err)
			if err == nil {
				at[d] = entries[0]
			}
		case 1:
			if err == nil && found[i].Object != "" {
				at[d] = found[i]
			}
		}
	}
	changed, err := move.Point(context.Background(), model, v.digest, func(_ int, ref chunker.Ref, old placement.Entry) placement.Entry {
		if e, ok := at[ref.Digest]; ok {
			return e
		}
		return old
	})
	if changed {
		m.moves++
	}
	if err != nil && !errors.Is(err, versions.ErrCondemned) && !errors.Is(err, errDied) {
		m.allow(err, openapi.CodeConflict)
	}
}

// read reads a version that nobody retires: every read must succeed.
func (p *pusher) read(v *version, done <-chan struct{}) (reads int) {
	for {
		select {
		case <-done:
			return reads
		default:
		}
		i := uint32(p.rand.IntN(len(v.order)))
		s := p.any()
		located, err := s.Chunks(context.Background(), bob, model, v.digest, []uint32{i})
		if err != nil {
			p.t.Errorf("locate: %v", err)
			return reads
		}
		r, err := s.OpenChunk(context.Background(), located[0])
		if err != nil {
			p.allow(err, openapi.CodeUnavailable) // encoded anew
			continue
		}
		enc, err := io.ReadAll(r)
		if err != nil {
			p.t.Error(err)
		}
		if plain, err := codec.Decode(nil, enc); err != nil || chunker.Sum(plain) != located[0].Digest {
			p.t.Errorf("read of chunk %d: %v", i, err)
		}
		reads++
	}
}

// TestMovesAndCollections points versions elsewhere while others push, retire and
// collect: no committed version ever needs what is gone, and a version that nobody
// retires can be read at every moment.
func TestMovesAndCollections(t *testing.T) {
	w := newWorld(t)
	store := newSwept(w.store)
	w.config.Blobs = store
	w.restart()
	var all []*version
	for i := range uint64(4) {
		all = append(all, newVersion(t, chunker.Digest{}, small(i), small(i+1), small(i+2)))
	}
	kept := newVersion(t, chunker.Digest{}, small(1), small(3), small(5))
	w.push(alice, model, kept, "kept")
	var steps atomic.Int64
	person := func(seed uint64) *pusher {
		return &pusher{world: w, steps: &steps, rand: rand.New(rand.NewPCG(seed, 2)), versions: all, replicas: []*versions.Service{versions.New(w.config), versions.New(w.config)}}
	}
	var pushing, rest sync.WaitGroup
	done := make(chan struct{})
	movers := []*mover{{pusher: person(10)}, {pusher: person(11)}}
	for _, m := range movers {
		m.versions = append(m.versions[:len(m.versions):len(m.versions)], kept, kept)
		rest.Go(func() { m.run(done) })
	}
	reader, reads := person(12), 0
	rest.Go(func() { reads = reader.read(kept, done) })
	for i := range uint64(2) {
		p := person(i)
		pushing.Go(func() { p.run(60) })
	}
	go func() { pushing.Wait(); close(done) }()
	c := &collector{t: t, registers: w.engine.Engine, store: store}
	c.collectUntil(done, &steps)
	rest.Wait()
	moves := 0
	for _, m := range movers {
		moves += m.moves
	}
	if moves == 0 || reads == 0 || c.deleted == 0 {
		t.Errorf("%d moves, %d reads, %d blobs deleted: nothing was tested", moves, reads, c.deleted)
	}
	t.Logf("%d moves, %d reads, %d blobs deleted in %d collections", moves, reads, c.deleted, c.epoch)
	w.restart()
	w.check(bob, model, kept)
}
