package versions_test

import (
	"bytes"
	"encoding/json"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/codec"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/blobs"
	"github.com/ingot-ml/ingot/registry/internal/placement"
	"github.com/ingot-ml/ingot/registry/internal/record"
	"github.com/ingot-ml/ingot/registry/internal/versions"
	"github.com/ingot-ml/ingot/registry/name"
)

// changed returns b with some bytes changed, others for each seed.
func changed(b []byte, seed int) []byte {
	b = bytes.Clone(b)
	for i := seed % every; i < len(b); i += every {
		b[i] += byte(1 + seed%7)
	}
	return b
}

const (
	size  = 300_000 // of a chunk: whole it is a blob of its own
	every = 1000    // of its bytes one changes
)

// series makes versions of one chunk each, every one like the one before.
func series(t *testing.T, n int) (plains [][]byte, all []*version) {
	plain := plainOf(99, size)
	for i := range n {
		if i > 0 {
			plain = changed(plain, i*31)
		}
		plains = append(plains, plain)
		all = append(all, newVersion(t, chunker.Digest{}, plain))
	}
	return plains, all
}

func deltaOf(t *testing.T, plain, base []byte) []byte {
	t.Helper()
	enc, ok := codec.AppendDelta(nil, plain, base, chunker.Sum(base), chunker.Opaque, len(plain))
	if !ok {
		t.Fatal("no delta")
	}
	return enc
}

func source(repo name.Repo, v *version) versions.Source {
	return versions.Source{Repo: repo.String(), Version: v.digest}
}

// sending is how chunks are sent: in batches, or each by itself.
var sending = map[string]bool{"in batches": true, "one by one": false}

// putDelta sends a chunk as a delta.
func (w *world) putDelta(batch bool, id string, plain, base []byte, of versions.Source) (openapi.Received, error) {
	d, enc := chunker.Sum(plain), deltaOf(w.t, plain, base)
	if batch {
		return w.PutDeltas(w.t.Context(), alice, id, []versions.Encoded{{Digest: d, Bytes: enc}}, of)
	}
	return w.PutDelta(w.t.Context(), alice, id, d, enc, of)
}

// pushDelta pushes a version of one chunk as a delta of that of another.
func (w *world) pushDelta(batch bool, repo name.Repo, v *version, plain, base []byte, of versions.Source) openapi.Received {
	w.t.Helper()
	id := w.start(alice, repo)
	got, err := w.putDelta(batch, id, plain, base, of)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.Commit(w.t.Context(), alice, id, v.doc, "main", ""); err != nil {
		w.t.Fatal(err)
	}
	return got
}

