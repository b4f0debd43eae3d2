package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/client/internal/archive"
	"github.com/ingot-ml/ingot/client/internal/journal"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/name"
)

// ArchiveMagic is how the archives begin that Export writes.
const ArchiveMagic = archive.Magic

// ErrBehind reports a chunk that the registry lacks, of an archive that was read from a
// stream and has passed it.
var ErrBehind = archive.ErrBehind

// ImportOptions say how the versions of an archive come into a registry.
type ImportOptions struct {
	// As is what the version is to be called, of an archive that has only one; zero is
	// what it was called before.
	As name.Ref
	// Journal is the folder that remembers interrupted imports, which later ones go on
	// with; empty for none.
	Journal string
	// Progress may be nil.
	Progress Progress
}

// Import stores the versions of an archive, under their own names, and sends only what
// the registry lacks. from is read once; if it is an io.ReaderAt too, what turns out
// to be missing later is read again. It returns what was stored before an error.
//
// Errors are *openapi.Error, ErrInput for what is no archive, ErrCorrupt for one that
// is damaged, ErrBehind, ErrUnreachable, or those of from and ctx.
func (r *Registry) Import(ctx context.Context, from io.Reader, o ImportOptions) (done []Receipt, err error) {
	a, err := archive.NewReader(from)
	if err != nil {
		return nil, fmt.Errorf("import: %w", judgeArchive(err))
	}
	renamed := o.As != name.Ref{}
	if renamed && a.Versions() > 1 {
		return nil, fmt.Errorf("import: the archive has %d versions, which cannot all be %s: %w", a.Versions(), o.As, ErrInput)
	}
	if renamed && o.As.Tag == "" {
		return nil, fmt.Errorf("import as %s: want a tag: %w", o.As, name.ErrName)
	}
	for {
		v, err := a.Next()
		if errors.Is(err, io.EOF) {
			return done, nil
		}
		if err != nil {
			return done, fmt.Errorf("import: %w", judgeArchive(err))
		}
		if renamed {
			v.Repo, v.Tag = o.As.Repo, o.As.Tag
		}
		got, err := r.importVersion(ctx, a, v, o)
		if err != nil {
			return done, fmt.Errorf("import %s: %w", versionRef(v), judgeArchive(err))
		}
		done = append(done, got)
	}
}

// versionRef returns what a version is called: by its digest if it has no tag.
func versionRef(v *archive.Version) name.Ref {
	if v.Tag == "" {
		return name.Ref{Repo: v.Repo, Digest: v.Digest}
	}
	return name.Ref{Repo: v.Repo, Tag: v.Tag}
}

// judgeArchive says of an error of an archive what it is to callers.
func judgeArchive(err error) error {
	switch {
	case errors.Is(err, archive.ErrNone), errors.Is(err, archive.ErrVersion):
		return fmt.Errorf("%w: %w", err, ErrInput)
	case errors.Is(err, archive.ErrDamaged):
		return fmt.Errorf("%w: %w", err, ErrCorrupt)
	}
	return err
}

func (r *Registry) importVersion(ctx context.Context, a *archive.Reader, v *archive.Version, o ImportOptions) (Receipt, error) {
	began := time.Now()
	ref := versionRef(v).String()
	p := &importing{archive: a, version: v, push: &push{
		Registry: r, ref: name.Ref{Repo: v.Repo, Tag: v.Tag}, progress: heard(o.Progress), orphan: true,
		journal: journal.Of(o.Journal, r.wire.Base(), ref, v.Digest.String()),
	}}
	err := p.do(ctx)
	if err != nil {
		return Receipt{}, err
	}
	return Receipt{
		Ref: ref, Digest: v.Digest.String(), BytesTotal: int64(v.Manifest.Size()),
		BytesSent: p.sent.Load(), BytesStored: p.stored.Load(),
		ChunksTotal: len(v.Manifest.Chunks), ChunksNew: int(p.uploaded.Load()), Files: len(v.Manifest.Files),
		Seconds: time.Since(began).Seconds(),
	}, nil
}

// importing is the push of one version of an archive.
type importing struct {
	*push
	archive *archive.Reader
	version *archive.Version
}

