package node

import (
	"context"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/nodecache/internal/ledger"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/manifest"
)

// clearRAM takes out of the RAM what has left its account. A version that is on
// no disk falls there first, if there is room without waiting.
func (n *Node) clearRAM(out ledger.Eviction) {
	for _, k := range out.Keys {
		n.mu.Lock()
		v := n.versions[k]
		fall := v != nil && v.ram && !v.disk && n.wanted(k)
		n.mu.Unlock()
		if fall && !n.demote(v) {
			n.config.Logger.Warn("version left the RAM, and the disk has no room for it", "version", k.Digest.Short(), "repo", k.Repo.String())
		}
		n.fell(k, openapi.TierRAM)
	}
	for _, c := range out.Freed {
		n.config.RAM.Domain(c.Domain).Drop(c.Digest)
	}
}

// clearDisk takes off the disk what has left its account.
func (n *Node) clearDisk(out ledger.Eviction) {
	for _, k := range out.Keys {
		if k.Files {
			n.dropFiles(k)
			continue
		}
		n.fell(k, openapi.TierDisk)
		if !n.onDisk(k.Digest) {
			n.config.Disk.DropManifest(k.Digest)
		}
	}
	for _, c := range out.Freed {
		if c.Domain != filesDomain {
			n.config.Disk.Drop(c.Digest)
		}
	}
	if len(out.Keys) > 0 {
		n.weighDocuments()
	}
}

// onDisk reports whether a version of that digest is on the disk, in any
// repository: they share the document.
func (n *Node) onDisk(d chunker.Digest) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	for k, v := range n.versions {
		if k.Digest == d && v.disk {
			return true
		}
	}
	return false
}

// fell notes that a version has left a tier.
func (n *Node) fell(k ledger.Key, from openapi.Tier) {
	n.mu.Lock()
	v := n.versions[k]
	was := v.in(from)
	if v != nil && from == openapi.TierRAM {
		v.ram = false
	} else if v != nil {
		v.disk = false
	}
	to := v.tier()
	n.mu.Unlock()
	if was {
		n.tell(k, openapi.NodeEvent{Type: openapi.EventDropped, Tier: to})
	}
}

// demote writes what the disk lacks of a version, from the RAM. It reports
// whether all of it is on the disk now.
func (n *Node) demote(v *version) bool {
	n.mu.Lock()
	m := v.manifest
	n.mu.Unlock()
	if m == nil || n.disk.try(ledger.Entry{Key: v.key, Chunks: m.Chunks}) != nil {
		return false
	}
	defer n.disk.release(v.key)
	written, err := n.copyDown(v.key, m)
	n.count(func(c *Counters) { c.Demoted += uint64(written) })
	if err != nil || n.keepManifest(v.key, m) != nil {
		return false
	}
	n.mu.Lock()
	v.disk = true
	n.mu.Unlock()
	return true
}

// copyDown writes what the disk lacks of a version, from the RAM.
func (n *Node) copyDown(k ledger.Key, m *manifest.Manifest) (written int, err error) {
	domain := n.config.RAM.Domain(k.Repo.Namespace)
	buf := make([]byte, 0, chunker.MaxSize)
	ctx := context.Background() // a chunk at a time, none of which takes long
	for _, c := range m.Chunks {
		if n.config.Disk.Has(c.Digest) {
			continue
		}
		plain, err := domain.Read(ctx, c, buf)
		if err == nil {
			err = n.config.Disk.Put(ctx, c, plain, nil)
		}
		if err != nil {
			return written, err
		}
		written++
	}
	return written, nil
}

// count changes the counters.
func (n *Node) count(change func(*Counters)) {
	n.mu.Lock()
	change(&n.counters)
	n.mu.Unlock()
}
