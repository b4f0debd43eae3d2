package doctor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/ingot-ml/ingot/registry/internal/blobs"
)

// blobProperties are those of the bulk store.
func blobProperties() []property {
	return []property{
		{
			name:  "blob-read-after-write",
			needs: "a blob that was acknowledged can be read by everybody",
			do:    useAnother,
			test:  testBlobReadAfterWrite,
		},
		{
			name:  "blob-kept",
			needs: "a name that is taken keeps its bytes",
			after: []string{"blob-read-after-write"},
			do:    useAnother,
			test:  testBlobKept,
		},
		{
			name:  "blob-create-atomic",
			needs: "of those who make a blob at the same time, one succeeds",
			after: []string{"blob-read-after-write", "blob-kept"},
			do:    useAnother,
			test:  testBlobCreateAtomic,
		},
		{
			name:  "blob-ranges",
			needs: "a range of a blob has exactly its bytes, and one that leaves the blob fails",
			after: []string{"blob-read-after-write"},
			do:    useAnother,
			test:  testBlobRanges,
		},
		{
			name:  "blob-large",
			needs: "bundles of 16 MiB and larger manifests come back whole",
			after: []string{"blob-read-after-write"},
			do:    "raise the limit on the size of requests, of the store or of a proxy before it; or " + useAnother,
			test:  testBlobLarge,
		},
		{
			name:  "blob-names",
			needs: fmt.Sprintf("names of %d bytes, which differ by capitals too", blobs.MaxName),
			after: []string{"blob-read-after-write", "blob-kept"},
			do:    useAnother + ", or a shorter prefix",
			test:  testBlobNames,
		},
		{
			name:  "blob-list",
			needs: "lists of blobs are complete, in the order of bytes, with the right sizes",
			do:    useAnother,
			test:  testBlobList,
		},
		{
			name:  "blob-delete",
			needs: "a blob that was deleted is gone",
			after: []string{"blob-read-after-write", "blob-list"},
			do:    "give the credentials the right to delete; otherwise space never comes back",
			test:  testBlobDelete,
		},
		{
			name:  "blob-delete-again",
			needs: "deleting what is not there is no failure, and does not keep others from being deleted",
			after: []string{"blob-read-after-write", "blob-list", "blob-delete"},
			do:    useAnother,
			test:  testBlobDeleteAgain,
		},
		{
			name:  "clock",
			needs: "the store's clock is near ours",
			after: []string{"blob-read-after-write", "blob-list"},
			do:    "set the clocks by NTP; nothing is lost by a wrong one, but what is young is judged by the store's clock",
			test:  testClock,
		},
	}
}

// read returns a range of a blob by the i-th way.
func (b *bench) read(ctx context.Context, i int, name string, off, n int64) ([]byte, error) {
	r, err := b.store(i).Open(ctx, name, off, n)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(r)
	return body, errors.Join(err, r.Close())
}

// put makes a blob of that many bytes.
func (b *bench) put(ctx context.Context, i int, name string, size int) ([]byte, error) {
	body, err := b.noise(size)
	if err != nil {
		return nil, err
	}
	return body, b.store(i).Put(ctx, name, body)
}

func testBlobReadAfterWrite(ctx context.Context, b *bench) (verdict, error) {
	for i := range b.reads {
		name := b.key("%d", i)
		for way := range b.Blobs {
			if _, err := b.store(way).Stat(ctx, name); !errors.Is(err, blobs.ErrNotFound) {
				return lacks("a blob that nobody made was found: %v", err)
			}
		}
		body, err := b.put(ctx, i, name, 1<<10+i)
		if err != nil {
			return verdict{}, err
		}
		for way := range b.Blobs {
			got, err := b.read(ctx, i+way, name, 0, -1)
			if err != nil || !bytes.Equal(got, body) {
				return lacks("blob %d, of %d bytes, was read as %d bytes right after its write: %v", i, len(body), len(got), err)
			}
			info, err := b.store(i+way).Stat(ctx, name)
			if err != nil || info.Size != int64(len(body)) {
				return lacks("blob %d has %d bytes, and is said to have %d: %v", i, len(body), info.Size, err)
			}
		}
	}
	return seen("%d blobs, each read right away through %s", b.reads, ways(len(b.Blobs)))
}

