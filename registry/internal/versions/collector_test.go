package versions_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/blobs"
	"github.com/ingot-ml/ingot/registry/internal/placement"
	"github.com/ingot-ml/ingot/registry/internal/record"
	"github.com/ingot-ml/ingot/registry/internal/registers"
	"github.com/ingot-ml/ingot/registry/internal/versions"
)

// swept is a store from which a collection has deleted blobs.
type swept struct {
	blobs.Store

	mu   sync.Mutex // protects gone
	gone map[string]bool
}

func newSwept(s blobs.Store) *swept { return &swept{Store: s, gone: map[string]bool{}} }

func (s *swept) delete(names ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range names {
		s.gone[name] = true
	}
}

func (s *swept) isGone(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.gone[name]
}

// Put makes a deleted blob again: its bytes are still below.
func (s *swept) Put(ctx context.Context, name string, parts ...[]byte) error {
	s.mu.Lock()
	again := s.gone[name]
	delete(s.gone, name)
	s.mu.Unlock()
	if again {
		return nil
	}
	return s.Store.Put(ctx, name, parts...)
}

func (s *swept) Open(ctx context.Context, name string, off, n int64) (io.ReadCloser, error) {
	if s.isGone(name) {
		return nil, fmt.Errorf("open %s: %w", name, blobs.ErrNotFound)
	}
	return s.Store.Open(ctx, name, off, n)
}

func (s *swept) Stat(ctx context.Context, name string) (blobs.Info, error) {
	if s.isGone(name) {
		return blobs.Info{}, fmt.Errorf("stat %s: %w", name, blobs.ErrNotFound)
	}
	return s.Store.Stat(ctx, name)
}

func (s *swept) List(ctx context.Context, prefix, after string) iter.Seq2[blobs.Info, error] {
	return func(yield func(blobs.Info, error) bool) {
		for info, err := range s.Store.List(ctx, prefix, after) {
			if !s.isGone(info.Name) && !yield(info, err) {
				return
			}
		}
	}
}

// collector collects as docs/formats/registry.md foresees it, and with no patience:
// whatever no head names is a candidate.
type collector struct {
	t         *testing.T
	registers registers.Engine
	store     *swept
	epoch     int
	deleted   int
}

// live returns the names that heads need.
func (c *collector) live() map[string]bool {
	live := map[string]bool{}
	heads, err := c.registers.List(context.Background(), "m/", "", registers.MaxList)
	if err != nil {
		c.t.Error(err)
	}
	for _, e := range heads {
		h := c.head(e.Key)
		if h.State != "pending" && h.State != "committed" && h.State != "condemned" {
			continue
		}
		for _, body := range []string{h.Body, h.Next} {
			for name := range c.needs(body) {
				live[name] = true
			}
		}
	}
	return live
}

func (c *collector) head(key string) (h record.Head) {
	val, _, err := c.registers.Get(context.Background(), key)
	if errors.Is(err, registers.ErrNotFound) {
		return h
	}
	if err := errors.Join(err, json.Unmarshal(val, &h)); err != nil {
		c.t.Error(err)
	}
	return h
}

// needs yields the name of a body and those in it; nothing for no body.
func (c *collector) needs(body string) iter.Seq[string] {
	return func(yield func(string) bool) {
		if body == "" {
			return
		}
		r, err := c.store.Store.Open(context.Background(), body, 0, -1) // also a deleted one: the check finds that
		if err != nil {
			c.t.Error(err)
			return
		}
		raw, err := io.ReadAll(r)
		if err != nil {
			c.t.Error(err)
		}
		b, err := placement.ParseBody(raw)
		if err != nil {
			c.t.Error(err)
			return
		}
		if !yield(body) {
			return
		}
		for i := range b.Entries {
			for name := range b.Entries[i].Names {
				if !yield(name) {
					return
				}
			}
		}
	}
}

// collect is one collection: G1 to G6.
func (c *collector) collect() {
	c.epoch++
	live := c.live()
	var candidates []string
	for info, err := range c.store.List(context.Background(), "", "") {
		if err != nil {
			c.t.Error(err)
			return
		}
		name := info.Name
		if strings.HasPrefix(name, "b/") {
			digest, _, _ := strings.Cut(name[2:], ".") // no repository of this test has a dot
			if c.head("m/"+digest).State == "" {
				continue // a body without any head is not for a collector
			}
		}
		if !live[name] && !strings.HasPrefix(name, "gl/") {
			candidates = append(candidates, name)
		}
	}
	c.publish("condemned", "D", candidates)
	live = c.live()
	var sweep []string
	for _, name := range candidates {
		if !live[name] {
			sweep = append(sweep, name)
		}
	}
	c.publish("sweeping", "S", sweep)
	for _, name := range sweep {
		c.store.delete(name)
	}
	c.deleted += len(sweep)
	c.publish("idle", "", nil)
}

