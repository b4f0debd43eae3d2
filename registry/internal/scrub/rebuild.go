package scrub

import (
	"bytes"
	"context"
	"strings"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/registry/internal/placement"
	"github.com/ingot-ml/ingot/registry/internal/record"
	"github.com/ingot-ml/ingot/registry/internal/registers"
	"github.com/ingot-ml/ingot/registry/internal/versions"
	"github.com/ingot-ml/ingot/registry/name"
)

// rebuild gives a version a body again: from what this process remembers, or from
// the same version in another repository.
func (h *healing) rebuild(ctx context.Context, one patient) (bool, error) {
	move, err := h.Service.StartMove(ctx)
	if err != nil {
		return false, err
	}
	keep := func(_ int, _ chunker.Ref, old placement.Entry) placement.Entry { return old }
	if changed, err := move.Point(ctx, one.repo, one.digest, keep); changed || err != nil {
		return changed, err
	}
	twins, err := h.twins(ctx, one)
	if err != nil {
		return false, err
	}
	for _, twin := range twins {
		if changed, err := h.rebuildFrom(ctx, move, one, twin); changed || err != nil {
			return changed, err
		}
	}
	return false, nil
}

// twins returns the other repositories that have ever had the version.
func (h *healing) twins(ctx context.Context, one patient) (repos []name.Repo, err error) {
	err = h.book.Each(ctx, record.HeadPrefix, "", func(e registers.Entry) (bool, error) {
		if !strings.HasSuffix(e.Key, "/"+one.digest.String()) {
			return true, nil
		}
		repo, _, err := record.ParseHeadKey(e.Key)
		if err == nil && repo != one.repo {
			repos = append(repos, repo)
		}
		return true, err
	})
	return repos, err
}

func (h *healing) rebuildFrom(ctx context.Context, move *versions.Move, one patient, twin name.Repo) (bool, error) {
	var document []byte
	var digests []chunker.Digest
	err := h.withVersion(ctx, twin, one.digest, func(_ context.Context, ver *version) error {
		document = bytes.Clone(ver.document)
		for _, ref := range ver.manifest.Chunks {
			digests = append(digests, ref.Digest)
		}
		return nil
	})
	if isDamage(err) != nil || err == nil && document == nil {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	entries, err := move.Find(ctx, one.repo, digests, versions.Source{Repo: twin.String(), Version: one.digest})
	if err != nil {
		return false, err
	}
	for i := range entries {
		if entries[i].Object == "" {
			return false, nil
		}
	}
	return move.Rebuild(ctx, one.repo, document, entries)
}
