package scrub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/blobs"
	"github.com/ingot-ml/ingot/registry/internal/placement"
	"github.com/ingot-ml/ingot/registry/internal/record"
	"github.com/ingot-ml/ingot/registry/internal/registers"
)

// registers looks at what points at versions, and at what versions point at.
func (v *verification) registers(ctx context.Context) error {
	v.tell(openapi.VerifyProgress{Phase: "tags"})
	err := v.book.Each(ctx, "t/", "", func(e registers.Entry) (bool, error) { return true, v.tag(ctx, e.Key) })
	if err != nil || !v.deep {
		return err
	}
	v.tell(openapi.VerifyProgress{Phase: "hashes"})
	return v.book.Each(ctx, "h/", "", func(e registers.Entry) (bool, error) { return true, v.hashes(ctx, e.Key) })
}

// tag looks whether a tag points at a version that can be read.
func (v *verification) tag(ctx context.Context, key string) error {
	for tried := ""; ; {
		var rec record.Tag
		_, err := v.book.Load(ctx, key, &rec)
		if errors.Is(err, record.ErrInvalid) {
			v.add(&finding{object: key, reason: err.Error(), register: true})
			return nil
		}
		if err != nil || rec.Digest == "" {
			return err
		}
		repo, _, err := record.ParseKey(key)
		if err != nil {
			return err
		}
		d, err := chunker.ParseDigest(rec.Digest)
		if err == nil {
			h, err := v.head(ctx, repo, d)
			if isDamage(err) != nil || err == nil && h != nil {
				return nil // a head that is no head is a finding of its own
			}
			if err != nil {
				return err
			}
		}
		if tried == rec.Nonce { // it is where it was
			v.add(&finding{object: key, digest: d, reason: "the tag points at a version that is not there: set it again, or delete it", register: true})
			return nil
		}
		tried = rec.Nonce
	}
}

// maxHashes bounds the sha256 of a version's files, as their writer does.
const maxHashes = 64 << 20

// hashes looks whether the sha256 of a version's files can be read. They are
// computed again when somebody asks for them.
func (v *verification) hashes(ctx context.Context, key string) error {
	repo, rest, err := record.ParseKey(key)
	if err != nil {
		return err
	}
	d, err := chunker.ParseDigest(rest)
	if err != nil {
		return fmt.Errorf("register %q: %w", key, err)
	}
	var rec record.Hashes
	if _, err := v.book.Load(ctx, key, &rec); err != nil {
		if errors.Is(err, record.ErrInvalid) {
			v.add(&finding{object: key, digest: d, reason: err.Error(), register: true})
			return nil
		}
		return err
	}
	h, err := v.head(ctx, repo, d)
	if isDamage(err) != nil {
		return nil
	}
	if err != nil || h == nil || rec.Blob == "" {
		return err
	}
	reason, err := v.twice(ctx, rec.Blob, func() (string, error) { return v.readHashes(ctx, rec.Blob) })
	if reason != "" {
		v.add(&finding{object: rec.Blob, digest: d, reason: reason + "; it is computed again when it is asked for", register: true})
		v.needed(rec.Blob, refOf(repo, d))
	}
	return err
}

func (v *verification) readHashes(ctx context.Context, blob string) (reason string, err error) {
	var raw []byte
	err = patiently(ctx, func() error {
		raw, err = blobs.Read(ctx, v.Blobs, blob, maxHashes)
		return err
	})
	if errors.Is(err, blobs.ErrNotFound) {
		return "", nil // collected while the version was retired; computed again
	}
	if err != nil {
		return "", err
	}
	if err := placement.CheckSeal(blob, raw); err != nil {
		return err.Error(), nil
	}
	var list openapi.FileHashes
	if err := json.Unmarshal(raw, &list); err != nil {
		return err.Error(), nil
	}
	return "", nil
}