// do pushes until the version is there. As with files, a push that the registry has
// closed is started anew, once.
func (p *importing) do(ctx context.Context) error {
	err := p.attempt(ctx, p.pass)
	if errors.Is(err, &openapi.Error{Code: openapi.CodePushClosed}) {
		p.journal.Remove()
		err = p.attempt(ctx, p.repeat)
	}
	if err == nil {
		p.journal.Remove()
	}
	return err
}

// feed puts those chunks on their way to the registry that are wanted.
type feed func(ctx context.Context, wanted []bool, buffers *pool, out chan<- upload) error

func (p *importing) attempt(ctx context.Context, from feed) error {
	id, fresh, err := p.open(ctx)
	if err != nil {
		return err
	}
	wanted, err := p.lacking(ctx, id, fresh)
	if err != nil {
		return err
	}
	if err := p.send(ctx, id, wanted, from); err != nil {
		return err
	}
	_, err = p.commit(ctx, id, p.version.Document, func(missing []uint32) error {
		clear(wanted)
		for _, c := range missing {
			if int(c) < len(wanted) {
				wanted[c] = true
			}
		}
		return p.send(ctx, id, wanted, p.repeat)
	})
	return err
}

// lacking tells for each chunk of the version whether the registry lacks it.
func (p *importing) lacking(ctx context.Context, id string, fresh bool) ([]bool, error) {
	chunks := p.version.Manifest.Chunks
	wanted := make([]bool, len(chunks))
	for from := 0; from < len(chunks); from += openapi.MaxMissing {
		some := chunks[from:min(from+openapi.MaxMissing, len(chunks))]
		digests := make([]byte, 0, len(some)*chunker.DigestSize)
		for i := range some {
			digests = append(digests, some[i].Digest[:]...)
		}
		bitmap, err := p.missing(ctx, id, fresh, digests)
		if err != nil {
			return nil, err
		}
		for i := range some {
			wanted[from+i] = bitmap[i/8]>>(i%8)&1 == 1
		}
	}
	return wanted, nil
}

// send uploads the chunks that are wanted.
func (p *importing) send(ctx context.Context, id string, wanted []bool, from feed) error {
	s := newSender(p.push, id)
	buffers := newPool(encodedBuffers, maxEncoded)
	for c := range wanted {
		if wanted[c] {
			p.progress.Total(int64(p.version.Manifest.Chunks[c].Size))
		}
	}
	g, ctx := errgroup.WithContext(ctx)
	encoded, uploads := make(chan upload), make(chan upload)
	stage(g, 1, func() error { return from(ctx, wanted, buffers, encoded) }, func() { close(encoded) })
	stage(g, 1, func() error { return s.gather(ctx, encoded, uploads) }, func() { close(uploads) })
	stage(g, p.parallel, func() error { return s.upload(ctx, uploads) }, func() {})
	return g.Wait()
}

// pass is a feed that reads the chunks of the version as the archive comes to them, and
// then those again that it had passed before.
func (p *importing) pass(ctx context.Context, wanted []bool, buffers *pool, out chan<- upload) error {
	for {
		buf, err := buffers.get(ctx)
		if err != nil {
			return err
		}
		c, enc, err := p.archive.Chunk(buf)
		if errors.Is(err, io.EOF) {
			buffers.put(buf)
			break
		}
		if err != nil {
			return err
		}
		if !wanted[c] {
			buffers.put(buf)
			continue
		}
		wanted[c] = false
		if err := send(ctx, out, p.uploadOf(c, enc, buffers)); err != nil {
			return err
		}
	}
	return p.repeat(ctx, wanted, buffers, out)
}

// repeat is a feed of chunks that the archive has passed.
func (p *importing) repeat(ctx context.Context, wanted []bool, buffers *pool, out chan<- upload) error {
	for c := range wanted {
		if !wanted[c] {
			continue
		}
		buf, err := buffers.get(ctx)
		if err != nil {
			return err
		}
		enc, err := p.archive.Again(p.version.Manifest.Chunks[c], buf)
		if err != nil {
			return err
		}
		if err := send(ctx, out, p.uploadOf(uint32(c), enc, buffers)); err != nil {
			return err
		}
	}
	return nil
}

func (p *importing) uploadOf(c uint32, enc []byte, from *pool) upload {
	of := p.version.Manifest.Chunks[c]
	return upload{digest: of.Digest, body: enc, chunks: 1, encoded: len(enc), plain: int(of.Size), from: from}
}
