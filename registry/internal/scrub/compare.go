package scrub

import (
	"context"
	"errors"
	"fmt"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/placement"
	"github.com/ingot-ml/ingot/registry/internal/record"
	"github.com/ingot-ml/ingot/registry/name"
)

// errTooMany reports a part with more places than may be remembered.
var errTooMany = errors.New("too many places for one pass")

// compare compares the places that versions name with the objects of the store,
// part by part, in as few parts as there is room for.
func (v *verification) compare(ctx context.Context) error {
	for of := uint64(1); ; of *= 2 {
		err := v.parts(ctx, of)
		if !errors.Is(err, errTooMany) {
			return err
		}
		v.reset()
		v.report.Objects, v.report.Bytes, v.report.Foreign = 0, 0, []string{}
	}
}

func (v *verification) parts(ctx context.Context, of uint64) error {
	p := new(places)
	for i := range of {
		p.clear(part{i, of})
		if err := v.bodies(ctx, p, i == 0); err != nil {
			return err
		}
		p.seal()
		w := walk{verification: v, places: p, first: i == 0}
		if err := w.objects(ctx); err != nil {
			return err
		}
		if p.complete() {
			continue
		}
		if err := v.lacking(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// bodies reads every body and notes the places that it names. What somebody has
// left in the middle of pointing a version elsewhere is finished.
func (v *verification) bodies(ctx context.Context, p *places, first bool) error {
	return v.eachVersion(ctx, func(ctx context.Context, ver *version) error {
		for i := range ver.entries {
			for at := range placesOf(&ver.entries[i], ver.manifest.Chunks[i].Digest) {
				p.add(at)
			}
		}
		if p.count() > v.Places {
			return errTooMany
		}
		if !first {
			return nil
		}
		v.tell(openapi.VerifyProgress{Phase: "versions", Done: v.heads.Add(1)})
		if ver.next == "" || v.ReadOnly {
			return nil
		}
		return v.Service.FinishMove(ctx, ver.repo, ver.digest)
	}, func(repo name.Repo, d chunker.Digest, lost *damage) {
		v.unreadable(repo, d, lost)
		if first {
			v.heads.Add(1)
		}
	})
}

// unreadable notes that the body of a version cannot be read, or its head.
func (v *verification) unreadable(repo name.Repo, d chunker.Digest, lost *damage) {
	v.add(&finding{object: lost.object, digest: d, reason: lost.reason, missing: lost.missing, register: lost.object == record.HeadKey(repo, d)})
	v.needed(lost.object, refOf(repo, d))
}

// lacking looks for the versions that name places which the store was not seen to
// have, and holds it against the store where that is still so.
func (v *verification) lacking(ctx context.Context, p *places) error {
	return v.eachVersion(ctx, func(ctx context.Context, ver *version) error {
		ref := ver.ref()
		for i := range ver.entries {
			for at := range placesOf(&ver.entries[i], ver.manifest.Chunks[i].Digest) {
				if !p.lacks(at) {
					continue
				}
				if moved, err := v.accuse(ctx, ver, ref, at); err != nil || moved {
					return err
				}
			}
		}
		return nil
	}, v.unreadable)
}

// accuse looks at one place that a version names. moved tells that the version
// names others by now.
func (v *verification) accuse(ctx context.Context, ver *version, ref string, at place) (moved bool, err error) {
	if v.covers(at) {
		v.needed(at.object, ref)
		return false, nil
	}
	found, err := v.look(ctx, at)
	if err != nil || found == nil {
		return false, err
	}
	h, err := v.head(ctx, ver.repo, ver.digest)
	if err != nil {
		return false, err
	}
	if h == nil || h.Body != ver.body {
		return true, nil
	}
	v.add(found)
	v.needed(at.object, ref)
	return false, nil
}

// look returns what is wrong with a place, or nil.
func (v *verification) look(ctx context.Context, at place) (*finding, error) {
	found := &finding{object: at.object, digest: at.digest}
	info, err := v.stat(ctx, at.object)
	if err == nil && placement.ParseName(at.object).Kind == placement.Chunk && info.Size != int64(at.length) {
		found.reason = fmt.Sprintf("it has %d bytes, %d are named", info.Size, at.length)
		return found, nil
	}
	if err == nil {
		found.reason, err = v.twice(ctx, at.object, func() (string, error) { return v.check(ctx, at) })
	}
	if gone(err) {
		found.reason, found.missing = notThere, true
		return found, nil
	}
	if err != nil || found.reason == "" {
		return nil, err
	}
	if placement.ParseName(at.object).Kind != placement.Chunk {
		found.places = []uint32{at.offset}
		found.reason = fmt.Sprintf("chunk at byte %d: %s", at.offset, found.reason)
	}
	return found, nil
}
