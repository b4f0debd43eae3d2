package nodecache

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/client/remote"
	"github.com/ingot-ml/ingot/nodecache/internal/hubnode"
	"github.com/ingot-ml/ingot/nodecache/internal/node"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/hub"
	"github.com/ingot-ml/ingot/registry/manifest"
	"github.com/ingot-ml/ingot/registry/name"
	"github.com/ingot-ml/ingot/registry/stream"
)

// hubMemory is what all who read files at a time have in memory together: some ten
// clients as fast as they can, and any number of slower ones.
const hubMemory = 128 << 20

// catalogNode is a node.Node in the words of hubnode.
type catalogNode struct{ *node.Node }

// Chunks implements hubnode.Node.
func (c catalogNode) Chunks(ref name.Ref, d chunker.Digest, m *manifest.Manifest, load bool) stream.Chunks {
	return c.Reader(ref, d, m, load)
}

// newSource returns the node's models as files.
func (n *Node) newSource() *hubnode.Source {
	ahead := stream.NewAhead(hubMemory, 0)
	c := hubnode.Config{Node: catalogNode{n.engine}, Ahead: ahead}
	if n.client != nil {
		c.Remote = remote.New(remote.Config{Registry: watched{n.quick, n.engine.Reached}, Ahead: ahead})
	}
	return hubnode.New(c)
}

// watched is the registry, and tells whether it answers.
type watched struct {
	*client.Registry
	reached func(error)
}

// Tag implements remote.Registry.
func (w watched) Tag(ctx context.Context, repo name.Repo, tag string) (openapi.Tag, error) {
	t, err := w.Registry.Tag(ctx, repo, tag)
	w.reached(err)
	return t, err
}

// Version implements remote.Registry.
func (w watched) Version(ctx context.Context, repo name.Repo, prefix string) (openapi.VersionInfo, error) {
	v, err := w.Registry.Version(ctx, repo, prefix)
	w.reached(err)
	return v, err
}

// FileHashes implements remote.Registry.
func (w watched) FileHashes(ctx context.Context, ref name.Ref) (openapi.FileHashes, error) {
	h, err := w.Registry.FileHashes(ctx, ref)
	w.reached(err)
	return h, err
}

// newHub answers clients of the Hugging Face Hub, who may read and not write.
func newHub(s *hubnode.Source, logger *slog.Logger) http.Handler {
	return hub.New(hub.Config{Source: s, Logger: logger})
}
