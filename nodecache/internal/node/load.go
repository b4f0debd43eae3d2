package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/nodecache/internal/ledger"
	"github.com/ingot-ml/ingot/nodecache/internal/load"
	"github.com/ingot-ml/ingot/nodecache/internal/plan"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/manifest"
	"github.com/ingot-ml/ingot/registry/name"
	"github.com/ingot-ml/ingot/registry/signature"
)

// errNoRegistry reports what only a registry has, on a node that has none.
var errNoRegistry = openapi.Errorf(openapi.CodeUnavailable, "the node has no registry to get it from")

// load makes room for the version of a job and brings what is missing.
func (n *Node) load(ctx context.Context, v *version, j *job) error {
	began := n.config.Now()
	m, err := n.manifest(ctx, j.key)
	if err != nil {
		return err
	}
	n.mu.Lock()
	v.manifest, v.total, v.chunks = m, int64(m.ChunkBytes()), len(m.Chunks)
	n.mu.Unlock()
	j.total.Store(v.total)
	j.arrived.expect(len(m.Chunks))

	onDisk, err := n.admitDisk(ctx, j, m)
	if err != nil {
		return err
	}
	if j.tier == openapi.TierRAM {
		if from, ok := n.under(j.key, m); ok {
			err := n.patch(ctx, v, j, from, onDisk)
			if !errors.Is(err, errUnpatched) {
				return err
			}
			n.config.Logger.Info("version does not come over the one before it", "repo", j.key.Repo.String(), "version", j.key.Digest.Short(), "err", err)
		}
		if err := n.ram.admit(ctx, n.entry(j.key, openapi.TierRAM, m)); err != nil {
			return err
		}
		j.leased = append(j.leased, n.ram)
	}
	close(j.admitted)
	if err := n.loads.Acquire(ctx, 1); err != nil {
		return err
	}
	defer n.loads.Release(1)
	waited := n.config.Now().Sub(began)

	p, held := n.plan(j.key, j.tier, m, j.first)
	result, err := load.Run(ctx, n.order(j, m, p, held, onDisk))
	n.fill(j, m, result)
	j.receipt.Phases.Wait = milliseconds(waited)
	if err != nil {
		return err
	}
	n.loaded(v, j, m, onDisk && result.StoreErr == nil)
	return nil
}

