package scrub

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/registry/internal/placement"
	"github.com/ingot-ml/ingot/registry/internal/versions"
	"github.com/ingot-ml/ingot/registry/manifest"
)

const (
	// worthTrying is how long an encoded chunk is that may become a delta.
	worthTrying = 256
	// mostFrom bounds the versions that chunks of one are looked for in.
	mostFrom = 8
)

// choosing is one Move of a Recode, of one version.
type choosing struct {
	*recoding
	move  *versions.Move
	ver   *version
	old   *version // before it in its line; nil for none
	types []chunker.DType
	tried map[placeHash]bool // places that were looked at, in this Move or before
	jobs  []job
}

// job is a chunk that may be stored otherwise.
type job struct {
	index  int
	place  placeHash
	from   versions.Source // that has it, or the related chunk
	digest chunker.Digest  // of that; zero if there is no related chunk
	take   bool            // from has the chunk itself, which may lie there for this version too
	lonely int64           // encoded bytes of bases that nothing else needs
}

// chunkAt is where a chunk lies.
type chunkAt struct {
	digest chunker.Digest
	entry  placement.Entry
}

// choose begins a Move of a version and lists what may be stored otherwise. It returns
// nil for a version that is not there any more.
func (r *recoding) choose(ctx context.Context, all []member, n int, tried map[placeHash]bool) (*choosing, error) {
	move, err := r.Service.StartMove(ctx) // before anything is read
	if err != nil {
		return nil, err
	}
	ver, err := r.load(ctx, all[n].user)
	if err != nil || ver == nil {
		return nil, err
	}
	c := &choosing{recoding: r, move: move, ver: ver, tried: tried, types: ver.manifest.Types()}
	before := all[n].before
	if before < 0 {
		if before, err = r.alike(ctx, all, n, ver.manifest); err != nil {
			return nil, err
		}
		all[n].before = before
	}
	var kin []int32
	if before >= 0 {
		old, err := r.load(ctx, all[before].user)
		if err != nil && isDamage(err) == nil {
			return nil, err
		}
		if c.old = old; old != nil {
			kin = manifest.NewKin(old.manifest).Of(ver.manifest)
		}
	}
	c.plan(kin)
	return c, nil
}

// plan lists the jobs.
func (c *choosing) plan(kin []int32) {
	for i := range c.ver.entries {
		e := &c.ver.entries[i]
		h := bareOf(e).hash()
		p := c.uses.get(h)
		if c.tried[h] || p.users == 0 || p.pinned() {
			continue
		}
		j := job{index: i, place: h, digest: c.ver.manifest.Chunks[i].Digest}
		if src, ok := c.taken[h]; ok {
			j.from, j.take = src, true
			c.jobs = append(c.jobs, j)
			continue
		}
		j.lonely = c.lonely(e, h)
		if kin == nil || kin[i] < 0 {
			j.digest = chunker.Digest{}
		} else if j.related(c, uint32(kin[i])); j.take && bareOf(&c.old.entries[kin[i]]) == bareOf(e) {
			continue
		}
		if j.take || j.lonely > 0 || !j.digest.IsZero() && len(e.Closure) == 0 && e.Length >= worthTrying {
			c.jobs = append(c.jobs, j)
		}
	}
}

// related notes which chunk of the version before is related.
func (j *job) related(c *choosing, k uint32) {
	own := j.digest
	j.from = versions.Source{Repo: c.old.repo.String(), Version: c.old.digest}
	j.digest = c.old.manifest.Chunks[k].Digest
	j.take = j.digest == own
}

// lonely returns what the bases take that nothing needs but this entry.
func (c *choosing) lonely(e *placement.Entry, h placeHash) (n int64) {
	for i := range e.Closure {
		if c.uses.get(bareOf(&e.Closure[i]).hash()).lonely(h) {
			n += int64(e.Closure[i].Length)
		}
	}
	return n
}

// state stands for the version, and for all that decides how it is stored.
func (c *choosing) state() (version, state placeHash) {
	bodies := c.ver.body
	if c.old != nil {
		bodies += " " + c.old.body
	}
	state = place{object: bodies}.hash()
	for i := range c.jobs {
		state[0], state[1] = state[0]+c.jobs[i].place[0], state[1]^c.jobs[i].place[1]
	}
	return place{object: c.ver.ref()}.hash(), state
}

