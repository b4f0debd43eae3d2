package follow

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/name"
)

// lookups is how many questions to the registry are under way at a time.
const lookups = 8

// work is what is to be looked up.
type work struct {
	wanted
	refs map[name.Ref]bool // some tags
	all  bool              // or everything that is followed
}

// lookUp looks up what is due, until ctx ends.
func (f *Follower) lookUp(ctx context.Context) {
	pause := newPause(min(pauseMost, f.config.Poll))
	for f.wait(ctx) {
		w := f.take()
		err := f.pass(ctx, w)
		if ctx.Err() != nil {
			return
		}
		f.mu.Lock()
		f.asked, f.fault = f.asked || !w.nothing(), err
		f.looked = f.looked || w.all && err == nil
		f.mu.Unlock()
		f.tellState()
		if err == nil {
			pause.Reset()
			continue
		}
		f.config.Logger.Warn("tags could not be looked up", "err", err)
		sleep(ctx, pause.NextBackOff())
	}
}

// wait returns when there is something to look up: because something was told, or
// because it is time and nothing would be told. It returns false when ctx ends.
func (f *Follower) wait(ctx context.Context) bool {
	poll := time.NewTimer(f.config.Poll*4/5 + rand.N(f.config.Poll*2/5+1))
	defer poll.Stop()
	for !f.anyDue() {
		select {
		case <-f.wake:
		case <-poll.C:
			f.mu.Lock()
			f.allDue = f.allDue || !f.listening
			f.mu.Unlock()
			poll.Reset(f.config.Poll)
		case <-ctx.Done():
			return false
		}
	}
	return ctx.Err() == nil
}

func (f *Follower) anyDue() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.allDue || len(f.due) > 0
}

// take takes what is due.
func (f *Follower) take() work {
	f.mu.Lock()
	defer f.mu.Unlock()
	w := work{wanted: f.wanted, refs: f.due, all: f.allDue}
	f.due, f.allDue = map[name.Ref]bool{}, false
	if w.all {
		w.refs = w.wanted.refs
	}
	return w
}

// pass looks up w, every tag once. What could not be looked up is due again.
func (f *Follower) pass(ctx context.Context, w work) error {
	ctx, gone := context.WithCancel(ctx)
	defer gone()
	var g errgroup.Group
	g.SetLimit(lookups)
	for ref := range w.refs {
		if w.all && w.covers(ref.Repo) {
			continue // comes with its repository
		}
		g.Go(func() error {
			return f.settle(ctx, f.lookAt(ctx, ref), gone, func() {
				if f.wanted.follows(ref) {
					f.due[ref] = true
				}
			})
		})
	}
	everything := func() { f.allDue = true }
	if w.all {
		repos, err := f.covered(ctx, w)
		if err := f.settle(ctx, err, gone, everything); err != nil {
			_ = g.Wait() // fails for the same reason
			return err
		}
		for repo := range repos {
			g.Go(func() error { return f.settle(ctx, f.lookInto(ctx, repo), gone, everything) })
		}
	}
	return g.Wait()
}

// settle deals with the error of a lookup. A registry that does not
// answer is not asked for the rest, one that fails for some tags is; what it refuses
// for good is left to the next poll.
func (f *Follower) settle(ctx context.Context, err error, gone, again func()) error {
	if err == nil {
		return nil
	}
	told, answered := errors.AsType[*openapi.Error](err)
	if answered && !told.Code.Temporary() {
		f.config.Logger.WarnContext(ctx, "the registry refuses to look up tags", "err", err)
		return nil
	}
	f.mu.Lock()
	again()
	f.mu.Unlock()
	if !answered {
		gone()
	}
	return err
}

