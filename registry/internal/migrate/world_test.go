package migrate_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/registry/internal/blobs"
	"github.com/ingot-ml/ingot/registry/internal/migrate"
	"github.com/ingot-ml/ingot/registry/internal/record"
	"github.com/ingot-ml/ingot/registry/internal/registers"
)

// side is a registry in memory. Before each call to it hook may act, or fail it.
type side struct {
	*registers.Memory
	store *blobs.Memory
	hook  func(call, name string) error // nil for none
}

func newSide() *side { return &side{Memory: registers.NewMemory(), store: blobs.NewMemory()} }

func (s *side) side() migrate.Side { return migrate.Side{Registers: s, Blobs: store{s}} }

func (s *side) before(call, name string) error {
	if s.hook == nil {
		return nil
	}
	return s.hook(call, name)
}

func (s *side) Get(ctx context.Context, key string) ([]byte, registers.Version, error) {
	if err := s.before("get", key); err != nil {
		return nil, registers.Absent, err
	}
	val, version, err := s.Memory.Get(ctx, key)
	return val, version, errors.Join(err, s.before("got", key))
}

func (s *side) CAS(ctx context.Context, key string, want registers.Version, val []byte) (registers.Version, error) {
	if err := s.before("cas", key); err != nil {
		return registers.Absent, err
	}
	return s.Memory.CAS(ctx, key, want, val)
}

func (s *side) List(ctx context.Context, prefix, after string, n int) ([]registers.Entry, error) {
	if err := s.before("list", after); err != nil {
		return nil, err
	}
	return s.Memory.List(ctx, prefix, after, n)
}

// store is a side's blobs.
type store struct{ s *side }

func (b store) Put(ctx context.Context, name string, parts ...[]byte) error {
	if err := b.s.before("put", name); err != nil {
		return err
	}
	return b.s.store.Put(ctx, name, parts...)
}

func (b store) Open(ctx context.Context, name string, off, n int64) (io.ReadCloser, error) {
	if err := b.s.before("open", name); err != nil {
		return nil, err
	}
	return b.s.store.Open(ctx, name, off, n)
}

func (b store) Stat(ctx context.Context, name string) (blobs.Info, error) {
	return b.s.store.Stat(ctx, name)
}

func (b store) List(ctx context.Context, prefix, after string) iter.Seq2[blobs.Info, error] {
	return func(yield func(blobs.Info, error) bool) {
		if err := b.s.before("list blobs", after); err != nil {
			yield(blobs.Info{}, err)
			return
		}
		for info, err := range b.s.store.List(ctx, prefix, after) {
			if !yield(info, err) {
				return
			}
		}
	}
}

// set writes a register whatever it is.
func (s *side) set(t testing.TB, key, val string) {
	t.Helper()
	_, at, err := s.Memory.Get(t.Context(), key)
	if err != nil && !errors.Is(err, registers.ErrNotFound) {
		t.Fatal(err)
	}
	if _, err := s.Memory.CAS(t.Context(), key, at, []byte(val)); err != nil {
		t.Fatal(err)
	}
}

func (s *side) put(t testing.TB, name, body string) {
	t.Helper()
	if err := s.store.Put(t.Context(), name, []byte(body)); err != nil {
		t.Fatal(err)
	}
}

const active = "gl/0000000000000003.aaaa.D"

// filled is a registry with some of everything, in the middle of a collection.
func filled(t testing.TB) *side {
	s := newSide()
	for i := range 1234 { // more than a page
		s.set(t, fmt.Sprintf("m/ns/model/%04d", i), fmt.Sprintf("{\"n\":%d,\n \"odd\": \"\x00\xff\"}", i))
	}
	s.set(t, "t/ns/model/latest", "tag")
	s.set(t, "p/push", "push")
	s.set(t, "d/store", "found fit")
	for i := range 700 {
		s.put(t, fmt.Sprintf("c/%03x/chunk%d.push.0", i%16, i), strings.Repeat("chunk", i))
	}
	s.put(t, "b/ns/model/body", "body")
	s.put(t, "u/push/bundle", "")
	s.put(t, "h/ns/model/hashes", "hashes")
	s.put(t, "gl/0000000000000002.bbbb.D", "ended")
	s.put(t, active, "active")
	state := record.Collection{Epoch: 3, Phase: record.Sweeping, List: active}
	book := record.Book{Registers: s.Memory, Rand: rand.Reader}
	if _, err := book.Swap(t.Context(), record.CollectionKey, registers.Absent, &state); err != nil {
		t.Fatal(err)
	}
	return s
}

func run(t testing.TB, from, to *side) (migrate.Report, error) {
	return migrate.Run(t.Context(), config(from, to))
}

func config(from, to *side) migrate.Config {
	return migrate.Config{
		From: from.side(), To: to.side(), Source: "the source", Identity: "id",
		Now: time.Now, Rand: rand.Reader,
	}
}

// snapshot returns all that there is, without what the migration says of itself.
func snapshot(t testing.TB, s *side) (values, bodies map[string]string) {
	t.Helper()
	values, bodies = map[string]string{}, map[string]string{}
	err := record.Book{Registers: s.Memory}.Each(t.Context(), "", "", func(e registers.Entry) (bool, error) {
		val, _, err := s.Memory.Get(t.Context(), e.Key)
		values[e.Key] = string(val)
		return true, err
	})
	if err != nil {
		t.Fatal(err)
	}
	for key := range values {
		if key == "g/migration" || strings.HasPrefix(key, "d/") {
			delete(values, key)
		}
	}
	for info, err := range s.store.List(t.Context(), "", "") {
		if err != nil {
			t.Fatal(err)
		}
		r, err := s.store.Open(t.Context(), info.Name, 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		bodies[info.Name] = string(body)
	}
	return values, bodies
}

// equal checks that everything of from is in to, but ended lists, and nothing else.
func equal(t testing.TB, from, to *side) {
	t.Helper()
	values, bodies := snapshot(t, from)
	delete(bodies, "gl/0000000000000002.bbbb.D")
	gotValues, gotBodies := snapshot(t, to)
	for what, sides := range map[string][2]map[string]string{"registers": {values, gotValues}, "blobs": {bodies, gotBodies}} {
		if len(sides[0]) != len(sides[1]) {
			t.Errorf("%d %s, want %d", len(sides[1]), what, len(sides[0]))
		}
		for name, want := range sides[0] {
			if got, ok := sides[1][name]; !ok || got != want {
				t.Fatalf("%s: %s is %.40q, %v; want %.40q", what, name, got, ok, want)
			}
		}
	}
}
