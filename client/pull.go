package client

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/client/internal/folder"
	"github.com/ingot-ml/ingot/registry/manifest"
	"github.com/ingot-ml/ingot/registry/name"
)

// PullOptions say how a version comes into a folder.
type PullOptions struct {
	// Cache keeps received chunks for later pulls; nil for none.
	Cache *Cache
	// Places is the folder that remembers which local files hold which version: chunks
	// that are nearly the same there come as differences. Empty for none.
	Places string
	// Check is asked before anything is written whether the version may come, and its
	// error ends the pull; nil allows all.
	Check func(ctx context.Context, repo name.Repo, digest chunker.Digest) error
	// Delete removes files of the folder that the version does not have.
	Delete bool
	// Sync returns only after files and folders are on the disk.
	Sync bool
	// Progress may be nil.
	Progress Progress
}

// Pull makes the files of a version in the folder dir, which it creates. Files
// that are right already are not touched; others are replaced one by one, each at
// once. Chunks come from the folder, from what an interrupted pull left in it,
// from the cache, and then from the registry, as differences from older ones that are
// here where that is shorter.
//
// Errors are *openapi.Error, ErrBusyFolder, ErrCorrupt, ErrUnreachable, that of
// ctx, or of the file system.
func (r *Registry) Pull(ctx context.Context, ref name.Ref, dir string, o PullOptions) (Receipt, error) {
	began := time.Now()
	m, digest, err := r.Manifest(ctx, ref)
	if err != nil {
		return Receipt{}, fmt.Errorf("pull %s: %w", ref, err)
	}
	if o.Check != nil {
		if err := o.Check(ctx, ref.Repo, digest); err != nil {
			return Receipt{}, fmt.Errorf("pull %s: %w", ref, err)
		}
	}
	f, err := folder.Open(dir)
	if err != nil {
		return Receipt{}, fmt.Errorf("pull %s: %w", ref, err)
	}
	p := newPull(r, ref.Repo, digest, m, f, o)
	if p.dir, err = filepath.Abs(dir); err == nil {
		err = p.do(ctx)
	}
	if err = errors.Join(err, f.Close(err == nil)); err != nil {
		return Receipt{}, fmt.Errorf("pull %s into %s: %w", ref, dir, err)
	}
	came := p.fetch.tally()
	return Receipt{
		Ref: ref.String(), Digest: digest.String(), BytesTotal: int64(m.Size()),
		BytesReceived: came.Bytes, BytesReceivedDelta: came.DeltaBytes, BytesReceivedBase: came.BaseBytes,
		BytesReused: p.reused.Load(),
		ChunksTotal: len(m.Chunks), ChunksNew: int(p.fetched.Load()), ChunksDelta: came.DeltaChunks,
		BasesWrong: came.BasesWrong, Files: len(m.Files),
		Seconds: time.Since(began).Seconds(),
	}, nil
}

// pull is one Pull.
type pull struct {
	survey
	folder   *folder.Folder
	dir      string // absolute
	older    older
	options  PullOptions
	progress Progress
	fetch    *fetch

	index    map[chunker.Digest]uint32 // of the chunks of m
	places   places
	external external
	claimed  []atomic.Bool // for each chunk: somebody has verified bytes and writes them
	open     atomic.Int64  // chunks that have places and are not claimed
	// renaming says that nothing is read from old files any more, so that they may
	// be replaced. It is set while nobody else works.
	renaming bool

	reused  atomic.Int64
	fetched atomic.Int64
}

func newPull(r *Registry, repo name.Repo, digest chunker.Digest, m *manifest.Manifest, f *folder.Folder, o PullOptions) *pull {
	p := &pull{
		folder: f, options: o, progress: heard(o.Progress),
		survey:  survey{m: m},
		index:   make(map[chunker.Digest]uint32, len(m.Chunks)),
		claimed: make([]atomic.Bool, len(m.Chunks)),
	}
	for i := range m.Chunks {
		p.index[m.Chunks[i].Digest] = uint32(i)
	}
	p.fetch = &fetch{Registry: r, repo: repo, digest: digest, m: m, cache: o.Cache, to: p}
	p.fetch.found = func(c uint32, plain []byte) error { return p.settle(c, plain, true, nowhere) }
	p.progress.Total(int64(m.Size()))
	return p
}