func (c *collector) publish(phase, kind string, names []string) {
	list := ""
	if kind != "" {
		list = fmt.Sprintf("gl/%016x.n.%s", c.epoch, kind)
		if err := c.store.Put(context.Background(), list, placement.EncodeList(names)); err != nil {
			c.t.Error(err)
		}
	}
	_, v, err := c.registers.Get(context.Background(), "g/state")
	if err != nil && !errors.Is(err, registers.ErrNotFound) {
		c.t.Error(err)
	}
	val := fmt.Sprintf(`{"v":1,"nonce":"%d%s","epoch":%d,"phase":%q,"list":%q}`, c.epoch, phase, c.epoch, phase, list)
	if _, err := c.registers.CAS(context.Background(), "g/state", v, []byte(val)); err != nil {
		c.t.Error(err)
	}
}

// check finds committed heads that name what is gone.
func (c *collector) check() {
	heads, err := c.registers.List(context.Background(), "m/", "", registers.MaxList)
	if err != nil {
		c.t.Error(err)
	}
	for _, e := range heads {
		h := c.head(e.Key)
		if !h.Readable() {
			continue
		}
		for name := range c.needs(h.Body) {
			if !c.store.isGone(name) {
				continue
			}
			if again := c.head(e.Key); again.Body == h.Body && again.Readable() {
				c.t.Errorf("%s is %s and needs %s, which is gone", e.Key, again.State, name)
			}
		}
	}
}

// pusher pushes and retires versions that share chunks.
type pusher struct {
	*world
	rand     *rand.Rand
	versions []*version
	replicas []*versions.Service
	commits  int
	steps    *atomic.Int64 // that pushers have taken, together
}

func (p *pusher) run(rounds int) {
	for range rounds {
		v := p.versions[p.rand.IntN(len(p.versions))]
		if p.rand.IntN(3) == 0 {
			err := p.any().Delete(context.Background(), alice, model, v.digest)
			p.allow(err, openapi.CodeNotFound, openapi.CodeConflict)
			p.steps.Add(1)
			continue
		}
		push, err := p.any().StartPush(context.Background(), alice, model)
		p.allow(err)
		for range 20 {
			if p.once(push.ID, v) {
				p.commits++
				break
			}
		}
	}
}

// once uploads what is missing and commits. It returns false if chunks got lost.
func (p *pusher) once(id string, v *version) bool {
	defer p.steps.Add(1)
	missing, err := p.any().Missing(context.Background(), alice, id, v.order)
	p.allow(err)
	for i, d := range v.order {
		if err == nil && missing[i] {
			_, err := p.any().PutChunk(context.Background(), alice, id, d, v.chunks[d])
			p.allow(err, openapi.CodeUnavailable)
		}
	}
	_, err = p.any().Commit(context.Background(), alice, id, v.doc, "", "")
	p.allow(err, openapi.CodeMissingChunks, openapi.CodeConflict)
	return err == nil
}

// any returns a replica, sometimes one that remembers nothing.
func (p *pusher) any() *versions.Service {
	if i := p.rand.IntN(len(p.replicas) + 1); i < len(p.replicas) {
		return p.replicas[i]
	}
	return versions.New(p.config)
}

// allow fails the test for an error that is none of the codes.
func (p *pusher) allow(err error, codes ...openapi.Code) {
	for _, code := range codes {
		if errors.Is(err, &openapi.Error{Code: code}) {
			return
		}
	}
	if err != nil {
		p.t.Error(err)
	}
}

// collectUntil collects until done, but does not run ahead of the steps of others: a push
// has to read the lists of all collections that it outlives, so on a machine that gives
// collections most of its time pushes would never end.
func (c *collector) collectUntil(done <-chan struct{}, steps *atomic.Int64) {
	for {
		select {
		case <-done:
			c.collect()
			c.check()
			return
		default:
		}
		if int64(c.epoch) > steps.Load()+20 {
			runtime.Gosched()
			continue
		}
		c.collect()
		c.check()
	}
}

// TestPushesAndCollections pushes, retires and collects all at once: no committed
// version ever needs what is gone.
func TestPushesAndCollections(t *testing.T) {
	w := newWorld(t)
	store := newSwept(w.store)
	w.config.Blobs, w.config.Policy = store, access.Open{}
	var all []*version
	for i := range uint64(4) {
		all = append(all, newVersion(t, chunker.Digest{}, small(i), small(i+1), small(i+2)))
	}
	replicas := []*versions.Service{versions.New(w.config), versions.New(w.config)}
	var pushing sync.WaitGroup
	var steps atomic.Int64
	pushers := make([]*pusher, 3)
	for i := range pushers {
		p := &pusher{world: w, rand: rand.New(rand.NewPCG(uint64(i), 1)), versions: all, replicas: replicas, steps: &steps}
		pushers[i] = p
		pushing.Go(func() { p.run(40) })
	}
	done := make(chan struct{})
	go func() { pushing.Wait(); close(done) }()
	c := &collector{t: t, registers: w.engine.Engine, store: store}
	c.collectUntil(done, &steps)
	commits := 0
	for _, p := range pushers {
		commits += p.commits
	}
	if commits == 0 || c.deleted == 0 {
		t.Errorf("%d commits, %d blobs deleted in %d collections: nothing was tested", commits, c.deleted, c.epoch)
	}
	t.Logf("%d commits, %d blobs deleted in %d collections", commits, c.deleted, c.epoch)
}
