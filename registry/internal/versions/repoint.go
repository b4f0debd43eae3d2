package versions

import (
	"context"
	"errors"
	"fmt"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/blobs"
	"github.com/ingot-ml/ingot/registry/internal/placement"
	"github.com/ingot-ml/ingot/registry/internal/record"
	"github.com/ingot-ml/ingot/registry/internal/registers"
	"github.com/ingot-ml/ingot/registry/manifest"
	"github.com/ingot-ml/ingot/registry/name"
)

// ErrCondemned reports that a collection wants what a Move has made or found.
// Nothing is lost: begin another Move.
var ErrCondemned = errors.New("new objects were condemned by a collection")

// Move points committed versions at other objects: protocol R. Its steps are
// those of docs/formats/registry.md, section "Pointing a version elsewhere".
//
// A Move is for one goroutine, and for as long as its objects may wait for being
// named: a collection takes what no version names.
type Move struct {
	*Service
	id     string // in the names of new objects
	e0     uint64 // the epoch of R0
	upload *upload
}

// StartMove begins a Move: step R0.
func (s *Service) StartMove(ctx context.Context) (*Move, error) {
	m, err := s.startMove(ctx)
	if err != nil {
		return nil, fmt.Errorf("begin to point versions elsewhere: %w", err)
	}
	return m, nil
}

func (s *Service) startMove(ctx context.Context) (*Move, error) {
	var gc record.Collection
	if _, err := s.book.Load(ctx, record.CollectionKey, &gc); err != nil {
		return nil, err
	}
	id, err := s.book.Token(pushIDLen)
	if err != nil {
		return nil, err
	}
	u := newUpload(id, gc.Epoch)
	if list := gc.Active(); list != "" {
		if err := s.condemn(ctx, u, list); err != nil {
			return nil, err
		}
	}
	bad, err := s.badNow(ctx)
	if err != nil {
		return nil, err
	}
	u.avoid(bad)
	return &Move{s, id, gc.Epoch, u}, nil
}

// Put stores chunks and returns where they lie: step R1. Each is verified. A delta
// brings its base with it; that its entry gets a closure is for the caller to see to.
func (m *Move) Put(ctx context.Context, chunks []Encoded) ([]placement.Entry, error) {
	var fresh []verified
	entries, seen := make([]placement.Entry, len(chunks)), map[chunker.Digest]bool{}
	for _, c := range chunks {
		if _, ok := m.upload.stored(c); ok || seen[c.Digest] {
			continue
		}
		seen[c.Digest] = true
		v, err := c.verify()
		if err != nil {
			return nil, err
		}
		fresh = append(fresh, v)
	}
	if _, err := m.putFresh(ctx, 0, m.upload, fresh); err != nil {
		return nil, err
	}
	for i, c := range chunks {
		entries[i], _ = m.upload.stored(c)
	}
	return entries, nil
}

// Find returns where chunks lie that versions of repo may name: those that other
// versions place, by the rules of step P1. It looks at the given versions first,
// and then where the index says. One without an object was not found.
func (m *Move) Find(ctx context.Context, repo name.Repo, digests []chunker.Digest, first ...Source) ([]placement.Entry, error) {
	q := search{
		Service: m.Service, policy: access.Open{}, repo: repo, upload: m.upload,
		digests: digests, places: make([]found, len(digests)), most: maxSources,
	}
	q.remember()
	for _, src := range first {
		if err := q.take(ctx, src, open(q.places)); err != nil {
			return nil, fmt.Errorf("find chunks: %w", err)
		}
	}
	if err := q.inVersions(ctx); err != nil {
		return nil, fmt.Errorf("find chunks: %w", err)
	}
	entries := make([]placement.Entry, len(digests))
	for i := range q.places {
		entries[i] = q.places[i].entry
	}
	return entries, nil
}

// Choose returns where a chunk is to lie from now on: old to leave it where it is.
type Choose func(index int, ref chunker.Ref, old placement.Entry) placement.Entry