func testBlobKept(ctx context.Context, b *bench) (verdict, error) {
	name := b.key("k")
	body, err := b.put(ctx, 0, name, 2<<20)
	if err != nil {
		return verdict{}, err
	}
	for i, size := range []int{1 << 10, 2 << 20} {
		_, failed := b.put(ctx, i, name, size)
		if failed != nil && !errors.Is(failed, blobs.ErrExists) {
			return verdict{}, failed
		}
		got, err := b.read(ctx, i+1, name, 0, -1)
		if err != nil {
			return verdict{}, err
		}
		if !bytes.Equal(got, body) {
			return lacks("a second write of a name replaced the blob (it was told: %v)", failed)
		}
		if failed == nil {
			return lacks("a second write of a name, with other bytes, was acknowledged")
		}
	}
	return seen("two writes of a name that was taken were refused, the blob is as it was")
}

// testBlobCreateAtomic is testCreateAtomic for blobs.
func testBlobCreateAtomic(ctx context.Context, b *bench) (verdict, error) {
	won := make([][][]byte, b.creations)
	var mu sync.Mutex // protects won
	err := together(b.writers, func(i int) error {
		for round := range b.creations {
			name := b.key("%d", round)
			if _, err := b.store(i).Stat(ctx, name); !errors.Is(err, blobs.ErrNotFound) {
				if err != nil {
					return err
				}
				continue
			}
			body, err := b.unique(0)
			if err != nil {
				return err
			}
			err = b.store(i).Put(ctx, name, body)
			switch {
			case err == nil:
				mu.Lock()
				won[round] = append(won[round], body)
				mu.Unlock()
			case !errors.Is(err, blobs.ErrExists):
				return err
			}
		}
		return nil
	})
	if err != nil {
		return verdict{}, err
	}
	t := tally{what: "races to make a blob"}
	for round := range won {
		got, err := b.read(ctx, round, b.key("%d", round), 0, -1)
		if err != nil {
			return verdict{}, err
		}
		o := outcome{won: won[round]}
		t.count(o, o.decided(got))
	}
	return t.verdict(b.writers)
}

func testBlobRanges(ctx context.Context, b *bench) (verdict, error) {
	const size = 300_000
	name := b.key("k")
	body, err := b.put(ctx, 0, name, size)
	if err != nil {
		return verdict{}, err
	}
	inside := []struct{ off, n int64 }{{0, size}, {0, 1}, {size - 1, 1}, {size - 1, -1}, {4096, 65536}, {99_999, -1}, {0, 0}, {17, 0}, {size, 0}, {size, -1}}
	for i, r := range inside {
		n := r.n
		if n < 0 {
			n = size - r.off
		}
		got, err := b.read(ctx, i, name, r.off, r.n)
		if err != nil || !bytes.Equal(got, body[r.off:r.off+n]) {
			return lacks("bytes %d+%d of %d came as %d bytes that differ: %v", r.off, r.n, size, len(got), err)
		}
	}
	outside := []struct{ off, n int64 }{{0, size + 1}, {size - 1, 2}, {size, 1}, {size + 1, 0}, {size + 1, -1}, {size + 4096, 10}}
	for i, r := range outside {
		got, err := b.read(ctx, i, name, r.off, r.n)
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			return lacks("bytes %d+%d, which leave a blob of %d, came as %d bytes without a failure that says so: %v", r.off, r.n, size, len(got), err)
		}
	}
	return seen("%d ranges were exact, %d that leave the blob failed", len(inside), len(outside))
}

func testBlobLarge(ctx context.Context, b *bench) (verdict, error) {
	for i, size := range b.bodies {
		name := b.key("%d", i)
		body, err := b.put(ctx, i, name, size)
		if err != nil {
			return lacks("a blob of %d bytes cannot be written: %v", size, err)
		}
		got, err := b.read(ctx, i+1, name, 0, -1)
		if err != nil || !bytes.Equal(got, body) {
			return lacks("a blob of %d bytes came back as %d that differ: %v", size, len(got), err)
		}
	}
	return seen("blobs of up to %d bytes came back whole", slices.Max(b.bodies))
}

