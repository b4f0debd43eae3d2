package registry

import (
	"context"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/registry/internal/bolt"
	"github.com/ingot-ml/ingot/registry/internal/versions"
)

// chunkIndex is the index of package bolt in the words of package versions. The
// two do not know each other.
type chunkIndex struct{ *bolt.Index }

// Add implements versions.Index. A registry that is open for reading has no index,
// and nothing to add.
func (x chunkIndex) Add(ctx context.Context, repo string, version chunker.Digest, chunks []chunker.Ref) error {
	if x.Index == nil {
		return nil
	}
	return x.Index.Add(ctx, repo, version, chunks)
}

// Lookup implements versions.Index.
func (x chunkIndex) Lookup(ctx context.Context, digests []chunker.Digest, reach versions.Reach) ([][]versions.Source, error) {
	if x.Index == nil {
		return make([][]versions.Source, len(digests)), nil
	}
	found, err := x.Index.Lookup(ctx, digests, reach.Near, reach.May)
	if err != nil {
		return nil, err
	}
	lists := make([][]versions.Source, len(found))
	for i, list := range found {
		for _, s := range list {
			lists[i] = append(lists[i], versions.Source(s))
		}
	}
	return lists, nil
}
