package s3_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"golang.org/x/sys/unix"

	"github.com/ingot-ml/ingot/integration/needtest"
	"github.com/ingot-ml/ingot/integration/storetest"
	"github.com/ingot-ml/ingot/registry/internal/blobs"
	"github.com/ingot-ml/ingot/registry/internal/registers"
	"github.com/ingot-ml/ingot/registry/internal/s3"
)

// both runs a test on either server.
func both(t *testing.T, run func(t *testing.T, store *storetest.Store)) {
	t.Run("minio", func(t *testing.T) { run(t, stores.MinIO(t)) })
	t.Run("versitygw", func(t *testing.T) { run(t, stores.Versity(t)) })
}

// plain returns a client as minio-go makes it, with its own retries.
func plain(t *testing.T, store *storetest.Store, transport http.RoundTripper) *minio.Client {
	t.Helper()
	client, err := minio.New(strings.TrimPrefix(store.Endpoint, "http://"), &minio.Options{
		Creds: credentials.NewStaticV4(store.AccessKey, store.SecretKey, ""), Region: store.Region, Transport: transport,
	})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// TestTrapRetries shows what minio-go's own retries make of a lost answer, and that
// ours are not like that: see TestUnknown.
func TestTrapRetries(t *testing.T) {
	store := stores.MinIO(t)
	bucket, w := store.Bucket(t), newWire(t)
	w.fail(method(http.MethodPut), lost)
	var opts minio.PutObjectOptions
	opts.SetMatchETagExcept("*")
	_, err := plain(t, store, w).PutObject(t.Context(), bucket, "k", strings.NewReader("mine"), 4, opts)
	if minio.ToErrorResponse(err).StatusCode != http.StatusPreconditionFailed {
		t.Errorf("minio-go says %v after a lost answer: if it no longer repeats writes, ours may change", err)
	}
	if got := store.Want(t, http.StatusOK, http.MethodGet, bucket+"/k", "", nil); string(got) != "mine" {
		t.Errorf("the object is %q", got)
	}
}

// TestTrapMultipart shows that minio-go drops the condition of a large PUT, which
// versitygw then lets overwrite, and that ours keeps it.
func TestTrapMultipart(t *testing.T) {
	both(t, func(t *testing.T, store *storetest.Store) {
		w := newWire(t)
		space := dial(t, store, s3.Options{Transport: w})
		const size = 17 << 20
		first := bytes.Repeat([]byte("a"), size)
		if err := space.Blobs().Put(t.Context(), "u/push/x", first); err != nil {
			t.Fatal(err)
		}
		w.fail(every)
		if err := space.Blobs().Put(t.Context(), "u/push/x", bytes.Repeat([]byte("b"), size)); !errors.Is(err, blobs.ErrExists) {
			t.Errorf("second Put: %v, want ErrExists", err)
		}
		for _, line := range w.sent() {
			if strings.Contains(line, "upload") {
				t.Errorf("an upload in parts: %s", line)
			}
		}
		got, err := readAll(t.Context(), space.Blobs(), "u/push/x", 0, -1)
		if err != nil || got != string(first) {
			t.Errorf("the blob has %d bytes, %v, and is not the first", len(got), err)
		}
		var opts minio.PutObjectOptions
		opts.SetMatchETagExcept("*")
		_, err = plain(t, store, nil).PutObject(t.Context(), space.Location().Bucket, "some/prefix/u/push/x", bytes.NewReader(first), size, opts)
		if overwrites := err == nil; overwrites != (store.Name == "versitygw") {
			t.Errorf("minio-go by itself says %v: if it no longer drops the condition, ours may change", err)
		}
	})
}

// TestTrapReset has versitygw refuse large bodies, which it does by an answer or by
// closing the connection.
func TestTrapReset(t *testing.T) {
	both(t, func(t *testing.T, store *storetest.Store) {
		w := newWire(t)
		space := dial(t, store, s3.Options{Transport: w})
		first, other := bytes.Repeat([]byte("a"), 2<<20), bytes.Repeat([]byte("b"), 2<<20)
		if err := space.Blobs().Put(t.Context(), "c/x", first); err != nil {
			t.Fatal(err)
		}
		w.fail(every)
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				for range 8 {
					if err := space.Blobs().Put(t.Context(), "c/x", other); !errors.Is(err, blobs.ErrExists) {
						t.Errorf("Put over other bytes: %v, want ErrExists", err)
					}
				}
			})
		}
		all.Wait()
		t.Logf("%d PUTs, %d looks", w.count(method(http.MethodPut)), w.count(method(http.MethodGet)))
		if n := w.count(method(http.MethodPut)); n != 32 {
			t.Errorf("%d PUTs were sent for 32 blobs: each is answered by looking, not by sending again", n)
		}
		if got, err := readAll(t.Context(), space.Blobs(), "c/x", 0, -1); err != nil || got != string(first) {
			t.Errorf("the blob has %d bytes, %v, and is not the first", len(got), err)
		}
	})
}

