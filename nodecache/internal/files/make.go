package files

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"syscall"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/nodecache/hfcache"
	"github.com/ingot-ml/ingot/nodecache/internal/ledger"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/catalog"
	"github.com/ingot-ml/ingot/registry/name"
)

// make makes the files of a version, unless they are there.
func (k *Keeper) make(ctx context.Context, key ledger.Key) (hfcache.Receipt, error) {
	if got, there := k.there(key); there {
		return got, nil
	}
	rev, err := k.config.Source.Revision(ctx, key.Repo, key.Digest.String())
	if err != nil {
		return hfcache.Receipt{}, err
	}
	parts, bytes := partsOf(rev)
	if err := k.config.Node.AdmitFiles(ctx, key, parts); err != nil {
		return hfcache.Receipt{}, err
	}
	defer k.config.Node.ReleaseFiles(key)
	// From here on they are known, so that a process that ends leaves nothing behind
	// that nobody accounts for.
	k.note(key, &kept{commit: rev.Commit, bytes: bytes, parts: parts})
	if err := k.save(); err != nil {
		return hfcache.Receipt{}, err
	}
	got, err := k.tree.Materialize(ctx, k.config.Source, rev, hfcache.Options{})
	if err != nil {
		return hfcache.Receipt{}, err // what there is serves the next one
	}
	k.note(key, &kept{commit: rev.Commit, bytes: bytes, parts: parts, made: k.config.Now(), whole: true})
	k.learn(key.Digest, rev)
	return got, k.save()
}

// there looks whether the files are there. It needs nobody else for that.
func (k *Keeper) there(key ledger.Key) (hfcache.Receipt, bool) {
	k.mu.Lock()
	v := k.kept[key]
	k.mu.Unlock()
	if v == nil || !v.whole {
		return hfcache.Receipt{}, false
	}
	s, whole := k.tree.Snapshot(key.Repo, v.commit)
	if !whole {
		return hfcache.Receipt{}, false // somebody has changed the folder
	}
	return hfcache.Receipt{
		Repo: key.Repo, Commit: v.commit, Path: k.tree.Path(key.Repo, v.commit), Files: len(s.Files),
		Bytes: v.bytes, BytesReused: v.bytes,
	}, true
}

func (k *Keeper) note(key ledger.Key, v *kept) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.kept[key] = v
}

// learn has the node know the sha256 of files, which the names of their blobs are.
func (k *Keeper) learn(d chunker.Digest, rev *catalog.Revision) {
	s, whole := k.tree.Snapshot(rev.Repo, rev.Commit)
	if !whole {
		return
	}
	sums := make(map[string]string, len(s.Files))
	for _, f := range s.Files {
		sums[f.Path] = f.Blob
	}
	k.config.Node.KeepHashes(d, sums)
}

// Dropped removes the files of a version that have left the account. It is called by
// the node, and does not call it.
func (k *Keeper) Dropped(key ledger.Key) {
	k.mu.Lock()
	v := k.kept[key]
	delete(k.kept, key)
	k.mu.Unlock()
	if v == nil {
		return
	}
	if err := k.tree.Drop(key.Repo, v.commit); err != nil {
		k.config.Logger.Warn("files could not be removed and take room until the next start", "repo", key.Repo.String(), "commit", v.commit, "err", err)
		return
	}
	k.config.Logger.Info("files left the disk", "repo", key.Repo.String(), "version", key.Digest.Short())
	if err := k.save(); err != nil {
		k.config.Logger.Warn("the state of files could not be written", "err", err)
	}
}

// maxPart is the longest part of a file in the account, in bytes.
const maxPart = 1 << 30

// partsOf returns what the files of a revision are in the account, and their bytes.
// Files that are equal are one there, as in the folder.
func partsOf(rev *catalog.Revision) (parts []chunker.Ref, bytes int64) {
	seen := map[string]bool{}
	for i := range rev.Files {
		f := &rev.Files[i]
		bytes += f.Size
		blob := f.SHA256
		if blob == "" {
			blob = f.ETag
		}
		if seen[blob] {
			continue
		}
		seen[blob] = true
		for n, left := 0, f.Size; left > 0; n++ {
			size := min(left, maxPart)
			left -= size
			parts = append(parts, chunker.Ref{Digest: chunker.Sum([]byte("file " + blob + " part " + strconv.Itoa(n))), Size: uint32(size)})
		}
	}
	return parts, bytes
}

// told turns an error into what callers are told of it.
func told(ref name.Ref, err error) error {
	what := fmt.Sprintf("materialize %s", ref)
	wire, said := errors.AsType[*openapi.Error](err)
	switch {
	case said:
		return openapi.Errorf(wire.Code, "%s: %s", what, wire.Message)
	case errors.Is(err, client.ErrUnreachable):
		return openapi.Errorf(openapi.CodeUnavailable, "%s: %v", what, err)
	case errors.Is(err, client.ErrCorrupt), errors.Is(err, hfcache.ErrWrong):
		return openapi.Errorf(openapi.CodeBadChunk, "%s: %v", what, err)
	case errors.Is(err, hfcache.ErrName):
		return openapi.Errorf(openapi.CodeBadName, "%s: %v", what, err)
	case errors.Is(err, hfcache.ErrBusy):
		return openapi.Errorf(openapi.CodeBusy, "%s: %v", what, err)
	case errors.Is(err, catalog.ErrNoRepo), errors.Is(err, catalog.ErrNoRevision):
		return openapi.Errorf(openapi.CodeNotFound, "%s: %v", what, err)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return openapi.Errorf(openapi.CodeNoSpace, "%s: %v", what, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}
