package node

import (
	"context"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/nodecache/internal/ledger"
	"github.com/ingot-ml/ingot/registry/manifest"
	"github.com/ingot-ml/ingot/registry/name"
)

// askAgain is how long a registry that did not answer is not asked where a tag is, by
// those who can be served what the node has.
const askAgain = 10 * time.Second

// Where returns the version that ref is served from. One that the node follows is
// known; others are asked for, and if the registry does not answer, it is the one that
// the node has.
func (n *Node) Where(ctx context.Context, ref name.Ref) (chunker.Digest, error) {
	if d, ok := n.settled(ref); ok {
		return d, nil
	}
	return n.resolveBy(ctx, ref, n.config.Look)
}

// settled returns the version that ref is served from, if there is no use in asking.
func (n *Node) settled(ref name.Ref) (chunker.Digest, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	m := n.models[ref]
	if m == nil || m.current.IsZero() {
		return chunker.Digest{}, false
	}
	return m.current, m.Watch && !m.deleted || n.away()
}

// away reports whether the registry did not answer lately. n.mu is held.
func (n *Node) away() bool {
	return !n.registry.Reachable && !n.asked.IsZero() && n.config.Now().Sub(n.asked) < askAgain
}

// Away reports whether the registry did not answer lately, or there is none.
func (n *Node) Away() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.config.Registry == nil || n.away()
}

// Served returns where the references are that the node serves, of one repository, or
// of all if it is zero.
func (n *Node) Served(repo name.Repo) map[name.Ref]chunker.Digest {
	served := map[name.Ref]chunker.Digest{}
	n.mu.Lock()
	defer n.mu.Unlock()
	for ref, m := range n.models {
		if !m.current.IsZero() && (repo == name.Repo{} || repo == ref.Repo) {
			served[ref] = m.current
		}
	}
	return served
}

// Manifest returns the document of a version, from the node or the registry.
func (n *Node) Manifest(ctx context.Context, repo name.Repo, d chunker.Digest) (*manifest.Manifest, error) {
	return n.manifest(ctx, ledger.Key{Repo: repo, Digest: d})
}

// Hashes returns the sha256 of the files of a version by path, nil if they are not on
// the disk.
func (n *Node) Hashes(d chunker.Digest) map[string]string { return n.config.Disk.Hashes(d) }

// KeepHashes keeps the sha256 of the files of a version that is on the disk.
func (n *Node) KeepHashes(d chunker.Digest, sums map[string]string) {
	if err := n.config.Disk.PutHashes(d, sums); err != nil {
		n.config.Logger.Warn("hashes of files could not be kept", "version", d.Short(), "err", err)
	}
	n.weighDocuments()
}
