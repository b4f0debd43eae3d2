package follow

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/name"
)

func TestTagsAreFollowed(t *testing.T) {
	f := newFake()
	f.move("1", "acme/a:main", "acme/b:main")
	follow(t, f, "acme/a:main acme/none:main", func(w *world) {
		w.heard("acme/a:main=1", "acme/none:main=gone")
		w.move("2", "acme/a:main", "acme/b:main", "acme/a:other")
		w.heard("acme/a:main=2")
		w.move("", "acme/a:main")
		w.heard("acme/a:main=gone")
		w.move("2", "acme/a:main", "acme/none:main")
		w.heard("acme/a:main=2", "acme/none:main=2")
		w.move("2", "acme/a:main") // where it is
		w.heard()
		w.after(time.Hour)
		w.heard()
		w.passed(Events)
		if w.resolved != 7 {
			t.Errorf("%d lookups, want 2 at the start, 5 for events and none for time", w.resolved)
		}
		if got := strings.Join(w.matches, "; "); got != "acme/a acme/none" {
			t.Errorf("watched %q", got)
		}
	})
}

// TestBusyTag moves a tag a hundred times in ten seconds, where a lookup takes one.
func TestBusyTag(t *testing.T) {
	f := newFake()
	f.slow = time.Second
	f.move("999", "acme/a:main")
	follow(t, f, "acme/a:main", func(w *world) {
		for i := range 100 {
			w.move(fmt.Sprint(i), "acme/a:main")
			w.after(100 * time.Millisecond)
		}
		w.after(2 * time.Second)
		w.mu.Lock()
		defer w.mu.Unlock()
		if n := len(w.told); w.told[n-1] != "acme/a:main=99" || n > 13 || n < 8 {
			t.Errorf("told of %d places, at last %s", n, w.told[n-1])
		}
	})
}

func TestPollsWithoutEvents(t *testing.T) {
	f := newFake()
	f.silent = openapi.Errorf(openapi.CodeNotFound, "no such path")
	f.move("1", "acme/a:main")
	follow(t, f, "acme/a:main", func(w *world) {
		w.heard("acme/a:main=1")
		w.move("2", "acme/a:main")
		w.after(20 * time.Second)
		w.heard()
		w.after(20 * time.Second)
		w.heard("acme/a:main=2")
		w.after(time.Hour)
		if w.resolved < 100 || w.resolved > 160 {
			t.Errorf("%d lookups in an hour and more, want one in 30 s", w.resolved)
		}
		if n := len(w.matches); n < 60 || n > 250 {
			t.Errorf("events were asked for %d times, want pauses of 30 s at last", n)
		}
		w.passed(Polling) // a registry without events is a registry
		w.change(func() { f.silent = nil })
		w.move("3", "acme/a:main")
		w.after(time.Minute)
		w.heard("acme/a:main=3")
		w.passed(Events)
	})
}

func TestNothingIsMissedBetweenConnections(t *testing.T) {
	f := newFake()
	f.move("1", "acme/a:main", "acme/b:main")
	follow(t, f, "acme/a:main acme/b:main", func(w *world) {
		w.heard("acme/a:main=1", "acme/b:main=1")
		w.passed(Events)
		w.change(func() {
			f.send(errGone)
			f.tags[parse("acme/a:main")] = "2" // nobody is told
		})
		w.after(time.Second)
		w.heard("acme/a:main=2")
		w.passed(Polling+"!", Events)
		w.change(func() {
			f.tags[parse("acme/b:main")] = "3"
			f.send(nil) // reset
		})
		w.heard("acme/b:main=3")
		w.passed()
	})
}

func TestRegistryComesAndGoes(t *testing.T) {
	f := newFake()
	f.gone = errGone
	follow(t, f, "acme/a:main acme/*", func(w *world) {
		w.after(time.Hour)
		w.heard()
		w.passed(Polling + "!") // nothing is said of a registry that was not asked
		if n := w.resolved + len(w.matches); n > 400 {
			t.Errorf("%d requests in an hour without answer", n)
		}
		w.change(func() { f.gone = nil })
		w.move("1", "acme/a:main", "acme/b:main")
		w.after(time.Minute)
		w.heard("acme/a:main=1", "acme/b:main=1")
		w.change(func() { f.gone = errGone; f.send(errGone) })
		w.after(time.Minute)
		w.heard() // nothing is taken for deleted
		w.change(func() { f.gone = nil })
		w.move("2", "acme/a:main")
		w.after(time.Minute)
		w.heard("acme/a:main=2")
	})
}

func TestNamespaces(t *testing.T) {
	f := newFake()
	f.move("1", "acme/a:main", "acme/a:prod", "acme/b:main", "corp/c:main")
	follow(t, f, "acme/* acme/b:main acme/b:next corp/c:main", func(w *world) {
		w.heard("acme/a:main=1", "acme/a:prod=1", "acme/b:main=1", "acme/b:next=gone", "corp/c:main=1")
		w.move("2", "acme/new:main", "corp/new:main")
		w.heard("acme/new:main=2")
		w.move("", "acme/a:prod", "acme/b:main")
		w.heard("acme/a:prod=gone", "acme/b:main=gone")
		w.change(func() {
			delete(f.tags, parse("acme/a:main"))
			delete(f.tags, parse("acme/new:main"))
			f.send(nil) // reset
		})
		w.heard("acme/a:main=gone", "acme/new:main=gone")
		w.move("3", "acme/a:main")
		w.heard("acme/a:main=3")
		if got := strings.Join(w.matches, "; "); got != "acme/* corp/c" {
			t.Errorf("watched %q", got)
		}
	})
}

