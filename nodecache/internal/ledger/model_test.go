package ledger_test

import (
	"slices"

	"github.com/ingot-ml/ingot/nodecache/internal/ledger"
)

// model is what an account should be, computed anew from sets at every question.
type model struct {
	limits  ledger.Limits
	held    []*held        // by last use, the oldest first
	loose   []ledger.Chunk // the oldest first
	costs   map[ledger.Chunk]int64
	ballast map[string]int64
}

type held struct {
	key    ledger.Key
	chunks map[ledger.Chunk]bool
	leases int
	pinned bool
}

func (h *held) stays() bool { return h.leases > 0 || h.pinned }

func newModel(limits ledger.Limits) *model {
	return &model{limits: limits, costs: map[ledger.Chunk]int64{}, ballast: map[string]int64{}}
}

// enter returns an entry as the model has it, and notes what its chunks cost.
func (m *model) enter(e ledger.Entry) *held {
	h := &held{key: e.Key, chunks: map[ledger.Chunk]bool{}}
	for _, ref := range e.Chunks {
		c := ledger.Chunk{Domain: e.Domain, Digest: ref.Digest}
		h.chunks[c] = true
		m.costs[c] = cost(ref.Size)
	}
	return h
}

func (m *model) find(k ledger.Key) int {
	return slices.IndexFunc(m.held, func(h *held) bool { return h.key == k })
}

// all is the chunks of some versions and some loose ones.
func all(held []*held, loose []ledger.Chunk) map[ledger.Chunk]bool {
	set := map[ledger.Chunk]bool{}
	for _, h := range held {
		for c := range h.chunks {
			set[c] = true
		}
	}
	for _, c := range loose {
		set[c] = true
	}
	return set
}

func (m *model) weigh(set map[ledger.Chunk]bool) (bytes int64) {
	for c := range set {
		bytes += m.costs[c]
	}
	return bytes
}

func (m *model) ballastBytes() (bytes int64) {
	for _, b := range m.ballast {
		bytes += b
	}
	return bytes
}

func (m *model) used() int64 { return m.weigh(all(m.held, m.loose)) + m.ballastBytes() }

// outcome is who stays after room has been made, and who does not.
type outcome struct {
	held  []*held
	loose []ledger.Chunk
	keys  []ledger.Key
	freed map[ledger.Chunk]bool
	need  int64 // bytes that are added
	free  int64 // bytes without those
	ok    bool
}

// both is what is in two sets.
func both(a, b map[ledger.Chunk]bool) map[ledger.Chunk]bool {
	set := map[ledger.Chunk]bool{}
	for c := range a {
		if b[c] {
			set[c] = true
		}
	}
	return set
}

// added is the bytes that a version would add.
func (m *model) added(h *held) int64 {
	return m.weigh(h.chunks) - m.weigh(both(h.chunks, all(m.held, m.loose)))
}

// fit makes room for h, or for bytes that were added otherwise, with so many bytes
// and versions at most.
func (m *model) fit(h *held, bytes int64, count int, added int64) outcome {
	var in []*held
	if h != nil {
		in = append(in, h)
		added = m.added(h)
	}
	fits := func(held []*held, loose []ledger.Chunk) bool {
		return added <= 0 || m.weigh(all(append(held[:len(held):len(held)], in...), loose))+m.ballastBytes() <= bytes
	}
	few := func(held []*held) bool { return count == 0 || len(held)+len(in) <= count }
	o := outcome{held: slices.Clone(m.held), loose: slices.Clone(m.loose)}
	for i := 0; i < len(o.loose) && !fits(o.held, o.loose); {
		if h != nil && h.chunks[o.loose[i]] {
			i++
			continue
		}
		o.loose = slices.Delete(o.loose, i, i+1)
	}
	for i := 0; i < len(o.held) && !(fits(o.held, o.loose) && few(o.held)); {
		if o.held[i].stays() {
			i++
			continue
		}
		o.held = slices.Delete(o.held, i, i+1)
	}
	o.ok = fits(o.held, o.loose) && few(o.held)
	for i := len(m.held) - 1; i >= 0 && o.ok; i-- {
		more := slices.DeleteFunc(slices.Clone(m.held), func(h *held) bool { return h != m.held[i] && !slices.Contains(o.held, h) })
		if fits(more, o.loose) && few(more) {
			o.held = more
		}
	}
	after := all(append(o.held[:len(o.held):len(o.held)], in...), o.loose)
	o.freed = all(m.held, m.loose)
	for c := range after {
		delete(o.freed, c)
	}
	for _, v := range m.held {
		if !slices.Contains(o.held, v) {
			o.keys = append(o.keys, v.key)
		}
	}
	o.need = added
	o.free = max(0, bytes-(m.weigh(after)+m.ballastBytes()-added))
	return o
}

// take makes an outcome what is.
func (m *model) take(o outcome, h *held) {
	m.held, m.loose = o.held, o.loose
	if h != nil {
		m.held = append(m.held, h)
		m.loose = slices.DeleteFunc(m.loose, func(c ledger.Chunk) bool { return h.chunks[c] })
	}
}

// use makes a version the one that was used last.
func (m *model) use(i int) {
	h := m.held[i]
	m.held = append(slices.Delete(m.held, i, i+1), h)
}

// remove takes a version out, and returns what only that held.
func (m *model) remove(i int) map[ledger.Chunk]bool {
	own := m.held[i].chunks
	m.held = slices.Delete(m.held, i, i+1)
	rest := all(m.held, nil)
	freed := map[ledger.Chunk]bool{}
	for c := range own {
		if !rest[c] {
			freed[c] = true
		}
	}
	return freed
}