// Point makes a version name what choose says. changed is false for one that is
// not committed or is to stay as it is. A body that is in quarantine is written
// anew even if every chunk stays; one that cannot be read is left to Rebuild.
func (m *Move) Point(ctx context.Context, repo name.Repo, d chunker.Digest, choose Choose) (changed bool, err error) {
	return m.point(ctx, repo, d, func(old *body) *body {
		if old == nil {
			return nil
		}
		entries := make([]placement.Entry, len(old.entries))
		same := true
		for i, e := range old.entries {
			entries[i] = choose(i, old.manifest.Chunks[i], e)
			same = same && sameEntry(&entries[i], &e)
		}
		bad, _ := m.upload.avoids()
		if same && bad[old.name] == nil {
			return nil
		}
		return &body{document: old.document, manifest: old.manifest, entries: entries}
	})
}

// Rebuild gives a version a body again whose own cannot be read. The document
// must be that of the version, and the entries those of its chunks.
func (m *Move) Rebuild(ctx context.Context, repo name.Repo, doc []byte, entries []placement.Entry) (changed bool, err error) {
	parsed, err := manifest.Parse(doc)
	if err != nil {
		return false, err
	}
	if len(parsed.Chunks) != len(entries) {
		return false, fmt.Errorf("%d entries for %d chunks: %w", len(entries), len(parsed.Chunks), placement.ErrInvalid)
	}
	return m.point(ctx, repo, manifest.Name(doc), func(old *body) *body {
		if old != nil {
			return nil
		}
		return &body{document: doc, manifest: parsed, entries: entries}
	})
}

// shape returns the body that a version is to have instead of old, which is nil
// if it cannot be read; nil to leave it as it is.
type shape func(old *body) *body

// point takes a version through R1 to R4. It starts again as long as others
// change the head.
func (m *Move) point(ctx context.Context, repo name.Repo, d chunker.Digest, as shape) (changed bool, err error) {
	mine, key := "", record.HeadKey(repo, d)
	for range rounds {
		var h record.Head
		v, err := m.book.Load(ctx, key, &h)
		if err != nil {
			return false, err
		}
		if mine != "" && h.Body == mine {
			return true, nil // somebody has finished it
		}
		if h.State != record.Committed {
			return false, nil
		}
		if h.Next != "" {
			err = m.finish(ctx, key, &h, v)
		} else {
			mine, err = m.pointOnce(ctx, repo, d, &h, v, as)
			if err == nil {
				return mine != "", nil
			}
		}
		if err != nil && !isConflict(err) {
			return false, fmt.Errorf("point %s elsewhere: %w", versionName(repo, d), err)
		}
	}
	return false, conflict("point %s elsewhere: others change it: try again", versionName(repo, d))
}

// pointOnce is one try of R1 to R4 from the head h in its version v. It returns
// the new body, or none if the version is to stay as it is.
func (m *Move) pointOnce(ctx context.Context, repo name.Repo, d chunker.Digest, h *record.Head, v registers.Version, as shape) (string, error) {
	old, err := m.loadBody(ctx, h.Body)
	if err != nil && !errors.Is(err, errDamaged) && !errors.Is(err, blobs.ErrNotFound) {
		return "", err
	}
	next := as(old)
	if next == nil && old == nil {
		return "", m.still(ctx, repo, d, v)
	}
	if next == nil {
		return "", nil
	}
	b := placement.Body{Document: next.document, Entries: next.entries}
	if next.name, err = m.putBody(ctx, repo, d, m.id, &b); err != nil { // R1
		return "", err
	}
	key := record.HeadKey(repo, d)
	h.Next, h.NextE0 = next.name, m.e0
	if v, err = m.book.Swap(ctx, key, v, h); err != nil { // R2
		return next.name, err
	}
	clean, err := m.checkNext(ctx, m.upload, old, next) // R3
	if err != nil {
		return next.name, err
	}
	if !clean {
		h.Drop()
		if _, err := m.book.Swap(ctx, key, v, h); err != nil && !isConflict(err) {
			return next.name, err
		}
		return next.name, ErrCondemned
	}
	return next.name, m.settle(ctx, key, h, v, next) // R4
}

