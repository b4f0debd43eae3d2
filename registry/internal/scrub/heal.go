package scrub

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/blobs"
	"github.com/ingot-ml/ingot/registry/internal/placement"
	"github.com/ingot-ml/ingot/registry/internal/record"
	"github.com/ingot-ml/ingot/registry/internal/versions"
	"github.com/ingot-ml/ingot/registry/name"
)

const (
	// tries is how often a version is healed anew when a collection wants what would
	// heal it.
	tries = 3
	// mostWanted bounds the chunks that are looked for at a time. The next
	// verification looks for the others.
	mostWanted = 1 << 18
	// mostSources is how many versions are remembered for each of them.
	mostSources = 3
)

// settle takes what was found out of use, heals the versions that need it, and
// clears what is well again or gone.
func (v *verification) settle(ctx context.Context) error {
	h := &healing{
		verification: v, bad: map[string]*record.Quarantine{},
		wanted: map[chunker.Digest][]versions.Source{},
	}
	if err := h.quarantine(ctx); err != nil {
		return err
	}
	if len(h.bad) == 0 {
		return nil
	}
	if err := h.survey(ctx); err != nil {
		return err
	}
	if v.ReadOnly {
		return nil
	}
	if err := h.search(ctx); err != nil {
		return err
	}
	return h.all(ctx)
}

// healing points versions at good copies of what is bad.
type healing struct {
	*verification
	bad map[string]*record.Quarantine // by object; never changed after quarantine

	mu       sync.Mutex                           // protects the fields below; never held across a call out
	patients []patient                            // the versions that need them
	wanted   map[chunker.Digest][]versions.Source // the chunks that they need, and who has them elsewhere
}

// patient is a version that needs something bad.
type patient struct {
	repo   name.Repo
	digest chunker.Digest
	body   bool // it cannot be read at all
}

// quarantine takes what was found out of use, and decides what of the rest still
// is.
func (h *healing) quarantine(ctx context.Context) error {
	for _, f := range h.sorted() {
		if f.register {
			continue
		}
		if h.ReadOnly {
			h.bad[f.object] = &record.Quarantine{Object: f.object, State: record.Bad, Places: f.places}
			continue
		}
		err := h.Service.Quarantine(ctx, f.object, f.reason, f.digest, f.places)
		if errors.Is(err, versions.ErrQuarantineFull) {
			h.Logger.ErrorContext(ctx, "bad objects stay in use", "error", err)
			break
		}
		if err != nil {
			return err
		}
	}
	list, err := h.Service.Quarantined(ctx)
	if err != nil {
		return err
	}
	for _, q := range list {
		well, err := h.well(ctx, q)
		if err != nil {
			return err
		}
		if !well {
			h.bad[q.Object] = q
		} else if err := h.clear(ctx, q); err != nil {
			return err
		}
	}
	return nil
}

// well reports whether what was bad is so no more: it is gone and no version names
// it, or it was found to be as it should be.
func (h *healing) well(ctx context.Context, q *record.Quarantine) (bool, error) {
	if h.of(q.Object) != nil {
		return false, nil
	}
	if q.At.Before(h.began) && (h.deep || q.Reason == notThere) {
		return true, nil // it was looked at since
	}
	_, err := h.stat(ctx, q.Object)
	if gone(err) {
		return true, nil
	}
	return false, err
}

func (h *healing) clear(ctx context.Context, q *record.Quarantine) error {
	if h.ReadOnly {
		return nil
	}
	return h.Service.ClearQuarantine(ctx, q.Object)
}

// isBad reports whether an entry needs a bad object.
func (h *healing) isBad(e *placement.Entry) bool {
	for object := range e.Names {
		if h.bad[object] != nil {
			return true
		}
	}
	return false
}

