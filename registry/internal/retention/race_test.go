package retention_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/codec"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/blobs"
	"github.com/ingot-ml/ingot/registry/internal/registers"
	"github.com/ingot-ml/ingot/registry/internal/retention"
	"github.com/ingot-ml/ingot/registry/internal/versions"
	"github.com/ingot-ml/ingot/registry/manifest"
	"github.com/ingot-ml/ingot/registry/name"
)

var (
	repo  = name.Repo{Namespace: "acme", Name: "run"}
	alice = access.Principal{Subject: "alice"}
)

// noIndex knows nothing.
type noIndex struct{}

func (noIndex) Add(context.Context, string, chunker.Digest, []chunker.Ref) error { return nil }

func (noIndex) Lookup(_ context.Context, digests []chunker.Digest, _ versions.Reach) ([][]versions.Source, error) {
	return make([][]versions.Source, len(digests)), nil
}

// replica is a registry, and its keeper of rules.
type replica struct {
	*versions.Service
	rules *retention.Service
}

func newReplica(engine registers.Engine, store blobs.Store) *replica {
	quiet := slog.New(slog.DiscardHandler)
	s := versions.New(versions.Config{
		Registers: engine, Blobs: store, Index: noIndex{}, Policy: access.Open{}, Now: time.Now, Logger: quiet,
	})
	return &replica{s, retention.New(retention.Config{
		Versions: s, Registers: engine, Policy: access.Open{}, Now: time.Now, Logger: quiet,
	})}
}

// publish pushes a version of one chunk and moves a tag to it.
func (r *replica) publish(ctx context.Context, parent chunker.Digest, plain, tag string) (chunker.Digest, error) {
	b := manifest.NewBuilder()
	ref := chunker.Ref{Digest: chunker.Sum([]byte(plain)), Size: uint32(len(plain))}
	b.Add(manifest.File{Path: "w", Size: uint64(len(plain)), Format: "opaque"}, []chunker.Ref{ref})
	m, err := b.Build(parent, nil)
	if err != nil {
		return parent, err
	}
	doc, err := m.Encode()
	if err != nil {
		return parent, err
	}
	push, err := r.StartPush(ctx, alice, repo)
	if err != nil {
		return parent, err
	}
	if _, err := r.PutChunk(ctx, alice, push.ID, ref.Digest, codec.Append(nil, []byte(plain), chunker.Opaque)); err != nil {
		return parent, err
	}
	done, err := r.Commit(ctx, alice, push.ID, doc, tag, "")
	return done.Digest, err
}

// TestReplicas publishes on two tags, while two replicas apply a rule that keeps next
// to nothing: every publication is acknowledged, and a tag never leads nowhere.
func TestReplicas(t *testing.T) {
	engine, store, ctx := registers.NewMemory(), blobs.NewMemory(), t.Context()
	replicas := []*replica{newReplica(engine, store), newReplica(engine, store)}
	none := int64(0)
	if _, err := replicas[0].rules.SetRule(ctx, alice, repo, openapi.RetentionRule{KeepLast: 1, GraceSeconds: &none}); err != nil {
		t.Fatal(err)
	}
	const each = 30
	var publishing, keeping sync.WaitGroup
	done, retired := make(chan struct{}), make([]int, len(replicas))
	for i, r := range replicas {
		tag := fmt.Sprintf("tag-%d", i)
		publishing.Go(func() {
			var at chunker.Digest
			for n := range each {
				next, err := r.publish(ctx, at, fmt.Sprintf("%d of %s", n, tag), tag)
				if err != nil {
					t.Errorf("publication %d on %s: %v", n, tag, err)
					return
				}
				if now, err := r.Tag(ctx, alice, repo, tag); err != nil || now.Digest != next {
					t.Errorf("%s is at %s, %v, want %s", tag, now.Digest.Short(), err, next.Short())
				}
				if _, err := r.Manifest(ctx, alice, repo, next); err != nil {
					t.Errorf("what %s is at cannot be read: %v", tag, err)
				}
				at = next
			}
		})
		keeping.Go(func() {
			for {
				got, err := r.rules.Apply(ctx, alice, repo, false)
				retired[i] += got.Retired
				if err != nil && !errors.Is(err, context.Canceled) {
					t.Errorf("apply: %v", err)
				}
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	publishing.Wait()
	close(done)
	keeping.Wait()
	if _, err := replicas[1].rules.Apply(ctx, alice, repo, false); err != nil {
		t.Fatal(err)
	}
	left, err := replicas[0].Versions(ctx, alice, repo, "", 100)
	if err != nil || len(left.Versions) > 3 || len(left.Versions) < 2 {
		t.Errorf("%d versions are left, %v; want those with a tag, and the last", len(left.Versions), err)
	}
	for i := range replicas {
		log, err := replicas[0].Log(ctx, alice, name.Ref{Repo: repo, Tag: fmt.Sprintf("tag-%d", i)}, chunker.Digest{}, 100)
		if err != nil || len(log.Entries) != 1 || log.Entries[0].Retired != each-1 {
			t.Errorf("the log of tag %d: %+v, %v", i, log, err)
		}
	}
	t.Logf("retired: %d", retired)
}
