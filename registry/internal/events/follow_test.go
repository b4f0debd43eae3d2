package events

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/record"
	"github.com/ingot-ml/ingot/registry/internal/registers"
	"github.com/ingot-ml/ingot/registry/name"
)

// counted counts the calls of an engine.
type counted struct {
	registers.Engine
	gets, lists atomic.Int64
}

func (c *counted) Get(ctx context.Context, key string) ([]byte, registers.Version, error) {
	c.gets.Add(1)
	return c.Engine.Get(ctx, key)
}

func (c *counted) List(ctx context.Context, prefix, after string, n int) ([]registers.Entry, error) {
	c.lists.Add(1)
	return c.Engine.List(ctx, prefix, after, n)
}

// move writes a tag as another replica would.
func move(t *testing.T, e registers.Engine, repo, tag, digest string) {
	t.Helper()
	r, err := name.ParseRepo(repo)
	if err != nil {
		t.Fatal(err)
	}
	book := record.Book{Registers: e, Rand: zeros{}}
	var rec record.Tag
	v, err := book.Load(t.Context(), record.TagKey(r, tag), &rec)
	if err != nil {
		t.Fatal(err)
	}
	rec.Digest = digest
	if _, err := book.Swap(t.Context(), record.TagKey(r, tag), v, &rec); err != nil {
		t.Fatal(err)
	}
}

// zeros is no randomness at all: the records differ by their numbers.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) { return len(b), nil }

func TestFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &counted{Engine: registers.NewMemory()}
		h := NewHub(access.Open{})
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go h.Follow(ctx, record.Book{Registers: e, Rand: zeros{}}, time.Second, slog.New(slog.DiscardHandler))
		for _, tag := range []string{"a", "b", "c"} {
			move(t, e.Engine, "acme/llama", tag, "1")
			move(t, e.Engine, "corp/x", tag, "1")
		}
		time.Sleep(time.Minute)
		if n := e.lists.Load(); n != 0 {
			t.Errorf("%d lists while nobody listens", n)
		}
		l := listen(t, h, "acme/*", "acme/llama")
		time.Sleep(1500 * time.Millisecond)
		if got := heard(l); got != "missed" || e.gets.Load() != 0 {
			t.Errorf("a new listener heard %q, %d registers were read", got, e.gets.Load())
		}
		move(t, e.Engine, "acme/llama", "b", "2")
		move(t, e.Engine, "acme/llama", "d", "1")
		move(t, e.Engine, "corp/x", "b", "2")
		time.Sleep(time.Second)
		if got := heard(l); got != "acme/llama:b=2 acme/llama:d=1" {
			t.Errorf("heard %q", got)
		}
		time.Sleep(10 * time.Second)
		if got := heard(l); got != "" || e.gets.Load() != 2 {
			t.Errorf("heard %q while nothing changed, %d registers were read", got, e.gets.Load())
		}
		if lists := e.lists.Load(); lists > 14 {
			t.Errorf("%d lists in 13 rounds of one prefix", lists)
		}
	})
}

func TestWidest(t *testing.T) {
	got := widest(map[string]bool{"t/a/b/": true, "t/a/": true, "t/ab/": true, "t/c/d/": true})
	if len(got) != 3 || got[0] != "t/a/" || got[1] != "t/ab/" || got[2] != "t/c/d/" {
		t.Errorf("got %q", got)
	}
}
