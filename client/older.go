package client

import (
	"cmp"
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/client/internal/known"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/name"
)

const (
	// leastMissing is from how many missing bytes on a pull looks for something to make
	// them of.
	leastMissing = 256 << 10
	// maxCandidates is how many versions it looks at, maxRecent how many of those are only
	// the last of the repository, and maxOldFiles how many files of the folder it holds
	// open.
	maxCandidates = 6
	maxRecent     = 4
	maxOldFiles   = 256
)

// older are the chunks of the files that a pull replaces. They stay at hand while it does.
type older struct {
	mu     sync.Mutex // protects chunks
	chunks map[chunker.Digest]oldChunk
	files  map[string]*os.File // by path
}

// oldChunk is where such a chunk lies.
type oldChunk struct {
	path   string
	offset int64
	size   int
}

// note remembers where a chunk lies.
func (o *older) note(s spot, d chunker.Digest) {
	if s.making || d.IsZero() {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.chunks == nil {
		o.chunks = map[chunker.Digest]oldChunk{}
	}
	o.chunks[d] = oldChunk{s.path, s.offset, s.size}
}

// open opens the files, so that they can be read after others have their names. Nothing is
// noted any more.
func (o *older) open(open func(path string) (*os.File, error)) {
	o.files = map[string]*os.File{}
	for d, at := range o.chunks {
		if o.files[at.path] != nil {
			continue
		}
		file, err := open(at.path)
		if err != nil || len(o.files) == maxOldFiles {
			if err == nil {
				_ = file.Close() // it is only read
			}
			delete(o.chunks, d)
			continue
		}
		o.files[at.path] = file
	}
}

func (o *older) close() {
	for _, file := range o.files {
		_ = file.Close() // it is only read
	}
}

// held returns the chunks as what somebody holds, of whatever version.
func (o *older) held() Held {
	return Held{
		Has: func(d chunker.Digest) bool { _, ok := o.chunks[d]; return ok },
		Read: func(_ context.Context, ref chunker.Ref, dst []byte) ([]byte, error) {
			at := o.chunks[ref.Digest]
			if at.size != int(ref.Size) {
				return nil, errNoBase
			}
			dst = dst[:at.size]
			n, err := o.files[at.path].ReadAt(dst, at.offset)
			if n == len(dst) || err == nil {
				return dst, nil
			}
			return nil, cmp.Or(err, io.ErrUnexpectedEOF)
		},
	}
}

// relate finds versions of which something is here, so that what is missing may come as
// differences from them.
func (p *pull) relate(ctx context.Context) error {
	missing := int64(0)
	for c := range p.m.Chunks {
		if p.wants(uint32(c)) {
			missing += int64(p.m.Chunks[c].Size)
		}
	}
	places := p.placesHere()
	if missing < leastMissing || len(p.older.chunks) == 0 && len(places) == 0 && p.options.Cache == nil {
		return nil
	}
	p.older.open(p.folder.Open)
	tried := map[chunker.Digest]bool{p.fetch.digest: true}
	for at := range p.candidates(ctx, places) {
		if ctx.Err() != nil || len(tried) > maxCandidates {
			break
		}
		if tried[at.Digest] {
			continue
		}
		tried[at.Digest] = true
		if covered := p.hold(ctx, at, places); covered > missing-missing/8 {
			break
		}
	}
	return ctx.Err()
}

// placesHere returns the places of this registry, the newest first.
func (p *pull) placesHere() (list []known.Place) {
	for _, place := range known.In(p.options.Places).All() {
		if place.Registry == p.fetch.wire.Base() {
			list = append(list, place)
		}
	}
	return list
}

// candidates yields versions that the wanted one may be related to: its parent, what was
// last in the folder, what else is here of the repository, and the last ones of that if the
// folder has files.
func (p *pull) candidates(ctx context.Context, places []known.Place) func(func(name.Ref) bool) {
	repo := p.fetch.repo
	return func(yield func(name.Ref) bool) {
		if parent := p.m.Parent; !parent.IsZero() && !yield(name.Ref{Repo: repo, Digest: parent}) {
			return
		}
		var others []name.Ref
		for _, place := range places {
			r, err := name.ParseRepo(place.Repo)
			d, derr := chunker.ParseDigest(place.Version)
			if err != nil || derr != nil {
				continue
			}
			at := name.Ref{Repo: r, Digest: d}
			if place.Path == p.dir && !yield(at) {
				return
			}
			if r == repo && len(others) < maxRecent {
				others = append(others, at)
			}
		}
		for _, at := range others {
			if !yield(at) {
				return
			}
		}
		if len(p.older.chunks) == 0 {
			return
		}
		for _, d := range p.fetch.recent(ctx, repo) {
			if !yield(name.Ref{Repo: repo, Digest: d}) {
				return
			}
		}
	}
}

// recent returns the last versions of a repository, if it has no more than fit one answer.
func (r *Registry) recent(ctx context.Context, repo name.Repo) (list []chunker.Digest) {
	page, err := get[openapi.VersionList](ctx, r, query("limit", pageSize), below(repo, "versions")...)
	if err != nil || page.Next != "" {
		return nil
	}
	slices.SortFunc(page.Versions, func(a, b openapi.VersionInfo) int { return b.Created.Compare(a.Created) })
	for _, v := range page.Versions[:min(maxRecent, len(page.Versions))] {
		list = append(list, v.Digest)
	}
	return list
}

// hold has the fetch name what is here of a version, if it can spare bytes. It returns how
// many bytes that are missing have kin here.
func (p *pull) hold(ctx context.Context, at name.Ref, places []known.Place) (covered int64) {
	m, _, err := p.fetch.Manifest(ctx, at)
	if err != nil {
		return 0
	}
	var mine []known.Place
	for _, place := range places {
		if place.Version == at.Digest.String() && place.Path != p.dir {
			mine = append(mine, place)
		}
	}
	r := newRelated(at.Repo, at.Digest, m, mine, []Held{p.older.held()}, p.options.Cache)
	r.believed = true
	h := holding{Held: r.holds(), kin: sync.OnceValue(func() []int32 { return r.kin.Of(p.m) })}
	for c := range p.m.Chunks {
		if !p.wants(uint32(c)) {
			continue
		}
		if _, _, ok := h.related(p.m, uint32(c)); ok {
			covered += int64(p.m.Chunks[c].Size)
		}
	}
	if covered > 0 {
		p.fetch.held = append(p.fetch.held, h)
	}
	return covered
}

// holds returns what is at hand of the version.
func (r *related) holds() Held {
	index := make(map[chunker.Digest]uint32, len(r.m.Chunks))
	for c := range r.m.Chunks {
		index[r.m.Chunks[c].Digest] = uint32(c)
	}
	return Held{
		Repo: r.repo, Version: r.version, Manifest: r.m,
		Has: func(d chunker.Digest) bool {
			c, ok := index[d]
			return ok && r.has(c)
		},
		Read: func(ctx context.Context, ref chunker.Ref, dst []byte) ([]byte, error) {
			plain, ok := r.read(ctx, index[ref.Digest], dst)
			if !ok {
				return nil, errNoBase
			}
			return plain, nil
		},
	}
}

// remember notes where the files of the version lie now, for later pushes and pulls.
func (p *pull) remember(context.Context) error {
	place := known.Place{Registry: p.fetch.wire.Base(), Repo: p.fetch.repo.String(), Version: p.fetch.digest.String(), Path: p.dir}
	for i := range p.m.Files {
		at := filepath.Join(p.dir, filepath.FromSlash(p.m.Files[i].Path))
		if info, err := os.Lstat(at); err == nil && info.Mode().IsRegular() {
			place.Add(p.m.Files[i].Path, at, info)
		}
	}
	known.In(p.options.Places).Note(place)
	return nil
}
