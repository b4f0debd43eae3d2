package node

import (
	"slices"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/nodecache/internal/ledger"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/manifest"
	"github.com/ingot-ml/ingot/registry/name"
)

// Model is a reference that a node is told to keep.
type Model struct {
	Ref               name.Ref
	Tier              openapi.Tier // where it should be; none for when it is asked for
	Device            string       // UUID of the GPU, if Tier is that; empty for any
	Watch, Pin        bool
	IdleGPU           time.Duration // 0 is the node's, less is never
	IdleRAM, IdleDisk time.Duration
}

// model is a reference that the node knows.
type model struct {
	Model
	// hold is where it should be now: Tier at first, then where it was last asked
	// for, or fell to.
	hold openapi.Tier
	// current is the version that is served, zero for none yet. target is the newest
	// that is known; while they differ, target is on its way.
	current, target chunker.Digest
	keeping         bool // somebody brings target
	kept            bool // in the configuration or in a pattern of it
	deleted         bool // the registry has no such tag any more
	failed          error
	lastUse         time.Time
	// device is the UUID of the GPU on which it was last. left are versions that were
	// served and that are to be replaced there. turn is of who moves it on GPUs.
	device   string
	left     []ledger.Key
	turn     *semaphore.Weighted
	leases   map[*Lease]struct{}
	declared map[*Declared]bool
	wake     chan struct{} // tells a keeper to try again at once
}

func (n *Node) newModel(m Model) *model {
	if m.IdleGPU == 0 {
		m.IdleGPU = n.config.IdleGPU
	}
	if m.IdleRAM == 0 {
		m.IdleRAM = n.config.IdleRAM
	}
	if m.IdleDisk == 0 {
		m.IdleDisk = n.config.IdleDisk
	}
	return &model{
		Model: m, hold: m.Tier, kept: true, current: m.Ref.Digest, target: m.Ref.Digest,
		lastUse: n.config.Now(), leases: map[*Lease]struct{}{}, declared: map[*Declared]bool{}, wake: make(chan struct{}, 1),
		turn: semaphore.NewWeighted(1),
	}
}

// model returns what is known of ref, and makes it known. n.mu is held.
func (n *Node) model(ref name.Ref) *model {
	m := n.models[ref]
	if m == nil {
		m = n.newModel(Model{Ref: ref})
		m.kept = false
		n.models[ref] = m
	}
	return m
}

// key returns the name of a version of the model.
func (m *model) key(d chunker.Digest) ledger.Key { return ledger.Key{Repo: m.Ref.Repo, Digest: d} }

// version is a version that some tier has, or is about to. It is forgotten when
// none has and nobody waits for it.
type version struct {
	key       ledger.Key
	manifest  *manifest.Manifest // nil when it has to be read again
	total     int64              // plain bytes of its chunks
	chunks    int
	disk, ram bool  // all of it is there
	gpus      []GPU // of the node, which know what they have
	leases    int
	jobs      map[openapi.Tier]*job
	held      int // jobs that have not let go of it: those in jobs, and those whose waiters take over
	// vacating is set while another version waits to come into its memory, and nobody
	// new leases it there; it is closed when that ends.
	vacating chan struct{}
}

// version returns what is known of k, and makes it known. n.mu is held.
func (n *Node) version(k ledger.Key) *version {
	v := n.versions[k]
	if v == nil {
		v = &version{key: k, gpus: n.config.GPUs, jobs: map[openapi.Tier]*job{}}
		n.versions[k] = v
	}
	return v
}

// tier returns the fastest tier that holds all of v.
func (v *version) tier() openapi.Tier {
	switch {
	case v == nil:
		return openapi.TierNone
	case v.onGPU():
		return openapi.TierGPU
	case v.ram:
		return openapi.TierRAM
	case v.disk:
		return openapi.TierDisk
	}
	return openapi.TierNone
}

// onGPU reports whether a GPU has all of v.
func (v *version) onGPU() bool {
	return slices.ContainsFunc(v.gpus, func(g GPU) bool { return g.Has(v.key) })
}

// in reports whether all of v is in the tier.
func (v *version) in(t openapi.Tier) bool {
	switch {
	case v == nil:
		return false
	case t == openapi.TierGPU:
		return v.onGPU()
	case t == openapi.TierRAM:
		return v.ram
	}
	return t == openapi.TierDisk && v.disk
}

// wanted reports whether some model serves k, or is about to, or is to replace it
// on a GPU. n.mu is held.
func (n *Node) wanted(k ledger.Key) bool {
	for _, m := range n.models {
		if m.Ref.Repo == k.Repo && (m.current == k.Digest || m.target == k.Digest) || slices.Contains(m.left, k) {
			return true
		}
	}
	return false
}

// tell tells what happens to a version, in the name of each reference that is
// served from it, or is about to be.
func (n *Node) tell(k ledger.Key, e openapi.NodeEvent) {
	e.Version = k.Digest.String()
	var refs []string
	n.mu.Lock()
	for _, m := range n.models {
		if m.Ref.Repo == k.Repo && (m.current == k.Digest || m.target == k.Digest) {
			refs = append(refs, m.Ref.String())
		}
	}
	n.mu.Unlock()
	if len(refs) == 0 {
		refs = []string{name.Ref{Repo: k.Repo, Digest: k.Digest}.String()}
	}
	for _, e.Ref = range refs {
		n.events.tell(e)
	}
}

// settle takes out of the tiers what nobody wants of a version, and forgets one
// of which nothing is left.
func (n *Node) settle(k ledger.Key) {
	n.mu.Lock()
	v := n.versions[k]
	if v == nil || v.held > 0 || n.stopped {
		n.mu.Unlock()
		return // settled when they let go, or by the next node
	}
	idle := !n.wanted(k) && v.leases == 0 && n.mappings(k) == 0
	noRAM, noDisk := !v.ram || idle, !v.disk || idle
	if idle {
		v.ram = false // nobody leases it between here and there
	}
	n.mu.Unlock()
	if idle {
		_, _ = n.offGPU(k) // leased: settled again when that ends
	}
	if noRAM && n.ram != nil && n.ram.ledger.Has(k) {
		_, _ = n.ram.remove(k) // leased: settled again when that ends
	}
	if noDisk && n.disk.ledger.Has(k) {
		n.disk.loosen(k)
	}
	n.forget(k)
}

// forget drops what is in memory of a version, as far as nobody needs it.
func (n *Node) forget(k ledger.Key) {
	n.mu.Lock()
	defer n.mu.Unlock()
	v := n.versions[k]
	if v == nil || v.held > 0 || v.leases > 0 || v.ram || v.onGPU() || n.mappings(k) > 0 {
		return
	}
	v.manifest = nil
	if !v.disk {
		delete(n.versions, k)
	}
}
