package collect

import (
	"sync"

	"github.com/ingot-ml/ingot/registry/internal/registers"
)

// maxGone bounds the heads that are remembered, in some 40 bytes each.
const maxGone = 1 << 20

// gone remembers, from one collection to the next, heads of versions that are gone,
// by the versions of their registers. Registers are never deleted, so there come to
// be more and more of them. To forget costs reading them again.
type gone struct {
	mu    sync.Mutex // protects heads
	heads map[entryHash]struct{}
}

func newGone() *gone { return &gone{heads: map[entryHash]struct{}{}} }

func (g *gone) has(e registers.Entry) bool {
	hash := hashEntry(e)
	g.mu.Lock()
	defer g.mu.Unlock()
	_, ok := g.heads[hash]
	return ok
}

func (g *gone) put(e registers.Entry) {
	hash := hashEntry(e)
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.heads) >= maxGone {
		clear(g.heads)
	}
	g.heads[hash] = struct{}{}
}
