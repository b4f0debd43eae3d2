package client

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/client/internal/journal"
	"github.com/ingot-ml/ingot/client/internal/known"
	"github.com/ingot-ml/ingot/client/internal/source"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/manifest"
	"github.com/ingot-ml/ingot/registry/name"
)

// maxRounds is how often a push uploads what its commit says is missing. Each
// round is told of at most a part of what is missing, and more are for a registry
// that loses chunks as fast as they come.
const maxRounds = 5

// PushOptions say what goes with a push.
type PushOptions struct {
	// Parent is the version that this one was made from; zero for none.
	Parent chunker.Digest
	// Annotations are facts about the version.
	Annotations map[string]string
	// FollowLinks also reads what symbolic links outside the folder point at.
	FollowLinks bool
	// AllowMalformed stores a file that is not what its name claims as it lies,
	// instead of refusing it.
	AllowMalformed bool
	// Journal is the folder that remembers interrupted pushes, which later ones go
	// on with; empty for none.
	Journal string
	// Expect is where the tag must be now: a digest, openapi.ExpectNone for a tag
	// that must not exist, or empty for anywhere.
	Expect string
	// Places is the folder that remembers which local files hold which version: what was
	// pushed or pulled before is what differences are made against. Empty for none.
	Places string
	// Base is the version to make differences against, by its digest; zero for Parent in
	// the same repository, else what the tag is at, else what Places knows of the
	// repository, or of a version much like this one in the namespace.
	Base name.Ref
	// Held is what the caller has of versions. It is read, and not believed.
	Held []Held
	// Cache may hold chunks of the base; nil for none.
	Cache *Cache
	// Progress may be nil.
	Progress Progress
}

// Push stores the folder or file at path as a version and sets the tag of ref,
// which must have one. It reads the files once, and sends the chunks that the
// registry does not have, as differences where something related is at hand and that is
// shorter. What was interrupted goes on where it stopped, at the chunk, when there is a
// journal.
//
// Errors are *openapi.Error, ErrInput, ErrUnreachable, name.ErrName for a ref
// without a tag, or that of ctx.
func (r *Registry) Push(ctx context.Context, path string, ref name.Ref, o PushOptions) (Receipt, error) {
	began := time.Now()
	if ref.Tag == "" {
		return Receipt{}, fmt.Errorf("push to %s: want a tag, a digest names what is there already: %w", ref, name.ErrName)
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return Receipt{}, fmt.Errorf("push %s: %w", path, err)
	}
	files, err := source.Scan(path, o.FollowLinks)
	if err != nil {
		return Receipt{}, fmt.Errorf("push: %w", err)
	}
	p := &push{
		Registry: r, ref: ref, options: o, files: files, progress: heard(o.Progress),
		journal: journal.Of(o.Journal, r.wire.Base(), ref.String(), abs),
	}
	m, done, err := p.do(ctx)
	if err != nil {
		return Receipt{}, fmt.Errorf("push %s to %s: %w", path, ref, err)
	}
	p.note(abs, done.Digest.String())
	got := p.receipt(m)
	got.Digest = done.Digest.String()
	got.Seconds = time.Since(began).Seconds()
	return got, nil
}

// push is one Push.
type push struct {
	*Registry
	ref      name.Ref
	options  PushOptions
	files    []*source.File
	progress Progress
	journal  journal.Entry
	orphan   bool // the version is another registry's, so its parent need not be here

	sent, sentDelta, stored atomic.Int64
	uploaded, deltas        atomic.Int64
}

// receipt says what was moved of m.
func (p *push) receipt(m *manifest.Manifest) Receipt {
	return Receipt{
		Ref: p.ref.String(), BytesTotal: int64(m.Size()),
		BytesSent: p.sent.Load(), BytesSentDelta: p.sentDelta.Load(), BytesStored: p.stored.Load(),
		ChunksTotal: len(m.Chunks), ChunksNew: int(p.uploaded.Load()), ChunksDelta: int(p.deltas.Load()), Files: len(m.Files),
	}
}

// note remembers where the files of a version lie, for later pushes and pulls. A part of
// one has no name yet.
func (p *push) note(path, version string) {
	place := known.Place{Registry: p.wire.Base(), Repo: p.ref.Repo.String(), Version: version, Path: path}
	for _, f := range p.files {
		place.Add(f.Path, f.Place(), f.Info())
	}
	known.In(p.options.Places).Note(place)
}

// do pushes until the version is there. A push that the registry has closed is
// started anew, once: it expired while we were away.
func (p *push) do(ctx context.Context) (*manifest.Manifest, openapi.Committed, error) {
	m, done, err := p.attempt(ctx)
	if errors.Is(err, &openapi.Error{Code: openapi.CodePushClosed}) {
		p.journal.Remove()
		m, done, err = p.attempt(ctx)
	}
	if err == nil {
		p.journal.Remove()
	}
	return m, done, err
}

func (p *push) attempt(ctx context.Context) (*manifest.Manifest, openapi.Committed, error) {
	id, fresh, err := p.open(ctx)
	if err != nil {
		return nil, openapi.Committed{}, err
	}
	pass := newPass(p, id, fresh)
	if err := pass.all(ctx); err != nil {
		return nil, openapi.Committed{}, err
	}
	m, doc, err := pass.manifest(p.options.Parent, p.options.Annotations)
	if err == nil {
		err = pass.whole(ctx, m)
	}
	if err != nil {
		return nil, openapi.Committed{}, err
	}
	done, err := p.commit(ctx, id, doc, func(missing []uint32) error { return pass.again(ctx, m, missing) })
	return m, done, err
}

// open goes on with the push of the journal if that is open, or starts one, which is
// fresh.
func (p *push) open(ctx context.Context) (id string, fresh bool, err error) {
	if id := p.journal.Load(); id != "" {
		was, err := p.pushState(ctx, id)
		var refused *openapi.Error
		if err != nil && !errors.As(err, &refused) {
			return "", false, err
		}
		if err == nil && was.State == openapi.PushOpen && was.Repo == p.ref.Repo.String() {
			return id, false, nil
		}
	}
	started, err := p.startPush(ctx, p.ref.Repo)
	if err != nil {
		return "", false, err
	}
	p.journal.Save(started.ID)
	return started.ID, true, nil
}

// commit commits doc. again uploads the chunks that the registry misses; nil if nobody
// can.
func (p *push) commit(ctx context.Context, id string, doc []byte, again func([]uint32) error) (openapi.Committed, error) {
	for round := 1; ; round++ {
		done, err := p.commitPush(ctx, id, doc, p.ref.Tag, p.options.Expect, p.orphan)
		if err == nil && done.Digest != manifest.Name(doc) {
			err = fmt.Errorf("commit: %s took version %s for %s: %w", p.wire.Base(), manifest.Name(doc).Short(), done.Digest.Short(), ErrCorrupt)
		}
		var lacks *openapi.Error
		if again == nil || round == maxRounds || !errors.As(err, &lacks) || lacks.Code != openapi.CodeMissingChunks || len(lacks.Missing) == 0 {
			return done, err
		}
		if err := again(lacks.Missing); err != nil {
			return done, err
		}
	}
}
