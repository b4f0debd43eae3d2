package follow

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/name"
)

var errGone = errors.New("no answer")

// The client is what this is made for.
var (
	_ Registry  = (*client.Registry)(nil)
	_ Registrar = (*client.Registry)(nil)
)

// fake is a registry in memory.
type fake struct {
	mu         sync.Mutex // protects what follows
	tags       map[name.Ref]string
	refuse     map[name.Ref]error // what Resolve says instead
	gone       error              // what everything says instead
	silent     error              // what Watch says instead
	slow       time.Duration      // that a Resolve takes
	watchers   map[chan any]string
	matches    []string // of each Watch
	resolved   int
	incomplete map[string]bool // what is
	questions  int             // what is incomplete
}

func newFake() *fake {
	return &fake{tags: map[name.Ref]string{}, refuse: map[name.Ref]error{}, watchers: map[chan any]string{}}
}

// change changes the fake. It holds the lock while it does.
func (f *fake) change(do func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	do()
}

// move moves a tag, or removes it, and tells those who watch.
func (f *fake) move(to string, text ...string) {
	f.change(func() {
		for _, s := range text {
			ref := parse(s)
			if f.tags[ref] = to; to == "" {
				delete(f.tags, ref)
			}
			f.send(openapi.TagEvent{Repo: ref.Repo.String(), Tag: ref.Tag, Digest: "not to be believed"})
		}
	})
}

// send sends something to all who watch: a TagEvent, a reset as nil, or an error that
// ends the stream.
func (f *fake) send(v any) {
	for w := range f.watchers {
		w <- v
	}
}

func (f *fake) Watch(ctx context.Context, match []string, ready func(), changed func(openapi.TagEvent)) error {
	events := make(chan any, 1000)
	f.mu.Lock()
	f.matches = append(f.matches, strings.Join(match, " "))
	if err := cmpErr(f.gone, f.silent); err != nil {
		f.mu.Unlock()
		return err
	}
	f.watchers[events] = ""
	f.mu.Unlock()
	defer f.change(func() { delete(f.watchers, events) })
	ready()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case v := <-events:
			switch v := v.(type) {
			case openapi.TagEvent:
				changed(v)
			case error:
				return v
			default:
				ready()
			}
		}
	}
}

func cmpErr(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// lookups returns how often tags were looked up.
func (f *fake) lookups() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.resolved
}

func (f *fake) Resolve(ctx context.Context, ref name.Ref) (chunker.Digest, error) {
	f.mu.Lock()
	slow := f.slow
	f.resolved++
	to, err := f.tags[ref], cmpErr(f.gone, f.refuse[ref])
	f.mu.Unlock()
	sleep(ctx, slow)
	if err == nil && to == "" {
		err = openapi.Errorf(openapi.CodeNotFound, "no tag %s", ref)
	}
	if err != nil {
		return chunker.Digest{}, err
	}
	return chunker.Sum([]byte(to)), nil
}

func (f *fake) Lacks(_ context.Context, _ name.Repo, d chunker.Digest) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.questions++
	for to := range f.incomplete {
		if d == chunker.Sum([]byte(to)) {
			return "model-00002-of-00002.safetensors", f.gone
		}
	}
	return "", f.gone
}

func (f *fake) Repos(_ context.Context, namespace string) iter.Seq2[openapi.RepoInfo, error] {
	return func(yield func(openapi.RepoInfo, error) bool) {
		f.mu.Lock()
		repos := map[string]bool{}
		for ref := range f.tags {
			if namespace == "" || ref.Repo.Namespace == namespace {
				repos[ref.Repo.String()] = true
			}
		}
		gone := f.gone
		f.mu.Unlock()
		if gone != nil {
			yield(openapi.RepoInfo{}, gone)
			return
		}
		for _, repo := range slices.Sorted(maps.Keys(repos)) {
			if !yield(openapi.RepoInfo{Name: repo}, nil) {
				return
			}
		}
	}
}

func (f *fake) Tags(_ context.Context, repo name.Repo) iter.Seq2[openapi.Tag, error] {
	return func(yield func(openapi.Tag, error) bool) {
		f.mu.Lock()
		var tags []openapi.Tag
		for ref, to := range f.tags {
			if ref.Repo == repo {
				tags = append(tags, openapi.Tag{Name: ref.Tag, Digest: chunker.Sum([]byte(to))})
			}
		}
		err := f.gone
		f.mu.Unlock()
		if err == nil && len(tags) == 0 {
			err = openapi.Errorf(openapi.CodeNotFound, "no repository %s", repo)
		}
		if err != nil {
			yield(openapi.Tag{}, err)
			return
		}
		for _, tag := range tags {
			if !yield(tag, nil) {
				return
			}
		}
	}
}

func parse(s string) name.Ref {
	ref, err := name.ParseRef(s)
	if err != nil {
		panic(err)
	}
	return ref
}

// world is a follower of a fake, and what it tells.
type world struct {
	t *testing.T
	*fake
	*Follower

	mu     sync.Mutex // protects what follows
	told   []string
	states []string
	busy   map[name.Ref]bool
}

// follow runs a test with a follower of these tags and patterns, in a time of its
// own.
func follow(t *testing.T, f *fake, wanted string, test func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, fake: f, busy: map[name.Ref]bool{}}
		w.Follower = New(Config{Registry: f, Changed: w.changed, State: w.state})
		w.set(wanted)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- w.Run(ctx) }()
		synctest.Wait()
		test(w)
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Run returned %v", err)
		}
	})
}

func (w *world) set(wanted string) {
	w.t.Helper()
	var refs []name.Ref
	var match []string
	for _, s := range strings.Fields(wanted) {
		if strings.Contains(s, "*") {
			match = append(match, s)
		} else {
			refs = append(refs, parse(s))
		}
	}
	if err := w.Set(refs, match); err != nil {
		w.t.Fatal(err)
	}
}

// changed is the follower's Changed. It takes some time, so that two at a time for
// one tag would meet.
func (w *world) changed(ref name.Ref, d chunker.Digest) {
	w.mu.Lock()
	if w.busy[ref] {
		w.t.Errorf("%s is told of twice at a time", ref)
	}
	w.busy[ref] = true
	w.mu.Unlock()
	time.Sleep(time.Millisecond)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.busy[ref] = false
	text := "gone"
	for i := range 1000 {
		if d == chunker.Sum([]byte(fmt.Sprint(i))) {
			text = fmt.Sprint(i)
		}
	}
	w.told = append(w.told, ref.String()+"="+text)
}

func (w *world) state(how string, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		how += "!"
	}
	w.states = append(w.states, how)
}

// after lets so much time pass.
func (w *world) after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// heard wants to have been told this since the last call, in any order.
func (w *world) heard(want ...string) {
	w.t.Helper()
	w.after(100 * time.Millisecond) // of the test's time: Changed takes some
	w.mu.Lock()
	defer w.mu.Unlock()
	slices.Sort(w.told)
	slices.Sort(want)
	if !slices.Equal(w.told, want) {
		w.t.Errorf("told of %q, want %q", w.told, want)
	}
	w.told = nil
}

// passed wants these states since the last call.
func (w *world) passed(want ...string) {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if !slices.Equal(w.states, want) {
		w.t.Errorf("states %q, want %q", w.states, want)
	}
	w.states = nil
}