func testBlobNames(ctx context.Context, b *bench) (verdict, error) {
	digest := strings.Repeat("0123456789abcdef", 4)
	names := []string{
		longest(b.key("long"), blobs.MaxName),
		longest(b.key("long"), blobs.MaxName-1) + "x", // differs at the end only
		b.key("c/012/%s.%s.0", digest, digest[:20]),
		b.key("b/name.space/Llama_3.1-8B/%s.%s.%s", digest, digest[:20], digest[:16]),
		b.key("case"), b.key("CASE"),
		b.key("odd/a..b_-."), b.key("odd/-"),
	}
	bodies := make([][]byte, len(names))
	for i, name := range names {
		var err error
		if bodies[i], err = b.put(ctx, i, name, 100+i); err != nil {
			return lacks("blob %.60q, of %d bytes in its name: %v", name, len(name), err)
		}
	}
	for i, name := range names {
		got, err := b.read(ctx, i, name, 0, -1)
		if err != nil || !bytes.Equal(got, bodies[i]) {
			return lacks("blob %.60q, of %d bytes in its name, has another's bytes: %v", name, len(name), err)
		}
	}
	return seen("%d names of up to %d bytes each kept their own", len(names), blobs.MaxName)
}

// list returns the blobs of the test behind after.
func (b *bench) list(ctx context.Context, i int, prefix, after string) ([]blobs.Info, error) {
	var all []blobs.Info
	for info, err := range b.store(i).List(ctx, prefix, after) {
		if err != nil {
			return nil, err
		}
		all = append(all, info)
	}
	return all, nil
}

// testBlobList lists after each of a few writes, and then after many.
func testBlobList(ctx context.Context, b *bench) (verdict, error) {
	var want []blobs.Info
	for i, odd := range oddNames() {
		name := b.key("%s", strings.ReplaceAll(odd, "/", "_/"))
		if _, err := b.put(ctx, i, name, i); err != nil {
			return verdict{}, err
		}
		want = append(want, blobs.Info{Name: name, Size: int64(i)})
		slices.SortFunc(want, func(a, b blobs.Info) int { return strings.Compare(a.Name, b.Name) })
		got, err := b.list(ctx, i+1, b.key(""), "")
		if err != nil {
			return verdict{}, err
		}
		if wrong := wrongList(got, want); wrong != "" {
			return lacks("a list after %d writes %s", i+1, wrong)
		}
	}
	for i := range want {
		got, err := b.list(ctx, i, b.key(""), want[i].Name)
		if err != nil {
			return verdict{}, err
		}
		if wrong := wrongList(got, want[i+1:]); wrong != "" {
			return lacks("a list of what follows %q %s", want[i].Name, wrong)
		}
	}
	return b.listMany(ctx)
}

// wrongList tells how a list differs from what it should be.
func wrongList(got, want []blobs.Info) string {
	for i, info := range got {
		if i >= len(want) || info.Name != want[i].Name {
			return fmt.Sprintf("has %q in place %d of %d", info.Name, i+1, len(want))
		}
		if info.Size != want[i].Size {
			return fmt.Sprintf("says that a blob of %d bytes has %d", want[i].Size, info.Size)
		}
	}
	if len(got) < len(want) {
		return fmt.Sprintf("misses %q", want[len(got)].Name)
	}
	return ""
}

// listMany lists more than go into one answer of the store.
func (b *bench) listMany(ctx context.Context) (verdict, error) {
	prefix := b.key("many/")
	want := make([]blobs.Info, b.keys)
	err := together(b.writers, func(w int) error {
		for i := w; i < b.keys; i += b.writers {
			want[i] = blobs.Info{Name: fmt.Sprintf("%s%05d", prefix, i), Size: int64(i % 7)}
			if _, err := b.put(ctx, w, want[i].Name, i%7); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return verdict{}, err
	}
	got, err := b.list(ctx, 0, prefix, "")
	if err != nil {
		return verdict{}, err
	}
	if wrong := wrongList(got, want); wrong != "" {
		return lacks("a list of many %s", wrong)
	}
	return seen("lists after each of %d writes, and of %d blobs, were complete and in order", len(oddNames()), b.keys)
}