// placed returns where the only chunk of a version lies, by its body.
func (w *world) placed(repo name.Repo, v *version) placement.Entry {
	w.t.Helper()
	var head struct{ Body string }
	val, _, err := w.engine.Get(w.t.Context(), record.HeadKey(repo, v.digest))
	if err == nil {
		err = json.Unmarshal(val, &head)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	raw, err := blobs.Read(w.t.Context(), w.store, head.Body, placement.MaxBody)
	if err != nil {
		w.t.Fatal(err)
	}
	b, err := placement.ReadBody(head.Body, raw)
	if err != nil {
		w.t.Fatal(err)
	}
	return b.Entries[0]
}

// TestStoredDeltas pushes a row of versions as deltas, each of the one before: they take
// little room, need two bases at most, and are read as ever.
func TestStoredDeltas(t *testing.T) {
	for how, batch := range sending {
		t.Run(how, func(t *testing.T) {
			w := newWorld(t)
			plains, all := series(t, 8)
			w.push(alice, model, all[0], "main")
			kinds := "0"
			for i := 1; i < len(all); i++ {
				got := w.pushDelta(batch, model, all[i], plains[i], plains[i-1], source(model, all[i-1]))
				e := w.placed(model, all[i])
				kinds += string(rune('0' + len(e.Closure)))
				if got.Stored < int64(e.Length) || int(e.Length) > size/10 {
					t.Errorf("version %d: %d bytes were added, its chunk takes %d", i, got.Stored, e.Length)
				}
				if len(e.Closure) > 2 || len(e.Closure) > 0 && e.Closure[0].Spent < e.Length {
					t.Errorf("version %d lies at %+v", i, e)
				}
			}
			if !strings.HasPrefix(kinds, "012") || strings.Contains(kinds[1:], "0") {
				t.Errorf("bases of the versions: %s", kinds)
			}
			w.restart()
			for _, v := range all {
				w.check(bob, model, v)
			}
			if _, err := w.FileHashes(t.Context(), bob, model, all[len(all)-1].digest); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestLearntDeltas commits at a replica that has to learn from the store what was
// uploaded, in a bundle and as a blob.
func TestLearntDeltas(t *testing.T) {
	for how, batch := range sending {
		w := newWorld(t)
		plains, all := series(t, 2)
		w.push(alice, model, all[0], "main")
		id := w.start(alice, model)
		put := func() (openapi.Received, error) {
			return w.putDelta(batch, id, plains[1], plains[0], source(model, all[0]))
		}
		if _, err := put(); err != nil {
			t.Fatal(err)
		}
		w.restart()
		if got := w.missing(alice, id, all[1]); len(got) != 0 {
			t.Fatalf("%s: missing %v", how, got)
		}
		w.restart()
		// Who repeats an upload whose answer was lost stores nothing new of a blob.
		got, err := put()
		if err != nil || !batch && got.New != 0 {
			t.Fatalf("again: %+v, %v", got, err)
		}
		if _, err := w.Commit(t.Context(), alice, id, all[1].doc, "main", ""); err != nil {
			t.Fatal(err)
		}
		if e := w.placed(model, all[1]); len(e.Closure) != 1 || e.Closure[0].Spent == 0 {
			t.Errorf("lies at %+v", e)
		}
		w.check(bob, model, all[1])
	}
}

// TestLostBase has the version that holds a base go while a push is under way: the chunk
// is missing, and is sent whole.
func TestLostBase(t *testing.T) {
	for _, batch := range sending {
		w := newWorld(t)
		plains, all := series(t, 2)
		w.push(alice, model, all[0], "")
		id := w.start(alice, model)
		if _, err := w.putDelta(batch, id, plains[1], plains[0], source(model, all[0])); err != nil {
			t.Fatal(err)
		}
		if err := w.Delete(t.Context(), alice, model, all[0].digest); err != nil {
			t.Fatal(err)
		}
		w.restart()
		_, err := w.Commit(t.Context(), alice, id, all[1].doc, "", "")
		_ = failure(t, "commit", err, openapi.CodeMissingChunks)
		if got := w.missing(alice, id, all[1]); len(got) != 1 {
			t.Fatalf("missing %v", got)
		}
		w.upload(alice, id, all[1], all[1].order)
		w.restart()
		if _, err := w.Commit(t.Context(), alice, id, all[1].doc, "", ""); err != nil {
			t.Fatal(err)
		}
		if e := w.placed(model, all[1]); len(e.Closure) != 0 {
			t.Errorf("lies at %+v", e)
		}
		w.check(bob, model, all[1])
	}
}

// TestCondemnedBase condemns a base between P3 and P5.
func TestCondemnedBase(t *testing.T) {
	w := newWorld(t)
	plains, all := series(t, 2)
	w.push(alice, model, all[0], "main")
	id := w.start(alice, model)
	put := func() error { _, err := w.putDelta(false, id, plains[1], plains[0], source(model, all[0])); return err }
	if err := put(); err != nil {
		t.Fatal(err)
	}
	w.engine.before = func(key string) {
		if strings.HasPrefix(key, "m/") { // P3
			w.engine.before = nil
			w.collect(1, "condemned", w.objectOf(chunker.Sum(plains[0])))
		}
	}
	_, err := w.Commit(t.Context(), alice, id, all[1].doc, "main", "")
	_ = failure(t, "commit", err, openapi.CodeMissingChunks)
	_, err = w.Manifest(t.Context(), alice, model, all[1].digest)
	wants(t, "a version with a condemned base", err, openapi.CodeNotFound)
	if err := put(); err != nil {
		t.Fatal(err) // the base can still be read, and is not kept as one
	}
	if _, err := w.Commit(t.Context(), alice, id, all[1].doc, "main", ""); err != nil {
		t.Fatal(err)
	}
	if e := w.placed(model, all[1]); len(e.Closure) != 0 {
		t.Errorf("lies at %+v", e)
	}
	w.check(bob, model, all[1])
}

// TestNoBase offers bases that cannot be used: all are told alike.
func TestNoBase(t *testing.T) {
	w := newWorld(t)
	plains, all := series(t, 3)
	w.push(alice, model, all[0], "main")
	hidden := name.Repo{Namespace: "hidden", Name: "model"}
	w.push(alice, hidden, all[2], "main")
	w.config.Policy = notHidden{}
	w.restart()
	id := w.start(alice, model)
	d, whole := chunker.Sum(plains[1]), all[1].chunks[chunker.Sum(plains[1])]
	offer := func(base []byte, of versions.Source) error {
		_, err := w.PutDelta(t.Context(), alice, id, d, deltaOf(t, plains[1], base), of)
		return err
	}
	told := map[string]bool{}
	for what, err := range map[string]error{
		"no version named":       offer(plains[0], versions.Source{}),
		"a version never seen":   offer(plains[0], versions.Source{Repo: model.String(), Version: chunker.Sum(nil)}),
		"one without the chunk":  offer(plains[2], source(model, all[0])),
		"one that may not be":    offer(plains[2], source(hidden, all[2])),
		"a version without name": offer(plains[0], versions.Source{Repo: "..", Version: all[0].digest}),
	} {
		told[failure(t, what, err, openapi.CodeNoBase).Message] = true
	}
	if len(told) != 1 {
		t.Errorf("told differently: %v", told)
	}
	bad := deltaOf(t, plains[1], plains[0])
	_, err := w.PutDelta(t.Context(), alice, id, chunker.Sum(plains[2]), bad, source(model, all[0]))
	wants(t, "a delta of another chunk", err, openapi.CodeBadChunk)
	bad[len(bad)-1] ^= 1
	_, err = w.PutDelta(t.Context(), alice, id, d, bad, source(model, all[0]))
	wants(t, "a damaged delta", err, openapi.CodeBadChunk)
	if got, err := w.PutDelta(t.Context(), alice, id, d, whole, versions.Source{}); err != nil || got.New != 1 {
		t.Errorf("whole: %+v, %v", got, err)
	}
}

// notHidden lets nobody read the namespace hidden.
type notHidden struct{}

func (notHidden) Allow(p access.Principal, repo name.Repo, a access.Action) error {
	if repo.Namespace == "hidden" {
		return access.ErrDenied
	}
	return access.Open{}.Allow(p, repo, a)
}

// TestForeignBase sends a delta of a chunk of another namespace: it is stored whole.
func TestForeignBase(t *testing.T) {
	w := newWorld(t)
	plains, all := series(t, 2)
	there := name.Repo{Namespace: "elsewhere", Name: "model"}
	w.push(alice, there, all[0], "main")
	w.pushDelta(true, model, all[1], plains[1], plains[0], source(there, all[0]))
	if e := w.placed(model, all[1]); len(e.Closure) != 0 {
		t.Errorf("lies at %+v", e)
	}
	w.check(bob, model, all[1])
}

// frames asks for the only chunk of a version and decodes what comes, which must be like
// plain. It returns the bytes of each frame.
func (w *world) frames(p access.Principal, repo name.Repo, v *version, wish versions.Wish, held []byte) (sizes []int) {
	w.t.Helper()
	located, err := w.Chunks(w.t.Context(), p, repo, v.digest, []uint32{0})
	if err != nil {
		w.t.Fatal(err)
	}
	frames, err := w.Frames(w.t.Context(), p, located[0], wish, versions.NewRoom())
	if err != nil {
		w.t.Fatal(err)
	}
	have := map[chunker.Digest][]byte{chunker.Sum(held): held}
	var plain []byte
	for _, f := range frames {
		enc, err := io.ReadAll(f)
		if err != nil || int64(len(enc)) != f.Length {
			w.t.Fatalf("%d bytes of %d, %v", len(enc), f.Length, err)
		}
		_ = f.Close()
		base, err := codec.Base(enc)
		if err == nil && base.IsZero() {
			plain, err = codec.Decode(nil, enc)
		} else if err == nil {
			plain, err = codec.DecodeDelta(nil, enc, have[base], base)
		}
		if err != nil || chunker.Sum(plain) != f.Digest {
			w.t.Fatalf("frame of %s: %v", f.Digest.Short(), err)
		}
		have[f.Digest] = plain
		sizes = append(sizes, len(enc))
	}
	if chunker.Sum(plain) != located[0].Digest {
		w.t.Fatal("the last frame is another chunk's")
	}
	return sizes
}

func (w *world) held(repo name.Repo, v *version) *versions.Located {
	w.t.Helper()
	located, err := w.Chunks(w.t.Context(), alice, repo, v.digest, []uint32{0})
	if err != nil {
		w.t.Fatal(err)
	}
	return &located[0]
}

// TestFrames asks for chunks in every way.
func TestFrames(t *testing.T) {
	w := newWorld(t)
	plains, all := series(t, 5)
	w.push(alice, model, all[0], "main")
	for i := 1; i < 4; i++ {
		w.pushDelta(true, model, all[i], plains[i], plains[i-1], source(model, all[i-1]))
	}
	w.push(alice, other, all[4], "main") // whole
	w.restart()
	deltas := versions.Wish{Deltas: true}
	holds := func(i int) versions.Wish { return versions.Wish{Deltas: true, Held: w.held(model, all[i])} }
	step := w.placed(model, all[2])
	for _, tc := range []struct {
		what string
		repo name.Repo
		of   int
		wish versions.Wish
		held int
		want []int // the least bytes of each frame; at most twice that
	}{
		{"whole for who knows no deltas", model, 2, versions.Wish{}, 4, []int{size}},
		{"with all its bases", model, 2, deltas, 4, []int{size, int(step.Closure[0].Length), int(step.Length)}},
		{"with the bases that are lacking", model, 2, holds(0), 0, []int{int(step.Closure[0].Length), int(step.Length)}},
		{"alone", model, 2, holds(1), 1, []int{int(step.Length)}},
		{"fresh, of a later one", model, 1, holds(3), 3, []int{int(step.Length)}},
		{"whole and known to nobody", other, 4, deltas, 0, []int{size}},
		{"fresh, of a whole one", other, 4, holds(3), 3, []int{int(step.Length) / 2}},
	} {
		got := w.frames(bob, tc.repo, all[tc.of], tc.wish, plains[tc.held])
		ok := len(got) == len(tc.want)
		for i := 0; ok && i < len(got); i++ {
			ok = got[i] >= tc.want[i]/2 && got[i] <= 2*tc.want[i]+64
		}
		if !ok {
			t.Errorf("%s: frames of %v bytes, want about %v", tc.what, got, tc.want)
		}
	}
}

// TestDeltaBudget spends what a subject may have the registry do, and waits.
func TestDeltaBudget(t *testing.T) {
	w := newWorld(t)
	w.config.Deltas.Bytes = size // one at a time
	w.restart()
	plains, all := series(t, 4)
	w.push(alice, model, all[0], "main")
	id := w.start(alice, model)
	put := func(i int) error {
		_, err := w.PutDelta(t.Context(), alice, id, chunker.Sum(plains[i]), deltaOf(t, plains[i], plains[0]), source(model, all[0]))
		return err
	}
	if err := put(1); err != nil {
		t.Fatal(err)
	}
	wants(t, "more than a minute's", put(2), openapi.CodeNoBase)
	w.now = w.now.Add(time.Minute)
	if err := put(2); err != nil {
		t.Fatal(err)
	}
	w.push(alice, other, all[3], "main")
	wish := versions.Wish{Deltas: true, Held: w.held(model, all[0])}
	if got := w.frames(alice, other, all[3], wish, plains[0]); !slices.Equal(got, []int{len(all[3].chunks[chunker.Sum(plains[3])])}) {
		t.Errorf("with nothing left: %v", got)
	}
	if got := w.frames(bob, other, all[3], wish, plains[0]); len(got) != 1 || got[0] > size/10 {
		t.Errorf("others are sent %v", got)
	}
	if got := w.frames(alice, other, all[3], wish, plains[0]); len(got) != 1 || got[0] > size/10 {
		t.Errorf("what was made for others is sent as %v", got)
	}
	w.config.Deltas.CPU = -1
	w.restart()
	id = w.start(alice, model)
	wants(t, "no deltas at all", put(3), openapi.CodeNoBase)
}
