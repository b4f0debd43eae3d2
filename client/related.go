package client

import (
	"context"
	"sync/atomic"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/client/internal/known"
	"github.com/ingot-ml/ingot/registry/manifest"
	"github.com/ingot-ml/ingot/registry/name"
)

// related is a version of which plain bytes are at hand: in what the caller holds, in
// local files that were pushed or pulled before, and in a cache.
type related struct {
	repo    name.Repo
	version chunker.Digest
	m       *manifest.Manifest
	kin     *manifest.Kin

	held  []Held
	files []nearby // of the files of m
	where places
	cache *Cache

	believed bool // what is read need not be verified: what is made of it is
}

// nearby are the local files that may be one file of a version.
type nearby []*localFile

// localFile is one of them.
type localFile struct {
	known.File
	wrong atomic.Bool // it is not what it was, or never was what it should be
}

// newRelated finds where the bytes of a version may be at hand.
func newRelated(repo name.Repo, version chunker.Digest, m *manifest.Manifest, places []known.Place, held []Held, cache *Cache) *related {
	r := &related{repo: repo, version: version, m: m, kin: manifest.NewKin(m), held: held, cache: cache}
	r.files = make([]nearby, len(m.Files))
	at := make(map[string]int, len(m.Files))
	for i := range m.Files {
		at[m.Files[i].Path] = i
	}
	for _, p := range places {
		for _, f := range p.Files {
			if i, ok := at[f.Path]; ok && f.Size == int64(m.Files[i].Size) {
				r.files[i] = append(r.files[i], &localFile{File: f})
			}
		}
	}
	r.where = planPlaces(m, func(file int) bool { return len(r.files[file]) > 0 })
	return r
}

// has reports whether read would probably find a chunk of the version.
func (r *related) has(c uint32) bool {
	d := r.m.Chunks[c].Digest
	for _, h := range r.held {
		if h.Has(d) {
			return true
		}
	}
	for _, at := range r.where.of(c) {
		for _, f := range r.files[at.file] {
			if !f.wrong.Load() {
				return true
			}
		}
	}
	return r.cache != nil && r.cache.has(d)
}

// read returns the bytes of a chunk of the version, verified unless they are believed, in buf[:0] or in what a
// holder has.
func (r *related) read(ctx context.Context, c uint32, buf []byte) ([]byte, bool) {
	want := r.m.Chunks[c]
	right := func(plain []byte) bool {
		return len(plain) == int(want.Size) && (r.believed || chunker.Sum(plain) == want.Digest)
	}
	for _, h := range r.held {
		if !h.Has(want.Digest) {
			continue
		}
		if plain, err := h.Read(ctx, want, buf[:0]); err == nil && right(plain) {
			return plain, true
		}
	}
	for _, at := range r.where.of(c) {
		for _, f := range r.files[at.file] {
			if f.wrong.Load() {
				continue
			}
			plain := buf[:want.Size]
			if f.ReadAt(plain, at.offset) == nil && right(plain) {
				return plain, true
			}
			f.wrong.Store(true)
		}
	}
	if r.cache != nil {
		if plain, ok := r.cache.get(want.Digest, buf); ok && right(plain) {
			return plain, true
		}
	}
	return nil, false
}

// name returns what the version is called in a request.
func (r *related) name() string { return r.repo.String() + "@" + r.version.String() }
