package events

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/name"
)

func tell(t *testing.T, h *Hub, repo, tag, digest string) {
	t.Helper()
	r, err := name.ParseRepo(repo)
	if err != nil {
		t.Fatal(err)
	}
	h.Tell(r, openapi.TagEvent{Repo: repo, Tag: tag, Digest: digest})
}

func listen(t *testing.T, h *Hub, match ...string) *Listener {
	t.Helper()
	l, err := h.Listen(access.Anonymous, match)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

// heard takes what waits and writes it as repo:tag=digest.
func heard(l *Listener) string {
	changes, missed := l.Take()
	var words []string
	for _, e := range changes {
		words = append(words, e.Repo+":"+e.Tag+"="+e.Digest)
	}
	if missed {
		words = append(words, "missed")
	}
	return strings.Join(words, " ")
}

func TestWhoIsTold(t *testing.T) {
	h := NewHub(access.Open{})
	for _, tc := range []struct{ match, want string }{
		{"*", "acme/a:main=1 acme/b:main=2 corp/a:main=3"},
		{"acme/*", "acme/a:main=1 acme/b:main=2"},
		{"acme/b", "acme/b:main=2"},
		{"acme/b acme/a", "acme/a:main=1 acme/b:main=2"},
		{"corp/* acme/b", "acme/b:main=2 corp/a:main=3"},
		{"acm/*", ""},
		{"acme/bb", ""},
	} {
		l := listen(t, h, strings.Fields(tc.match)...)
		tell(t, h, "acme/a", "main", "1")
		tell(t, h, "acme/b", "main", "2")
		tell(t, h, "corp/a", "main", "3")
		if got := heard(l); got != tc.want {
			t.Errorf("%s heard %q, want %q", tc.match, got, tc.want)
		}
	}
}

func TestNewestOfEachTag(t *testing.T) {
	h := NewHub(access.Open{})
	l := listen(t, h, "*")
	for i := range 10 {
		tell(t, h, "acme/a", "main", fmt.Sprint(i))
		tell(t, h, "acme/a", "prod", fmt.Sprint(i))
	}
	tell(t, h, "acme/a", "main", "")
	<-l.Ready()
	if got, want := heard(l), "acme/a:main= acme/a:prod=9"; got != want {
		t.Errorf("heard %q, want %q", got, want)
	}
	if got := heard(l); got != "" {
		t.Errorf("heard %q twice", got)
	}
	tell(t, h, "acme/a", "prod", "10")
	<-l.Ready()
	if got, want := heard(l), "acme/a:prod=10"; got != want {
		t.Errorf("heard %q, want %q", got, want)
	}
}

func TestTooMuchToKeep(t *testing.T) {
	h := NewHub(access.Open{})
	l := listen(t, h, "*")
	for i := range maxWaiting {
		tell(t, h, "acme/a", fmt.Sprint("t", i), "1")
	}
	tell(t, h, "acme/a", "t0", "2") // is kept already
	if changes, missed := l.Take(); len(changes) != maxWaiting || missed || changes[0].Digest != "2" {
		t.Errorf("%d changes, missed %v", len(changes), missed)
	}
	for i := range maxWaiting + 2 {
		tell(t, h, "acme/a", fmt.Sprint("t", i), "3")
	}
	if got := heard(l); got != "missed" {
		t.Errorf("heard %q, want that some were missed", got)
	}
	tell(t, h, "acme/a", "t1", "4")
	if got, want := heard(l), "acme/a:t1=4"; got != want {
		t.Errorf("heard %q, want %q", got, want)
	}
}

func TestBadPatterns(t *testing.T) {
	h := NewHub(access.Open{})
	for _, match := range [][]string{
		nil, {""}, {"acme"}, {"*/a"}, {"acme/a*"}, {"**"}, {"/*"}, {"acme/**"}, {"acme/a:main"}, {"acme/*/*"}, {"a..b/*"},
		{"acme/a", "acme"}, slices.Repeat([]string{"acme/a"}, openapi.MaxMatch+1),
	} {
		if _, err := h.Listen(access.Anonymous, match); !errors.Is(err, &openapi.Error{Code: openapi.CodeBadRequest}) {
			t.Errorf("%.60q: got %v, want bad_request", match, err)
		}
	}
	listen(t, h, slices.Repeat([]string{"acme/a"}, openapi.MaxMatch)...)
}

// only lets a principal read the namespace that has its name.
type only struct{}

func (only) Allow(p access.Principal, repo name.Repo, a access.Action) error {
	if a == access.Read && repo.Namespace == p.Subject {
		return nil
	}
	return access.ErrDenied
}

func TestOnlyWhatMayBeRead(t *testing.T) {
	h := NewHub(only{})
	l, err := h.Listen(access.Principal{Subject: "acme"}, []string{"*", "corp/*", "corp/a"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	tell(t, h, "corp/a", "main", "1")
	tell(t, h, "acme/a", "main", "2")
	if got, want := heard(l), "acme/a:main=2"; got != want {
		t.Errorf("heard %q, want %q", got, want)
	}
}

func TestTooManyListeners(t *testing.T) {
	h := NewHub(access.Open{})
	h.most = 2
	first := listen(t, h, "*")
	listen(t, h, "*")
	if _, err := h.Listen(access.Anonymous, []string{"*"}); !errors.Is(err, &openapi.Error{Code: openapi.CodeBusy}) {
		t.Errorf("got %v, want busy", err)
	}
	first.Close()
	first.Close() // twice is harmless
	listen(t, h, "*")
}

// TestConcurrently wants the last change of every tag to arrive, however takes and
// tells fall.
func TestConcurrently(t *testing.T) {
	h := NewHub(access.Open{})
	l := listen(t, h, "*")
	const writers, moves = 8, 200
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range moves {
				h.Tell(name.Repo{Namespace: "acme", Name: "a"}, openapi.TagEvent{Repo: "acme/a", Tag: fmt.Sprint(w), Digest: fmt.Sprint(i)})
			}
		})
	}
	last := map[string]string{}
	done := func() bool {
		for w := range writers {
			if last[fmt.Sprint(w)] != fmt.Sprint(moves-1) {
				return false
			}
		}
		return true
	}
	for !done() {
		<-l.Ready()
		changes, _ := l.Take()
		for _, e := range changes {
			last[e.Tag] = e.Digest
		}
	}
	wg.Wait()
}
