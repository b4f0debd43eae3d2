package quota_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/codec"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/blobs"
	"github.com/ingot-ml/ingot/registry/internal/quota"
	"github.com/ingot-ml/ingot/registry/internal/registers"
	"github.com/ingot-ml/ingot/registry/internal/versions"
	"github.com/ingot-ml/ingot/registry/manifest"
	"github.com/ingot-ml/ingot/registry/name"
)

var (
	model  = name.Repo{Namespace: "acme", Name: "model"}
	root   = access.Principal{Subject: "root", Scopes: "*:admin"}
	alice  = access.Principal{Subject: "alice", Scopes: "acme/*:push"}
	bob    = access.Principal{Subject: "bob", Scopes: "rival/*:admin acme/model:pull"}
	hubber = access.Principal{Subject: "hubber", Scopes: "acme/m*:push"}
)

// counted counts what registers are asked.
type counted struct {
	registers.Engine
	asked atomic.Int64
}

func (c *counted) Get(ctx context.Context, key string) ([]byte, registers.Version, error) {
	c.asked.Add(1)
	return c.Engine.Get(ctx, key)
}

func (c *counted) List(ctx context.Context, prefix, after string, n int) ([]registers.Entry, error) {
	c.asked.Add(1)
	return c.Engine.List(ctx, prefix, after, n)
}

// noIndex knows nothing.
type noIndex struct{}

func (noIndex) Add(context.Context, string, chunker.Digest, []chunker.Ref) error { return nil }
func (noIndex) Lookup(_ context.Context, d []chunker.Digest, _ versions.Reach) ([][]versions.Source, error) {
	return make([][]versions.Source, len(d)), nil
}

// world is a registry, whose clock goes on by a millisecond with every look.
type world struct {
	t         *testing.T
	registers *counted
	versions  *versions.Service
	quota     *quota.Service
	clock     atomic.Int64
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, registers: &counted{Engine: registers.NewMemory()}}
	w.quota = w.replica()
	w.versions = versions.New(versions.Config{
		Registers: w.registers, Blobs: blobs.NewMemory(), Index: noIndex{}, Policy: access.ByModel(access.NewScoped()),
		Now: w.now, Logger: slog.New(slog.DiscardHandler), Quota: w.quota,
	})
	w.quota.Weigh(func(namespace string) quota.Weigher { return w.versions.Scale(namespace) })
	return w
}

func (w *world) now() time.Time {
	return time.Unix(1e9, 0).Add(time.Duration(w.clock.Add(1)) * time.Millisecond)
}