// survey finds the versions that need bad objects.
func (h *healing) survey(ctx context.Context) error {
	h.tell(openapi.VerifyProgress{Phase: "heal", Total: int64(len(h.bad))})
	return h.eachVersion(ctx, func(_ context.Context, ver *version) error {
		needs := h.needs(ver)
		if len(needs) == 0 {
			return nil
		}
		for object := range needs {
			h.named(h.bad[object], ver.ref())
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		h.patients = append(h.patients, patient{ver.repo, ver.digest, false})
		for i := range ver.entries {
			if h.isBad(&ver.entries[i]) && len(h.wanted) < mostWanted {
				h.want(ver.manifest.Chunks[i].Digest, ver.entries[i].Closure)
			}
		}
		return nil
	}, func(repo name.Repo, d chunker.Digest, lost *damage) {
		h.unreadable(repo, d, lost)
		h.mu.Lock()
		defer h.mu.Unlock()
		h.patients = append(h.patients, patient{repo, d, true})
	})
}

// want has a chunk looked for, and those of its bases whose digests are told by the
// names of their objects.
func (h *healing) want(d chunker.Digest, bases []placement.Entry) {
	h.wanted[d] = nil
	for _, b := range bases {
		if h.bad[b.Object] != nil && placement.ParseName(b.Object).Kind == placement.Chunk {
			h.wanted[chunkOf(b.Object)] = nil
		}
	}
}

// needs returns the bad objects that a version names.
func (h *healing) needs(ver *version) map[string]bool {
	var needs map[string]bool
	note := func(object string) {
		if h.bad[object] != nil {
			if needs == nil {
				needs = map[string]bool{}
			}
			needs[object] = true
		}
	}
	note(ver.body)
	for i := range ver.entries {
		for object := range ver.entries[i].Names {
			note(object)
		}
	}
	return needs
}

// named makes sure that a bad object that a version needs is among the findings,
// also one that was found earlier.
func (h *healing) named(q *record.Quarantine, ref string) {
	if h.of(q.Object) == nil {
		d, _ := chunker.ParseDigest(q.Digest) // empty where several are meant
		h.add(&finding{object: q.Object, digest: d, reason: q.Reason, places: q.Places, missing: q.Reason == notThere})
	}
	h.needed(q.Object, ref)
}

// search looks through all versions for good copies of the wanted chunks.
func (h *healing) search(ctx context.Context) error {
	if len(h.wanted) == 0 {
		return nil
	}
	return h.eachVersion(ctx, func(_ context.Context, ver *version) error {
		src := versions.Source{Repo: ver.repo.String(), Version: ver.digest}
		h.mu.Lock()
		defer h.mu.Unlock()
		for i := range ver.entries {
			d := ver.manifest.Chunks[i].Digest
			if list, ok := h.wanted[d]; ok && len(list) < mostSources && !h.isBad(&ver.entries[i]) {
				h.wanted[d] = append(list, src)
			}
		}
		return nil
	}, func(name.Repo, chunker.Digest, *damage) {})
}

// all heals one version after the other, and then looks what is still needed.
func (h *healing) all(ctx context.Context) error {
	slices.SortFunc(h.patients, func(a, b patient) int {
		return cmp.Or(strings.Compare(a.repo.String(), b.repo.String()), slices.Compare(a.digest[:], b.digest[:]))
	})
	still := map[string]bool{}
	for n, one := range h.patients {
		if err := h.heal(ctx, one); err != nil {
			return err
		}
		if err := h.left(ctx, one, still); err != nil {
			return err
		}
		h.tell(openapi.VerifyProgress{Phase: "heal", Done: int64(n + 1), Total: int64(len(h.patients))})
	}
	h.healed(still)
	return nil
}

// left notes what a version still needs.
func (h *healing) left(ctx context.Context, one patient, still map[string]bool) error {
	err := h.withVersion(ctx, one.repo, one.digest, func(_ context.Context, ver *version) error {
		for object := range h.needs(ver) {
			still[object] = true
		}
		return nil
	})
	if lost := isDamage(err); lost != nil {
		still[lost.object] = true
		return nil
	}
	return err
}

func (h *healing) heal(ctx context.Context, one patient) error {
	for range tries {
		var changed bool
		var err error
		if one.body {
			changed, err = h.rebuild(ctx, one)
		} else {
			changed, err = h.repoint(ctx, one)
		}
		if errors.Is(err, versions.ErrCondemned) {
			continue
		}
		if errors.Is(err, &openapi.Error{Code: openapi.CodeConflict}) || errors.Is(err, blobs.ErrNoSpace) || isDamage(err) != nil {
			h.Logger.WarnContext(ctx, "a version was not healed", "version", refOf(one.repo, one.digest), "error", err)
			return nil
		}
		if changed {
			h.Logger.InfoContext(ctx, "healed a version", "version", refOf(one.repo, one.digest))
		}
		return err
	}
	return nil
}

// repoint points a version at good copies of the bad chunks that it names.
func (h *healing) repoint(ctx context.Context, one patient) (bool, error) {
	move, err := h.Service.StartMove(ctx)
	if err != nil {
		return false, err
	}
	old := map[chunker.Digest]placement.Entry{}
	err = h.withVersion(ctx, one.repo, one.digest, func(_ context.Context, ver *version) error {
		for i := range ver.entries {
			if h.isBad(&ver.entries[i]) {
				old[ver.manifest.Chunks[i].Digest] = ver.entries[i]
			}
		}
		return nil
	})
	if err != nil {
		return false, err
	}
	at, err := h.find(ctx, move, one.repo, old)
	if err != nil {
		return false, err
	}
	return move.Point(ctx, one.repo, one.digest, func(_ int, ref chunker.Ref, old placement.Entry) placement.Entry {
		if e, ok := at[ref.Digest]; ok && h.isBad(&old) {
			return e
		}
		return old
	})
}

// find returns where chunks may lie instead of in bad objects: where other versions
// have them, or in a copy of what is good of a bad object.
func (h *healing) find(ctx context.Context, move *versions.Move, repo name.Repo, old map[chunker.Digest]placement.Entry) (map[chunker.Digest]placement.Entry, error) {
	digests := slices.SortedFunc(maps.Keys(old), compareDigests)
	found, err := move.Find(ctx, repo, digests, h.sources(digests)...)
	if err != nil {
		return nil, err
	}
	at := map[chunker.Digest]placement.Entry{}
	copies := copier{Scrubber: h.Scrubber, move: move, at: at}
	for i, d := range digests {
		switch {
		case found[i].Object != "":
			at[d] = found[i]
		case h.isBad(&placement.Entry{Closure: old[d].Closure}):
			err = copies.whole(ctx, d, old[d], h.elsewhere(move, repo, at))
		default:
			err = copies.add(ctx, d, old[d])
		}
		if err != nil {
			return nil, err
		}
	}
	return at, copies.flush(ctx)
}

// elsewhere returns where a base may be read that is bad where a version has it.
func (h *healing) elsewhere(move *versions.Move, repo name.Repo, at map[chunker.Digest]placement.Entry) func(context.Context, chunker.Digest) ([]place, error) {
	return func(ctx context.Context, d chunker.Digest) ([]place, error) {
		if e, ok := at[d]; ok {
			return chainOf(&e, d), nil
		}
		found, err := move.Find(ctx, repo, []chunker.Digest{d}, h.sources([]chunker.Digest{d})...)
		if err != nil || found[0].Object == "" {
			return nil, err
		}
		return chainOf(&found[0], d), nil
	}
}

func compareDigests(a, b chunker.Digest) int { return slices.Compare(a[:], b[:]) }

// sources returns the versions that have the chunks elsewhere, those with most of
// them first.
func (h *healing) sources(digests []chunker.Digest) []versions.Source {
	count := map[versions.Source]int{}
	for _, d := range digests {
		for _, src := range h.wanted[d] {
			count[src]++
		}
	}
	return slices.SortedFunc(maps.Keys(count), func(a, b versions.Source) int {
		return cmp.Or(cmp.Compare(count[b], count[a]), strings.Compare(a.Repo, b.Repo), compareDigests(a.Version, b.Version))
	})
}