// covered returns the repositories all of whose tags are followed: those that the
// registry has, and those of which tags were told or are wanted.
func (f *Follower) covered(ctx context.Context, w work) (map[name.Repo]bool, error) {
	repos := map[name.Repo]bool{}
	for _, pattern := range w.match {
		namespace, whole := cutPattern(pattern)
		if !whole {
			repo, err := name.ParseRepo(pattern)
			if err != nil {
				return nil, err
			}
			repos[repo] = true
			continue
		}
		for info, err := range f.config.Registry.Repos(ctx, namespace) {
			if err != nil {
				return nil, err
			}
			if repo, err := name.ParseRepo(info.Name); err == nil { // else nobody can ask for it
				repos[repo] = true
			}
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for ref := range f.last {
		if w.covers(ref.Repo) {
			repos[ref.Repo] = true
		}
	}
	for ref := range w.refs {
		if w.covers(ref.Repo) {
			repos[ref.Repo] = true
		}
	}
	return repos, nil
}

// lookAt looks up one tag.
func (f *Follower) lookAt(ctx context.Context, ref name.Ref) error {
	d, err := f.config.Registry.Resolve(ctx, ref)
	if err != nil && !absent(err) {
		return err
	}
	return f.tell(ctx, ref, d)
}

// lookInto looks up all tags of a repository.
func (f *Follower) lookInto(ctx context.Context, repo name.Repo) error {
	found := map[name.Ref]chunker.Digest{}
	for tag, err := range f.config.Registry.Tags(ctx, repo) {
		if absent(err) {
			break
		}
		if err != nil {
			return err
		}
		found[name.Ref{Repo: repo, Tag: tag.Name}] = tag.Digest
	}
	for _, ref := range f.known(repo) {
		if _, there := found[ref]; !there {
			f.say(ref, chunker.Digest{})
		}
	}
	for ref, d := range found {
		if err := f.tell(ctx, ref, d); err != nil {
			return err
		}
	}
	return nil
}

// known returns the tags of a repository that were told of or are wanted.
func (f *Follower) known(repo name.Repo) (refs []name.Ref) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for ref := range f.last {
		if ref.Repo == repo {
			refs = append(refs, ref)
		}
	}
	for ref := range f.wanted.refs {
		if _, told := f.last[ref]; ref.Repo == repo && !told {
			refs = append(refs, ref)
		}
	}
	return refs
}

// tell tells where a tag is, unless that is known, or incomplete: then it tells at
// most that nothing is there yet.
func (f *Follower) tell(ctx context.Context, ref name.Ref, d chunker.Digest) error {
	f.mu.Lock()
	last, told := f.last[ref]
	partial := f.partial[ref]
	f.mu.Unlock()
	if !d.IsZero() && !(told && last == d) && partial != d {
		lacks, err := f.config.Registry.Lacks(ctx, ref.Repo, d)
		if err != nil {
			return err
		}
		if partial = (chunker.Digest{}); lacks != "" {
			partial = d
			f.config.Logger.InfoContext(ctx, "a tag is not followed to a version that is incomplete", "ref", ref.String(), "version", d.Short(), "lacks", lacks)
		}
		f.mu.Lock()
		if f.partial[ref] = partial; partial.IsZero() || !f.wanted.follows(ref) {
			delete(f.partial, ref)
		}
		f.mu.Unlock()
	}
	if !d.IsZero() && partial == d {
		if told {
			return nil
		}
		d = chunker.Digest{}
	}
	f.say(ref, d)
	return nil
}

// say tells where a tag is, unless that is known.
func (f *Follower) say(ref name.Ref, d chunker.Digest) {
	f.mu.Lock()
	last, told := f.last[ref]
	asked := f.wanted.refs[ref]
	news := f.wanted.follows(ref) && (!told || last != d) && (told || asked || !d.IsZero())
	switch {
	case news && d.IsZero() && !asked:
		delete(f.last, ref)
	case news:
		f.last[ref] = d
	}
	f.mu.Unlock()
	if news {
		f.config.Changed(ref, d)
	}
}

func absent(err error) bool { return errors.Is(err, &openapi.Error{Code: openapi.CodeNotFound}) }
