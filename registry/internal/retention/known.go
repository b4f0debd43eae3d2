package retention

import (
	"sync"

	"github.com/ingot-ml/ingot/chunker"
)

// maxKnown bounds the versions whose facts are remembered, and longRun the runs that
// are worth it: some 50 MB at the most.
const (
	maxKnown = 1 << 16
	longRun  = 512 // bytes
)

// known remembers what versions say of themselves, which never changes: reading it
// is reading where all their chunks lie.
type known struct {
	mu    sync.Mutex // protects facts
	facts map[knownKey]facts
}

// knownKey is a version, and the annotation that its value is of.
type knownKey struct {
	version chunker.Digest
	metric  string
}

func newKnown() *known { return &known{facts: map[knownKey]facts{}} }

func (k *known) get(d chunker.Digest, metric string) (facts, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	f, ok := k.facts[knownKey{d, metric}]
	return f, ok
}

func (k *known) put(d chunker.Digest, metric string, f facts) {
	if len(f.run) > longRun {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.facts) >= maxKnown {
		clear(k.facts)
	}
	k.facts[knownKey{d, metric}] = f
}