// all does the jobs, up to so many new bytes, and points the version at what came of it.
// more tells that there are jobs left.
func (c *choosing) all(ctx context.Context) (changed int, more bool, err error) {
	found, err := c.find(ctx)
	if err != nil {
		return 0, false, err
	}
	next := map[int]chunkAt{}
	copies := copier{Scrubber: c.Scrubber, move: c.move, at: map[chunker.Digest]placement.Entry{}}
	made := 0
	for window := range slices.Chunk(c.jobs, c.workers) {
		if made >= groupBytes {
			more = true
			break
		}
		forms, err := c.forms(ctx, window, found)
		if err != nil {
			return 0, false, err
		}
		for n, j := range window {
			c.tried[j.place] = true
			switch f := forms[n]; {
			case f == nil:
			case f.take:
				next[j.index] = chunkAt{j.digest, found[j.digest]}
			default:
				next[j.index] = chunkAt{digest: f.chunk.Digest}
				made += len(f.chunk.Bytes)
				if err := copies.put(ctx, f.chunk, f.closure); err != nil {
					return 0, false, err
				}
			}
		}
	}
	if err := copies.flush(ctx); err != nil {
		return 0, false, err
	}
	for i, to := range next {
		if to.entry.Object == "" {
			next[i] = chunkAt{to.digest, copies.at[to.digest]}
		}
	}
	changed, err = c.point(ctx, next)
	return changed, more, err
}

// forms finds out how some chunks are to be stored; nil for one that stays as it is.
func (c *choosing) forms(ctx context.Context, jobs []job, found map[chunker.Digest]placement.Entry) ([]*form, error) {
	forms := make([]*form, len(jobs))
	group, ctx := errgroup.WithContext(ctx)
	for n := range jobs {
		group.Go(func() (err error) {
			forms[n], err = c.form(ctx, &jobs[n], found)
			return err
		})
	}
	return forms, group.Wait()
}

// find returns where the chunks lie that jobs name, as far as versions may name them.
func (c *choosing) find(ctx context.Context) (map[chunker.Digest]placement.Entry, error) {
	count := map[versions.Source]int{}
	digests := map[chunker.Digest]bool{}
	for i := range c.jobs {
		if j := &c.jobs[i]; !j.digest.IsZero() {
			count[j.from]++
			digests[j.digest] = true
		}
	}
	sources := slices.SortedFunc(maps.Keys(count), func(a, b versions.Source) int {
		return cmp.Or(cmp.Compare(count[b], count[a]), strings.Compare(a.Repo, b.Repo), compareDigests(a.Version, b.Version))
	})
	sources = sources[:min(len(sources), mostFrom)]
	wanted := slices.SortedFunc(maps.Keys(digests), compareDigests)
	entries, err := c.move.Find(ctx, c.ver.repo, wanted, sources...)
	if err != nil {
		return nil, err
	}
	found := map[chunker.Digest]placement.Entry{}
	for i, e := range entries {
		if e.Object != "" {
			found[wanted[i]] = e
		}
	}
	return found, nil
}

// point points the version at the new places of its chunks.
func (c *choosing) point(ctx context.Context, next map[int]chunkAt) (changed int, err error) {
	if len(next) == 0 {
		return 0, nil
	}
	moved := map[int]placement.Entry{}
	ok, err := c.move.Point(ctx, c.ver.repo, c.ver.digest, func(i int, ref chunker.Ref, old placement.Entry) placement.Entry {
		to, wanted := next[i]
		if delete(moved, i); !wanted || to.digest != ref.Digest || to.entry.Object == "" || bareOf(&old) != bareOf(&c.ver.entries[i]) {
			return old
		}
		moved[i] = old
		return to.entry
	})
	if err != nil || !ok {
		return 0, err
	}
	me := versions.Source{Repo: c.ver.repo.String(), Version: c.ver.digest}
	for i, old := range moved {
		to := next[i]
		c.report.BytesGained += c.uses.moved(&chunkAt{to.digest, old}, &to)
		c.taken[bareOf(&old).hash()] = me
	}
	return len(moved), nil
}