// do goes through the sources in order, from the cheapest on.
func (p *pull) do(ctx context.Context) error {
	defer p.older.close()
	for _, step := range []func(context.Context) error{p.look, p.compare, p.plan, p.resume, p.reuse, p.relate, p.replace, p.request, p.finish, p.remember} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// look finds what is at the paths of the version, before anything is changed.
func (p *pull) look(context.Context) (err error) {
	if p.survey, err = newSurvey(p.m, &p.folder.Reader); err != nil {
		return err
	}
	old := p.read
	p.read = func(s spot, plain []byte) error {
		if s.making {
			return p.folder.ReadPartial(s.path, plain, s.offset)
		}
		return old(s, plain)
	}
	for _, t := range p.targets {
		if t.obstacle != nil {
			return t.obstacle
		}
	}
	return nil
}

// compare finds the files that are right already.
func (p *pull) compare(ctx context.Context) error { return p.keep(ctx, func(int) {}) }

// plan notes where each chunk has to be written, now that it is known which
// files are.
func (p *pull) plan(context.Context) error {
	p.places = planPlaces(p.m, func(file int) bool { return !p.targets[file].kept.Load() })
	for c := range p.m.Chunks {
		if len(p.places.of(uint32(c))) > 0 {
			p.open.Add(1)
		}
	}
	for i, t := range p.targets {
		f := &p.m.Files[i]
		if t.kept.Load() {
			p.reused.Add(int64(f.Size))
			p.progress.Add(int64(f.Size))
			continue
		}
		t.left.Store(int64(len(f.Chunks)))
		t.create = sync.OnceValue(func() error { return p.folder.Create(f.Path, int64(f.Size)) })
	}
	return nil
}

// settle writes a verified chunk to all its places but the one it was found at,
// unless somebody else does.
func (p *pull) settle(c uint32, plain []byte, local bool, found place) error {
	places := p.places.of(c)
	if len(places) == 0 || !p.claimed[c].CompareAndSwap(false, true) {
		return nil
	}
	p.open.Add(-1)
	for _, at := range places {
		t := p.targets[at.file]
		if at != found {
			if err := t.create(); err != nil {
				return err
			}
			if err := p.folder.Write(p.m.Files[at.file].Path, plain, at.offset); err != nil {
				return err
			}
		}
		if local {
			p.reused.Add(int64(len(plain)))
		}
		p.progress.Add(int64(len(plain)))
		if t.left.Add(-1) == 0 && p.renaming {
			if err := p.folder.Replace(p.m.Files[at.file].Path, p.options.Sync); err != nil {
				return err
			}
		}
	}
	return nil
}

// replace puts the files in place that the local sources have completed. All of
// these have been read.
func (p *pull) replace(context.Context) error {
	p.renaming = true
	for i, t := range p.targets {
		if t.kept.Load() || t.left.Load() > 0 {
			continue
		}
		if err := t.create(); err != nil { // an empty file is not there yet
			return err
		}
		if err := p.folder.Replace(p.m.Files[i].Path, p.options.Sync); err != nil {
			return err
		}
	}
	return nil
}

// request gets what is left from the cache and the registry.
func (p *pull) request(ctx context.Context) error {
	return p.fetch.run(ctx, p.fetch.each(func(yield func(uint32) bool) {
		for c := range p.m.Chunks {
			if len(p.places.of(uint32(c))) > 0 && !p.claimed[c].Load() && !yield(uint32(c)) {
				return
			}
		}
	}))
}

// Room implements Sink: files are written from the fetcher's buffer.
func (p *pull) Room(context.Context, uint32) ([]byte, error) { return nil, nil }

// Take implements Sink. It is what becomes of a chunk that request got.
func (p *pull) Take(_ context.Context, c uint32, plain, _ []byte) error {
	p.fetched.Add(1)
	return p.settle(c, plain, false, nowhere)
}

func (p *pull) finish(context.Context) error {
	if p.options.Delete {
		err := p.folder.Prune(func(path string) bool { return p.m.File(path) != nil })
		if err != nil {
			return err
		}
	}
	if p.options.Sync {
		return p.folder.Sync()
	}
	return nil
}