func TestEverything(t *testing.T) {
	f := newFake()
	f.move("1", "acme/a:main", "corp/b:main")
	follow(t, f, "*", func(w *world) {
		w.heard("acme/a:main=1", "corp/b:main=1")
		w.move("2", "other/c:main")
		w.heard("other/c:main=2")
	})
}

func TestOtherTagsAreWanted(t *testing.T) {
	f := newFake()
	f.move("1", "acme/a:main", "acme/b:main")
	follow(t, f, "", func(w *world) {
		w.after(time.Hour)
		w.passed(Nothing)
		w.set("acme/a:main")
		w.heard("acme/a:main=1")
		w.passed(Events)
		w.set("acme/b:main")
		w.heard("acme/b:main=1")
		w.move("2", "acme/a:main", "acme/b:main")
		w.heard("acme/b:main=2")
		w.set("acme/b:main acme/a:main") // is told of again: it was not followed
		w.heard("acme/a:main=2")
		w.set("acme/a:main acme/b:main") // the same
		w.heard()
		w.set("")
		w.move("3", "acme/a:main")
		w.heard()
		if got, want := strings.Join(w.matches, "; "), "acme/a; acme/b; acme/a acme/b"; got != want {
			t.Errorf("watched %q, want %q", got, want)
		}
	})
}

// TestOneBadTag has the registry refuse one tag and fail for another.
func TestOneBadTag(t *testing.T) {
	f := newFake()
	f.refuse[parse("acme/a:main")] = openapi.Errorf(openapi.CodeForbidden, "no")
	f.refuse[parse("acme/b:main")] = openapi.Errorf(openapi.CodeInternal, "damaged")
	f.move("1", "acme/a:main", "acme/b:main", "acme/c:main")
	follow(t, f, "acme/a:main acme/b:main acme/c:main", func(w *world) {
		w.heard("acme/c:main=1")
		before := w.lookups()
		w.after(time.Hour)
		if n := w.lookups() - before; n < 60 || n > 250 {
			t.Errorf("%d more lookups, want those of the tag that fails, with pauses", n)
		}
		w.move("2", "acme/c:main")
		w.after(time.Minute)
		w.heard("acme/c:main=2")
		w.change(func() { clear(f.refuse) })
		w.after(time.Minute)
		w.heard("acme/b:main=1")
	})
}

// TestIncomplete has tags come to versions in which files are missing.
func TestIncomplete(t *testing.T) {
	f := newFake()
	f.incomplete = map[string]bool{"2": true, "3": true}
	f.move("1", "acme/a:main")
	f.move("2", "acme/b:main", "all/c:main")
	follow(t, f, "acme/a:main acme/b:main all/*", func(w *world) {
		w.heard("acme/a:main=1", "acme/b:main=gone")
		w.move("2", "acme/a:main")
		w.move("3", "acme/a:main", "acme/b:main", "all/c:main")
		w.after(time.Minute)
		w.heard()
		w.move("4", "acme/a:main", "acme/b:main", "all/c:main")
		w.heard("acme/a:main=4", "acme/b:main=4", "all/c:main=4")
		w.change(func() { w.questions = 0 })
		w.move("2", "acme/a:main")
		w.move("2", "acme/a:main")
		w.heard()
		w.move("4", "acme/a:main")
		w.move("", "acme/a:main")
		w.heard("acme/a:main=gone")
		if w.questions != 1 {
			t.Errorf("asked %d times for one version", w.questions)
		}
	})
}

func TestEventsAreNotBelieved(t *testing.T) {
	f := newFake()
	f.move("1", "acme/a:main")
	follow(t, f, "acme/a:main", func(w *world) {
		w.heard("acme/a:main=1")
		w.change(func() {
			for _, e := range []openapi.TagEvent{
				{}, {Repo: "acme/a"}, {Repo: "acme/a", Tag: "a b"}, {Repo: "../a", Tag: "main"},
				{Repo: "corp/a", Tag: "main"}, {Repo: "acme/a", Tag: "main", Digest: "rubbish"},
				{Repo: "acme/a", Tag: strings.Repeat("0", 64)},
			} {
				f.send(e)
			}
		})
		w.heard()
		w.passed(Events)
		if w.resolved != 2 {
			t.Errorf("%d lookups, want 2", w.resolved)
		}
	})
}

func TestSubscriptionsFitIntoALine(t *testing.T) {
	refs := func(namespaces, models int) (refs []name.Ref) {
		for i := range namespaces {
			for j := range models {
				refs = append(refs, parse(fmt.Sprintf("namespace%d/model%d:main", i, j)))
			}
		}
		return refs
	}
	for _, tc := range []struct {
		refs  []name.Ref
		match []string
		n     int
		first string
	}{
		{refs(1, 1000), nil, 1000, "namespace0/model0"},
		{refs(2, 1000), nil, 2, "namespace0/*"},
		{refs(2, 1000), []string{"namespace1/*"}, 1001, "namespace0/model0"},
		{refs(5000, 1), nil, 1, "*"},
		{nil, nil, 0, ""},
		{nil, []string{"*"}, 1, "*"},
		{refs(1, 1), []string{"*"}, 1, "*"},
	} {
		w, err := parseWanted(tc.refs, tc.match)
		if err != nil {
			t.Fatal(err)
		}
		got := w.subscription()
		if len(got) != tc.n || tc.n > 0 && !slices.Contains(got, tc.first) {
			t.Errorf("%d tags: %d patterns like %.60q, want %d with %q", len(tc.refs), len(got), got, tc.n, tc.first)
		}
	}
}

func TestBadPatterns(t *testing.T) {
	for _, m := range []string{"", "acme", "*/a", "acme/a*", "acme/a:main", "**"} {
		if err := New(Config{}).Set(nil, []string{m}); err == nil {
			t.Errorf("%q is taken", m)
		}
	}
}