// loaded notes that a version is where its job was to bring it, and whether all of it
// is on the disk too.
func (n *Node) loaded(v *version, j *job, m *manifest.Manifest, stored bool) {
	n.mu.Lock()
	before := v.disk
	n.mu.Unlock()
	if stored && !before {
		stored = n.keepManifest(j.key, m) == nil
	}
	n.mu.Lock()
	v.disk = v.disk || stored
	v.ram = v.ram || j.tier == openapi.TierRAM
	n.mu.Unlock()
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// admitDisk makes room on the disk, where what is in a faster tier is kept too if
// there is room without waiting.
func (n *Node) admitDisk(ctx context.Context, j *job, m *manifest.Manifest) (onDisk bool, err error) {
	e := n.entry(j.key, openapi.TierDisk, m)
	if j.tier == openapi.TierDisk {
		if err := n.disk.admit(ctx, e); err != nil {
			return false, err
		}
	} else if err := n.disk.try(e); err != nil {
		n.config.Logger.Warn("version is not kept on the disk", "repo", j.key.Repo.String(), "version", j.key.Digest.Short(), "err", err)
		return false, nil
	}
	j.leased = append(j.leased, n.disk)
	return true, nil
}

// plan says where the chunks of a version come from, and which versions have bases for
// those that may come as deltas.
func (n *Node) plan(k ledger.Key, to openapi.Tier, m *manifest.Manifest, first []string) (plan.Plan, []client.Held) {
	have := []plan.Have{{Source: plan.Disk, Has: n.config.Disk.Has}}
	if to == openapi.TierRAM {
		domain := n.config.RAM.Domain(k.Repo.Namespace)
		have = []plan.Have{{Source: plan.RAM, Has: domain.Has}, have[0]}
	}
	p := plan.Make(m, have, first)
	if p.Count[plan.Registry] == 0 || n.config.Registry == nil {
		return p, nil
	}
	held := n.held(k, m)
	if len(held) == 0 {
		return p, nil
	}
	return plan.Make(m, append(have, related(m, held)), first), held
}

// order is the load of a job in the words of package load.
func (n *Node) order(j *job, m *manifest.Manifest, p plan.Plan, held []client.Held, onDisk bool) load.Order {
	o := load.Order{
		Repo: j.key.Repo, Digest: j.key.Digest, Manifest: m, Plan: p, Held: held,
		Source: n.config.Disk, Flights: n.flights, Workers: n.config.Workers,
		Arrived: func(c uint32) {
			j.arrived.add(c)
			n.progress(j, int64(m.Chunks[c].Size))
		},
		Damaged: n.damaged,
		Refused: func() { n.count(func(c *Counters) { c.Refused++ }) },
	}
	if onDisk {
		o.Disk = n.config.Disk
	}
	if j.tier == openapi.TierRAM {
		o.RAM = n.config.RAM.Domain(j.key.Repo.Namespace)
	}
	if n.config.Registry != nil {
		o.Fetcher = n.config.Registry
	}
	return o
}

// progress notes bytes that have arrived, and tells of them now and then.
func (n *Node) progress(j *job, bytes int64) {
	done := j.progress.Add(bytes)
	now, last := n.config.Now().UnixNano(), j.toldAt.Load()
	if now-last < int64(tellEvery) || !j.toldAt.CompareAndSwap(last, now) {
		return
	}
	n.tell(j.key, openapi.NodeEvent{Type: openapi.EventLoading, Tier: j.tier, Bytes: done, Total: j.total.Load()})
}

// damaged counts a chunk of the disk that was dropped.
func (n *Node) damaged(d chunker.Digest) {
	n.count(func(c *Counters) { c.Damaged++ })
	n.config.Logger.Warn("chunk on the disk was damaged and is fetched again", "chunk", d.String())
	n.events.tell(openapi.NodeEvent{Type: openapi.EventDamaged, Message: d.String()})
}

// fill writes the receipt.
func (n *Node) fill(j *job, m *manifest.Manifest, r load.Result) {
	j.receipt.BytesTotal, j.receipt.ChunksTotal = int64(m.ChunkBytes()), len(m.Chunks)
	j.receipt.BytesReceived, j.receipt.ChunksNew = r.Received.Bytes, r.ChunksNew
	j.receipt.BytesReceivedDelta, j.receipt.BytesReceivedBase = r.Received.DeltaBytes, r.Received.BaseBytes
	j.receipt.ChunksDelta, j.receipt.BasesWrong = r.Received.DeltaChunks, r.Received.BasesWrong
	j.receipt.Sources, j.receipt.Phases = r.Sources, r.Phases
	j.receipt.BytesReused = r.Sources.Disk + r.Sources.RAM
}

// manifest returns the document of a version that may be loaded, from memory, the disk
// or the registry.
func (n *Node) manifest(ctx context.Context, k ledger.Key) (*manifest.Manifest, error) {
	if err := n.trusted(ctx, k); err != nil {
		return nil, err
	}
	if m, err := n.manifestHere(k); err == nil {
		return m, nil
	}
	if n.config.Registry == nil {
		return nil, errNoRegistry
	}
	m, _, err := n.config.Registry.Manifest(ctx, name.Ref{Repo: k.Repo, Digest: k.Digest})
	n.Reached(err)
	return m, err
}

// trusted returns nil for a version that may be loaded.
func (n *Node) trusted(ctx context.Context, k ledger.Key) error {
	err := n.config.Trust.Check(ctx, k.Repo, k.Digest)
	if errors.Is(err, client.ErrUnreachable) {
		n.Reached(err)
	}
	if errors.Is(err, signature.ErrUntrusted) {
		return openapi.Errorf(openapi.CodeForbidden, "%v: this node loads nothing else of this repository", err)
	}
	return err
}

// manifestHere is manifest without the registry, of a version that was loaded before.
func (n *Node) manifestHere(k ledger.Key) (*manifest.Manifest, error) {
	n.mu.Lock()
	var m *manifest.Manifest
	if v := n.versions[k]; v != nil {
		m = v.manifest
	}
	n.mu.Unlock()
	if m != nil {
		return m, nil
	}
	doc, err := n.config.Disk.Manifest(k.Digest)
	if err != nil {
		return nil, err
	}
	return manifest.Parse(doc)
}

// keepManifest keeps the document of a version on the disk, so that the node
// knows after a restart what it has.
func (n *Node) keepManifest(k ledger.Key, m *manifest.Manifest) error {
	doc, err := m.Encode()
	if err != nil {
		return fmt.Errorf("keep manifest %s: %w", k.Digest.Short(), err)
	}
	if err := n.config.Disk.PutManifest(k.Digest, doc); err != nil {
		return fmt.Errorf("keep manifest %s: %w", k.Digest.Short(), err)
	}
	if err := n.config.Trust.Keep(k.Repo, k.Digest); err != nil {
		return err
	}
	n.weighDocuments()
	return nil
}

// Plan says what a load would move, and changes nothing.
func (n *Node) Plan(ctx context.Context, o LoadOrder) (openapi.LoadReceipt, error) {
	ref, to := o.Ref, o.Tier
	what := fmt.Sprintf("plan %s", ref)
	if to == openapi.TierGPU && len(n.config.GPUs) == 0 {
		return openapi.LoadReceipt{}, n.noGPU(what)
	}
	by := min(to, openapi.TierRAM) // what is to be on a GPU comes into RAM first
	if n.shelf(by) == nil {
		return openapi.LoadReceipt{}, noTier(what, to)
	}
	if _, err := n.named(o.Device); err != nil && o.Device != "" {
		return openapi.LoadReceipt{}, told(what, err)
	}
	d, err := n.resolve(ctx, ref)
	if err != nil {
		return openapi.LoadReceipt{}, told(what, err)
	}
	k := ledger.Key{Repo: ref.Repo, Digest: d}
	m, err := n.manifest(ctx, k)
	if err != nil {
		return openapi.LoadReceipt{}, told(what, err)
	}
	if err := n.shelf(by).blocked(n.entry(k, by, m)); errors.Is(err, ledger.ErrTooLarge) {
		if by != to {
			err = told(intoRAM, err)
		}
		return openapi.LoadReceipt{}, told(what, err)
	}
	p, _ := n.plan(k, by, m, nil)
	s := p.Sources()
	return openapi.LoadReceipt{
		Ref: ref.String(), Version: d, Tier: to, BytesTotal: int64(m.ChunkBytes()), ChunksTotal: len(m.Chunks),
		BytesReused: s.Disk + s.RAM, ChunksNew: p.Count[plan.Registry] + p.Count[plan.Delta], Sources: s,
	}, nil
}

func noTier(what string, t openapi.Tier) error {
	return openapi.Errorf(openapi.CodeBadRequest, "%s: this node has no tier %s", what, t)
}
