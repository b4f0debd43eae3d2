package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/manifest"
	"github.com/ingot-ml/ingot/registry/name"
)

// maxCompared is how many other versions show looks at: each costs the fetch of a
// manifest, of some MiB for a large model.
const maxCompared = 20

// sharing says what a version has in common with the others of its repository.
type sharing struct {
	Parent   overlap `json:"parent"`
	Others   overlap `json:"others"`
	Versions int     `json:"versions"` // others that there are
}

// overlap counts the distinct chunks that a version shares with some others.
type overlap struct {
	Compared int    `json:"compared"` // versions that were looked at
	Chunks   int    `json:"chunks_shared"`
	Bytes    uint64 `json:"bytes_shared"` // plain
}

func (o overlap) String() string { return fmt.Sprintf("%d (%s)", o.Chunks, size(o.Bytes)) }

// compareOthers looks for the chunks of m, the version digest of repo, in its
// parent and in the newest of the other versions.
func compareOthers(ctx context.Context, r *client.Registry, repo name.Repo, digest chunker.Digest, m *manifest.Manifest) (sharing, error) {
	var s sharing
	versions, err := newestFirst(ctx, r, repo)
	if err != nil {
		return s, err
	}
	found := make(map[chunker.Digest]bool, len(m.Chunks))
	for _, v := range versions {
		if v.Digest == digest {
			continue
		}
		s.Versions++
		if s.Others.Compared == maxCompared {
			continue
		}
		if err := markShared(ctx, r, name.Ref{Repo: repo, Digest: v.Digest}, found, &s.Others); err != nil {
			return s, err
		}
	}
	s.Others.count(m, found)
	if m.Parent.IsZero() {
		return s, nil
	}
	clear(found)
	err = markShared(ctx, r, name.Ref{Repo: repo, Digest: m.Parent}, found, &s.Parent)
	s.Parent.count(m, found)
	return s, err
}

// markShared enters the chunks of one version into found. A version that is gone,
// or is kept in another repository, shares nothing that can be told.
func markShared(ctx context.Context, r *client.Registry, ref name.Ref, found map[chunker.Digest]bool, o *overlap) error {
	other, _, err := r.Manifest(ctx, ref)
	if errors.Is(err, &openapi.Error{Code: openapi.CodeNotFound}) {
		return nil
	}
	if err != nil {
		return err
	}
	o.Compared++
	for _, chunk := range other.Chunks {
		found[chunk.Digest] = true
	}
	return nil
}

// count counts the chunks of m that were found.
func (o *overlap) count(m *manifest.Manifest, found map[chunker.Digest]bool) {
	for _, chunk := range m.Chunks {
		if found[chunk.Digest] {
			o.Chunks++
			o.Bytes += uint64(chunk.Size)
		}
	}
}
