package node

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/nodecache/internal/ledger"
	"github.com/ingot-ml/ingot/nodecache/internal/tier"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/manifest"
	"github.com/ingot-ml/ingot/registry/name"
	"github.com/ingot-ml/ingot/registry/stream"
)

// Reader gives the chunks of a version to who reads its files, from the fastest tier
// that has each, or from the registry. Nobody waits for a whole version: what is not
// on the node is fetched in the order in which it is read, ahead of the loads that
// bring the version and together with them, so that no chunk comes twice at a time.
// It implements stream.Chunks.
type Reader struct {
	node *Node
	key  ledger.Key
	m    *manifest.Manifest
	load func()
}

var _ stream.Chunks = (*Reader)(nil)

// Reader returns a Reader of a version, which counts as used now. With load, the first
// chunk that is not on the node begins a load of all of them onto the disk, behind the
// calls.
func (n *Node) Reader(ref name.Ref, d chunker.Digest, m *manifest.Manifest, load bool) *Reader {
	r := &Reader{node: n, key: ledger.Key{Repo: ref.Repo, Digest: d}, m: m, load: func() {}}
	n.used(r.key)
	if load {
		r.load = sync.OnceFunc(func() { n.want(ref, r.key) })
	}
	return r
}

// used notes that a version is used.
func (n *Node) used(k ledger.Key) {
	now := n.config.Now()
	n.disk.ledger.Touch(k, now)
	n.disk.ledger.Touch(k.AsFiles(), now)
	if n.ram != nil {
		n.ram.ledger.Touch(k, now)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, m := range n.models {
		if m.Ref.Repo == k.Repo && m.current == k.Digest {
			m.lastUse = now
		}
	}
}

// want begins to bring a version onto the disk, unless that goes on already, and has
// ref served from it.
func (n *Node) want(ref name.Ref, k ledger.Key) {
	n.mu.Lock()
	v := n.versions[k]
	under := v != nil && (v.disk || len(v.jobs) > 0)
	n.mu.Unlock()
	if under {
		return
	}
	m, before := n.aim(ref, k.Digest)
	j := n.join(n.ctx, k, openapi.TierDisk, nil)
	n.mu.Lock()
	going := n.going(func() {
		defer n.leave(j)
		ctx, cancel := n.within(n.ctx, 0)
		defer cancel()
		err := n.await(ctx, j, nil, nil)
		n.aimed(m, k.Digest, before, openapi.TierDisk, err)
		if err != nil && !errors.Is(err, context.Canceled) {
			n.config.Logger.Warn("version that is read could not be kept on the disk", "ref", ref.String(), "version", k.Digest.Short(), "err", err)
		}
	})
	n.mu.Unlock()
	if !going {
		n.leave(j)
	}
}

// Chunk implements stream.Chunks.
func (r *Reader) Chunk(ctx context.Context, index uint32) (plain []byte, release func(), err error) {
	if int(index) >= len(r.m.Chunks) {
		return nil, nil, fmt.Errorf("chunk %d of %s: it has %d", index, r.key, len(r.m.Chunks))
	}
	ref := r.m.Chunks[index]
	for {
		plain, release, err := r.local(ctx, ref)
		if err == nil || ctx.Err() != nil {
			return plain, release, err
		}
		if r.node.config.Registry == nil {
			return nil, nil, fmt.Errorf("chunk %s of %s: %w", ref.Digest.Short(), r.key, errNoRegistry)
		}
		mine, err := r.node.flights.Take(ctx, ref.Digest)
		if err != nil {
			return nil, nil, err
		}
		if mine {
			return r.fetch(ctx, index)
		}
	}
}

// local returns a copy of a chunk that is on the node: who reads a file may be slow,
// and memory that leaves a tier has to be free at once. The error is tier.ErrAbsent if
// the chunk is in no tier.
func (r *Reader) local(ctx context.Context, ref chunker.Ref) (plain []byte, release func(), err error) {
	n := r.node
	room, release := stream.Room()
	err = tier.ErrAbsent
	if n.ram != nil {
		plain, err = n.config.RAM.Domain(r.key.Repo.Namespace).Read(ctx, ref, room)
	}
	if err != nil && ctx.Err() == nil && n.config.Disk.Has(ref.Digest) {
		plain, err = n.config.Disk.Read(ctx, ref, room)
		if errors.Is(err, tier.ErrDamaged) {
			n.damaged(ref.Digest)
		}
	}
	if err != nil {
		release()
		return nil, nil, err
	}
	return plain, release, nil
}

// fetch gets a chunk from the registry, and keeps it if there is room. The flight is
// the caller's.
func (r *Reader) fetch(ctx context.Context, index uint32) (plain []byte, release func(), err error) {
	n, ref := r.node, r.m.Chunks[index]
	defer n.flights.End(ref.Digest)
	if plain, release, err := r.local(ctx, ref); err == nil {
		return plain, release, nil // it came since somebody looked
	}
	r.load()
	room, release := stream.Room()
	plain, err = n.config.Registry.Plain(ctx, r.key.Repo, r.key.Digest, r.m, index, room)
	n.Reached(err)
	if errors.Is(err, client.ErrCorrupt) {
		n.count(func(c *Counters) { c.Refused++ })
	}
	if err != nil {
		release()
		return nil, nil, err
	}
	n.count(func(c *Counters) { c.Bytes.Registry += int64(ref.Size) })
	n.keepChunk(ctx, ref, plain)
	return plain, release, nil
}

// keepChunk puts a chunk on the disk that was read and that no version there may hold.
// Then it stays until its room is needed, and takes no room from a version.
func (n *Node) keepChunk(ctx context.Context, ref chunker.Ref, plain []byte) {
	c := ledger.Chunk{Digest: ref.Digest}
	held := n.disk.ledger.Holds(c)
	if most := n.highest(); !held && n.disk.ledger.Used()+n.config.Disk.Cost(ref.Size) > most {
		return
	}
	if n.config.Disk.Put(ctx, ref, plain, nil) != nil {
		return // it is read all the same
	}
	n.disk.change.Lock()
	defer n.disk.change.Unlock()
	if n.config.Disk.Has(ref.Digest) { // else a version came and went meanwhile
		n.disk.ledger.AddLoose(c, ref.Size)
	}
}

// highest is how much the disk may take before something is dropped.
func (n *Node) highest() int64 {
	if n.config.High > 0 {
		return n.config.High
	}
	return n.config.DiskLimits.Bytes
}