// still returns nil for a head in that version: what it names is damaged, and was
// not only swept because the version was pointed elsewhere.
func (s *Service) still(ctx context.Context, repo name.Repo, d chunker.Digest, v registers.Version) error {
	var h record.Head
	now, err := s.book.Load(ctx, record.HeadKey(repo, d), &h)
	if err == nil && now != v {
		err = registers.ErrConflict
	}
	return err
}

// settle is R4: the version names its next body.
func (s *Service) settle(ctx context.Context, key string, h *record.Head, v registers.Version, next *body) error {
	h.Body, h.E0, h.Stored = h.Next, h.NextE0, storedBytes(next.entries)
	h.Drop()
	_, err := s.book.Swap(ctx, key, v, h)
	return err
}

// checkNext is R3: whether no collection wants what next names and old, which may
// be nil, does not. What old names is marked until R4. A collection that nobody
// knows the lists of may want anything.
func (s *Service) checkNext(ctx context.Context, u *upload, old, next *body) (bool, error) {
	var gc record.Collection
	if _, err := s.book.Load(ctx, record.CollectionKey, &gc); err != nil {
		return false, err
	}
	err := s.catchUp(ctx, u, gc.Epoch)
	if errors.Is(err, &openapi.Error{Code: openapi.CodePushClosed}) {
		return false, nil
	}
	if err != nil || !u.knowsLists() {
		return err == nil, err
	}
	held := map[string]bool{}
	if old != nil {
		for i := range old.entries {
			for object := range old.entries[i].Names {
				held[object] = true
			}
		}
	}
	if u.condemned(&placement.Entry{Object: next.name}) {
		return false, nil
	}
	for i := range next.entries {
		for object := range next.entries[i].Names {
			if !held[object] && u.condemned(&placement.Entry{Object: object}) {
				return false, nil
			}
		}
	}
	return true, nil
}

// FinishMove takes a version that somebody has left between R2 and R4 to R4, or
// back to where it was. Anybody may do so at any time.
func (s *Service) FinishMove(ctx context.Context, repo name.Repo, d chunker.Digest) error {
	var h record.Head
	key := record.HeadKey(repo, d)
	v, err := s.book.Load(ctx, key, &h)
	if err == nil && h.State == record.Committed && h.Next != "" {
		err = s.finish(ctx, key, &h, v)
	}
	if err != nil && !isConflict(err) {
		return fmt.Errorf("finish to point %s elsewhere: %w", versionName(repo, d), err)
	}
	return nil
}

// finish does so for a committed head that has a next body.
func (s *Service) finish(ctx context.Context, key string, h *record.Head, v registers.Version) error {
	next, err := s.loadBody(ctx, h.Next)
	gone := errors.Is(err, errDamaged) || errors.Is(err, blobs.ErrNotFound)
	if err != nil && !gone {
		return err
	}
	clean := false
	if !gone {
		old, err := s.loadBody(ctx, h.Body)
		if err != nil && !errors.Is(err, errDamaged) && !errors.Is(err, blobs.ErrNotFound) {
			return err
		}
		if clean, err = s.checkNext(ctx, newUpload("", h.NextE0), old, next); err != nil {
			return err
		}
	}
	if clean {
		return s.settle(ctx, key, h, v, next)
	}
	h.Drop()
	_, err = s.book.Swap(ctx, key, v, h)
	return err
}

// sameEntry reports whether two entries name the same bytes. What was spent on bases
// does not matter.
func sameEntry(a, b *placement.Entry) bool {
	if a.Object != b.Object || a.Offset != b.Offset || a.Length != b.Length || len(a.Closure) != len(b.Closure) {
		return false
	}
	for i := range a.Closure {
		if !sameEntry(&a.Closure[i], &b.Closure[i]) {
			return false
		}
	}
	return true
}