// TestTrapChecksums has bytes change on their way, which both servers notice by the
// checksums that we send, none of which comes behind the body: versitygw refuses
// those.
func TestTrapChecksums(t *testing.T) {
	both(t, func(t *testing.T, store *storetest.Store) {
		w := newWire(t)
		space := dial(t, store, s3.Options{Transport: w})
		w.fail(method(http.MethodPut), many(s3.Tries, flip)...)
		if err := space.Blobs().Put(t.Context(), "c/x", make([]byte, 1<<20)); err == nil {
			t.Error("a blob that changed on its way is stored")
		}
		if _, err := space.Blobs().Stat(t.Context(), "c/x"); !errors.Is(err, blobs.ErrNotFound) {
			t.Errorf("the blob: %v, want ErrNotFound", err)
		}
		w.fail(method(http.MethodPut), flip)
		if _, err := space.Registers().CAS(t.Context(), "k", registers.Absent, []byte("value")); err == nil {
			t.Error("a register that changed on its way is stored")
		}
		if _, _, err := space.Registers().Get(t.Context(), "k"); !errors.Is(err, registers.ErrNotFound) {
			t.Errorf("the register: %v, want ErrNotFound", err)
		}
		for _, req := range w.requests {
			if req.Header.Get("X-Amz-Trailer") != "" || strings.Contains(req.Header.Get("Content-Encoding"), "chunked") {
				t.Errorf("%s %s sends a checksum behind its body", req.Method, req.URL)
			}
		}
	})
}

// TestFull fills the disk of a store: what does not fit is refused as such, at once,
// and what is there stays readable.
func TestFull(t *testing.T) {
	disk := t.TempDir()
	if err := unix.Mount("tmpfs", disk, "tmpfs", 0, "size=8m"); err != nil {
		needtest.Skip(t, "mount", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(disk, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	w := newWire(t)
	space := dial(t, storetest.VersityIn(t, disk), s3.Options{Transport: w})
	blob := bytes.Repeat([]byte("x"), 1<<20)
	var err error
	made := 0
	for ; err == nil && made < 10; made++ {
		w.fail(every)
		err = space.Blobs().Put(t.Context(), fmt.Sprintf("c/%d", made), blob)
	}
	if !errors.Is(err, blobs.ErrNoSpace) || w.count(method(http.MethodPut)) != 1 {
		t.Errorf("blob %d: %v after %d PUTs, want ErrNoSpace after one", made, err, w.count(method(http.MethodPut)))
	}
	if got, err := readAll(t.Context(), space.Blobs(), "c/0", 0, -1); err != nil || got != string(blob) {
		t.Errorf("the first blob has %d bytes, %v", len(got), err)
	}
}

// TestTrapETags has equal values told apart, also when others are in between.
func TestTrapETags(t *testing.T) {
	both(t, func(t *testing.T, store *storetest.Store) {
		e := dial(t, store, s3.Options{}).Registers()
		seen := map[registers.Version]bool{}
		version := registers.Absent
		for i := range 12 {
			next, err := e.CAS(t.Context(), "k", version, []byte("ab"[i%2:i%2+1]))
			if err != nil || seen[next] {
				t.Fatalf("version %q, %v: it came before: %v", next, err, seen[next])
			}
			if _, err := e.CAS(t.Context(), "k", version, []byte("late")); !errors.Is(err, registers.ErrConflict) {
				t.Errorf("a late write over version %q: %v, want a conflict", version, err)
			}
			seen[next], version = true, next
		}
	})
}

// turnwise sends requests to two servers in turn, as a load balancer before them does.
type turnwise struct {
	next  http.RoundTripper
	hosts [2]string
	n     atomic.Uint64
}

// RoundTrip implements http.RoundTripper. What is signed stays as it is.
func (b *turnwise) RoundTrip(req *http.Request) (*http.Response, error) {
	host := b.hosts[b.n.Add(1)%2]
	req = req.Clone(req.Context())
	req.Host, req.URL.Host = req.URL.Host, host
	return b.next.RoundTrip(req)
}

// balance returns a transport that sends requests to two servers in turn.
func balance(t *testing.T, a, b *storetest.Store) *turnwise {
	t.Helper()
	return &turnwise{next: newWire(t), hosts: [2]string{strings.TrimPrefix(a.Endpoint, "http://"), strings.TrimPrefix(b.Endpoint, "http://")}}
}

// TestTrapTorn counts in a store that gives every answer right, one by one, and loses
// writes that come at the same time. Options.Alone keeps one process safe in it: see
// TestAloneRegisters.
func TestTrapTorn(t *testing.T) {
	a, b := storetest.Torn(t)
	open := dial(t, a, s3.Options{Transport: balance(t, a, b)}).Registers()
	for range 20 {
		if acked, counted := count(t, open, 400); acked != counted {
			t.Logf("%d additions made %d", acked, counted)
			return
		}
	}
	t.Error("no addition was lost: this store is not what the test takes it for")
}

// count has many writers add to a counter, tries times in all, and returns how many
// were acknowledged and what the counter says.
func count(t *testing.T, e registers.Engine, tries int) (acked, counted int) {
	t.Helper()
	const writers = 8
	key := "count/" + rand.Text()
	if _, err := e.CAS(t.Context(), key, registers.Absent, []byte("0")); err != nil {
		t.Fatal(err)
	}
	var done atomic.Int64
	var all sync.WaitGroup
	for range writers {
		all.Go(func() {
			for range tries / writers {
				n, version, err := number(t, e, key)
				if err == nil {
					_, err = e.CAS(t.Context(), key, version, []byte(strconv.Itoa(n+1)))
				}
				if err == nil {
					done.Add(1)
				} else if !errors.Is(err, registers.ErrConflict) {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	counted, _, err := number(t, e, key)
	if err != nil {
		t.Fatal(err)
	}
	return int(done.Load()), counted
}

func number(t *testing.T, e registers.Engine, key string) (int, registers.Version, error) {
	t.Helper()
	val, version, err := e.Get(t.Context(), key)
	if err != nil {
		return 0, version, err
	}
	n, err := strconv.Atoi(string(val))
	return n, version, err
}