// replica returns another process's quotas, which know the limits.
func (w *world) replica() *quota.Service {
	w.t.Helper()
	s := quota.New(quota.Config{Registers: w.registers, Policy: access.ByModel(access.NewScoped()), Now: w.now, Logger: slog.New(slog.DiscardHandler)})
	s.Weigh(func(namespace string) quota.Weigher { return w.versions.Scale(namespace) })
	if err := s.Look(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	return s
}

func (w *world) limit(bytes, stored int64) {
	w.t.Helper()
	var to openapi.QuotaLimits
	if bytes >= 0 {
		to.Bytes = &bytes
	}
	if stored >= 0 {
		to.Stored = &stored
	}
	if _, err := w.quota.SetQuota(w.t.Context(), root, "acme", to); err != nil {
		w.t.Fatal(err)
	}
}

// chunk returns a chunk of n bytes and its name.
func chunk(seed byte, n int) ([]byte, chunker.Ref) {
	plain := make([]byte, n)
	for i := range plain {
		plain[i] = byte(i*7+i*i>>3) ^ seed
	}
	plain[0] = seed
	return plain, chunker.Ref{Digest: chunker.Sum(plain), Size: uint32(n)}
}

const chunkSize = 10_000

// push uploads chunks, and commits a version of them.
func (w *world) push(p access.Principal, repo name.Repo, note string, seeds ...byte) (chunker.Digest, error) {
	w.t.Helper()
	ctx := w.t.Context()
	push, err := w.versions.StartPush(ctx, p, repo)
	if err != nil {
		w.t.Fatal(err)
	}
	b := manifest.NewBuilder()
	var refs []chunker.Ref
	for _, seed := range seeds {
		plain, ref := chunk(seed, chunkSize)
		if _, err := w.versions.PutChunk(ctx, p, push.ID, ref.Digest, codec.Append(nil, plain, chunker.Opaque)); err != nil {
			return chunker.Digest{}, err
		}
		refs = append(refs, ref)
	}
	b.Add(manifest.File{Path: "w", Size: uint64(len(seeds) * chunkSize), Format: "opaque"}, refs)
	m, err := b.Build(chunker.Digest{}, map[string]string{"note": note})
	if err != nil {
		w.t.Fatal(err)
	}
	doc, err := m.Encode()
	if err != nil {
		w.t.Fatal(err)
	}
	done, err := w.versions.Commit(ctx, p, push.ID, doc, "", "")
	return done.Digest, err
}

func (w *world) count(repo name.Repo) int {
	w.t.Helper()
	list, err := w.versions.Versions(w.t.Context(), root, repo, "", 100)
	if err != nil && !errors.Is(err, &openapi.Error{Code: openapi.CodeNotFound}) {
		w.t.Fatal(err)
	}
	return len(list.Versions)
}

func (w *world) usage() openapi.Usage {
	w.t.Helper()
	q, err := w.quota.Quota(w.t.Context(), root, "acme")
	if err != nil {
		w.t.Fatal(err)
	}
	return *q.Usage
}

func exceeded(err error) bool { return errors.Is(err, &openapi.Error{Code: openapi.CodeQuotaExceeded}) }

// TestBytes counts versions as if each was alone in the store.
func TestBytes(t *testing.T) {
	w := newWorld(t)
	first, err := w.push(alice, model, "a", 1, 2)
	if err != nil {
		t.Fatal(err)
	}
	w.limit(4*chunkSize, -1)
	if _, err := w.push(alice, model, "b", 1, 2); err != nil { // of the same chunks
		t.Fatal(err)
	}
	if u := w.usage(); u.Bytes != 4*chunkSize || u.Pushing != 0 {
		t.Errorf("usage %+v", u)
	}
	if _, err := w.push(alice, model, "c", 1); !exceeded(err) {
		t.Errorf("one too many: %v", err)
	}
	if n := w.count(model); n != 2 {
		t.Errorf("%d versions, want 2", n)
	}
	if err := w.versions.Delete(t.Context(), root, model, first); err != nil {
		t.Fatal(err)
	}
	w.clock.Add(1000)
	if _, err := w.push(alice, model, "c", 3); err != nil {
		t.Errorf("with room again: %v", err)
	}
}

// TestWhileUploading refuses chunks that cannot fit before the commit does.
func TestWhileUploading(t *testing.T) {
	w := newWorld(t)
	w.limit(2*chunkSize, -1)
	if _, err := w.push(alice, model, "a", 1, 2, 3); !exceeded(err) {
		t.Errorf("three chunks where two fit: %v", err)
	}
	if n := w.count(model); n != 0 {
		t.Errorf("%d versions of what was refused", n)
	}
	if _, err := w.push(alice, model, "a", 1, 2); err != nil {
		t.Errorf("what fits: %v", err)
	}
}

// TestStored counts bytes as they lie in the store, those of pushes under way too.
func TestStored(t *testing.T) {
	w := newWorld(t)
	if _, err := w.push(alice, model, "a", 1); err != nil {
		t.Fatal(err)
	}
	one := w.usage().Stored
	if one == 0 || one > chunkSize {
		t.Fatalf("one chunk is %d stored bytes", one)
	}
	w.limit(-1, 2*one+one/2)
	if _, err := w.push(alice, model, "b", 2, 3); !exceeded(err) { // the second is stored, and of no version
		t.Errorf("three chunks where two fit: %v", err)
	}
	if u := w.usage(); u.Pushing == 0 || u.Stored < 2*one-one/4 || u.Bytes != chunkSize {
		t.Errorf("usage %+v, one chunk is %d", u, one)
	}
	w.clock.Add(int64((quota.Unfinished + time.Second) / time.Millisecond))
	if _, err := w.push(alice, model, "b", 2); err != nil {
		t.Errorf("after the push was given up: %v", err)
	}
	if u := w.usage(); u.Pushing != 0 || u.Bytes != 2*chunkSize {
		t.Errorf("usage %+v", u)
	}
}

// TestUploads counts files that wait for a commit by themselves.
func TestUploads(t *testing.T) {
	w := newWorld(t)
	uploads, err := model.Uploads()
	if err != nil {
		t.Fatal(err)
	}
	w.limit(2*chunkSize, -1)
	if _, err := w.push(hubber, uploads, "a", 1, 2); err != nil {
		t.Fatal(err)
	}
	if _, err := w.push(hubber, model, "a", 1, 2); err != nil {
		t.Errorf("the version that wants them: %v", err)
	}
	if u := w.usage(); u.Bytes != 2*chunkSize || u.Uploads != 2*chunkSize {
		t.Errorf("usage %+v", u)
	}
	if _, err := w.push(hubber, uploads, "b", 3); !exceeded(err) {
		t.Errorf("more uploads: %v", err)
	}
}

// TestTogether has many push at once: they get no more than there is.
func TestTogether(t *testing.T) {
	w := newWorld(t)
	w.limit(5*chunkSize, -1)
	var all sync.WaitGroup
	var done, refused atomic.Int64
	for i := range 12 {
		all.Go(func() {
			switch _, err := w.push(alice, model, "n", byte(i+1)); {
			case err == nil:
				done.Add(1)
			case exceeded(err):
				refused.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	all.Wait()
	if done.Load() != 5 || refused.Load() != 7 || w.count(model) != 5 {
		t.Errorf("%d fit and %d do not, %d versions; want 5, 7, 5", done.Load(), refused.Load(), w.count(model))
	}
}

// TestCosts asks the registers nothing for a chunk.
func TestCosts(t *testing.T) {
	w := newWorld(t)
	w.limit(1<<40, 1<<40)
	w.usage()
	before := w.registers.asked.Load()
	p := versions.QuotaPush{Namespace: "acme", ID: "0123"}
	for range 30 {
		if err := w.quota.Take(t.Context(), p, 1, 1); err != nil {
			t.Fatal(err)
		}
	}
	if n := w.registers.asked.Load() - before; n != 0 {
		t.Errorf("30 chunks ask the registers %d times", n)
	}
}

// TestReplica has another process set a limit.
func TestReplica(t *testing.T) {
	w := newWorld(t)
	other := w.replica()
	most := int64(chunkSize)
	if _, err := other.SetQuota(t.Context(), root, "acme", openapi.QuotaLimits{Bytes: &most}); err != nil {
		t.Fatal(err)
	}
	if err := w.quota.Look(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := w.push(alice, model, "a", 1, 2); !exceeded(err) {
		t.Errorf("beyond the limit of another replica: %v", err)
	}
	if err := other.ClearQuota(t.Context(), root, "acme"); err != nil {
		t.Fatal(err)
	}
	if err := w.quota.Look(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := w.push(alice, model, "a", 1, 2); err != nil {
		t.Errorf("without a limit: %v", err)
	}
}

// TestRights lets those see a quota who may read all of its namespace, and set it who run
// the registry.
func TestRights(t *testing.T) {
	w := newWorld(t)
	w.limit(1, -1)
	ctx, most := t.Context(), int64(5)
	code := func(err error) openapi.Code {
		if e, ok := errors.AsType[*openapi.Error](err); ok {
			return e.Code
		}
		return ""
	}
	for _, tt := range []struct {
		p         access.Principal
		see, set  openapi.Code
		listed    int
		namespace string
	}{
		{root, "", "", 1, "acme"},
		{alice, "", openapi.CodeForbidden, 1, "acme"},
		{bob, openapi.CodeNotFound, openapi.CodeNotFound, 0, "acme"}, // one model is not all
		{bob, "", openapi.CodeForbidden, 0, "rival"},
		{access.Principal{Subject: "anonymous"}, openapi.CodeNotFound, openapi.CodeNotFound, 0, "acme"},
		{root, openapi.CodeBadName, openapi.CodeBadName, 1, "../x"},
	} {
		_, err := w.quota.Quota(ctx, tt.p, tt.namespace)
		if code(err) != tt.see {
			t.Errorf("%s sees %s: %v", tt.p.Subject, tt.namespace, err)
		}
		if _, err = w.quota.SetQuota(ctx, tt.p, tt.namespace, openapi.QuotaLimits{Bytes: &most}); code(err) != tt.set {
			t.Errorf("%s sets %s: %v", tt.p.Subject, tt.namespace, err)
		}
		if tt.set != "" {
			if err := w.quota.ClearQuota(ctx, tt.p, tt.namespace); code(err) != tt.set {
				t.Errorf("%s clears %s: %v", tt.p.Subject, tt.namespace, err)
			}
		}
		list, err := w.quota.Quotas(ctx, tt.p, "", 10)
		if err != nil || len(list.Quotas) != tt.listed {
			t.Errorf("%s lists %+v, %v", tt.p.Subject, list, err)
		}
	}
	if err := w.quota.ClearQuota(ctx, root, "rival"); code(err) != openapi.CodeNotFound {
		t.Errorf("clear none: %v", err)
	}
}
