package publish

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/catalog"
	"github.com/ingot-ml/ingot/registry/hub"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/commits"
	"github.com/ingot-ml/ingot/registry/internal/ingest"
	"github.com/ingot-ml/ingot/registry/internal/versions"
	"github.com/ingot-ml/ingot/registry/manifest"
	"github.com/ingot-ml/ingot/registry/name"
)

// Begin implements hub.Writer.
func (w *Publisher) Begin(ctx context.Context, repo name.Repo, branch string, room int64) (hub.Draft, error) {
	if err := w.branch(ctx, repo, branch); err != nil {
		return nil, err
	}
	f, err := w.Ingest.Spool(room)
	if err != nil {
		return nil, err
	}
	return &draft{Publisher: w, repo: repo, branch: branch, file: f}, nil
}

// draft is a commit in the making. Contents lie one behind the other in a file.
type draft struct {
	*Publisher
	repo     name.Repo
	branch   string
	file     *ingest.Spooled
	used     int64
	contents []content
}

type content struct {
	offset, size int64
	sha256       string
}

// Stage implements hub.Draft.
func (d *draft) Stage(r io.Reader) (int, error) {
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(io.NewOffsetWriter(d.file, d.used), sum), r)
	if err != nil {
		return 0, err
	}
	d.contents = append(d.contents, content{d.used, n, hex.EncodeToString(sum.Sum(nil))})
	d.used += n
	return len(d.contents) - 1, nil
}

// Close implements hub.Draft.
func (d *draft) Close() error { return d.file.Close() }

// Commit implements hub.Draft.
func (d *draft) Commit(ctx context.Context, c hub.Change) (string, error) {
	ops := make([]commits.Op, len(c.Ops))
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(looking)
	for i := range c.Ops {
		op := &c.Ops[i]
		ops[i] = commits.Op{Path: op.Path}
		switch op.Kind {
		case hub.OpFile:
			at := d.contents[op.Content]
			ops[i].Kind, ops[i].Size, ops[i].SHA256 = commits.AddInline, at.size, at.sha256
			ops[i].Content = io.NewSectionReader(d.file, at.offset, at.size)
		case hub.OpLFSFile, hub.OpCopy:
			group.Go(func() (err error) {
				ops[i].Object, err = d.object(gctx, op)
				return err
			})
		case hub.OpDeleteFile:
			ops[i].Kind = commits.Delete
		case hub.OpDeleteFolder:
			ops[i].Kind = commits.DeleteFolder
		}
	}
	if err := group.Wait(); err != nil {
		return "", err
	}
	commit, _, err := d.Commits.Commit(ctx, access.FromContext(ctx), d.repo, commits.Change{
		Branch: d.branch, Parent: c.Parent, Ops: ops, Annotations: annotations(c.Title, c.Message),
	})
	return commit, err
}

// annotations say who wanted what by a commit. What is too long for an annotation is
// cut off.
func annotations(title, message string) map[string]string {
	said := map[string]string{annotationTitle: fit(title)}
	if message != "" {
		said[annotationMessage] = fit(message)
	}
	return said
}

// fit makes a text one that an annotation can hold.
func fit(s string) string {
	runes := []rune(s[:min(len(s), manifest.MaxValue)])
	if n := len(runes); n > 0 && len(s) > manifest.MaxValue {
		runes = runes[:n-1] // it may be half a character
	}
	return string(slices.DeleteFunc(runes, func(r rune) bool { return r == 0 || r == '\uFFFD' }))
}

// object finds the file that a step speaks of.
func (d *draft) object(ctx context.Context, op *hub.Op) (ingest.Object, error) {
	if op.Kind == hub.OpCopy {
		return d.copied(ctx, op)
	}
	o, ok, err := d.Ingest.Find(ctx, access.FromContext(ctx), d.repo, op.SHA256)
	switch {
	case err != nil:
		return o, err
	case !ok && op.Size == 0:
		return d.none(ctx, op)
	case !ok:
		return o, openapi.Errorf(openapi.CodeBadRequest, "file %.200q: nothing with sha256 %s was uploaded: upload it, then commit again", op.Path, op.SHA256)
	case op.Size != 0 && o.Size != op.Size: // who copies a file does not say its size
		return o, openapi.Errorf(openapi.CodeBadRequest, "file %.200q: it has %d bytes, the commit says %d", op.Path, o.Size, op.Size)
	}
	return o, nil
}

// none keeps a file without bytes, which some clients do not upload.
func (d *draft) none(ctx context.Context, op *hub.Op) (ingest.Object, error) {
	f, err := d.Ingest.Spool(0)
	if err != nil {
		return ingest.Object{}, err
	}
	defer func() { _ = f.Close() }()
	return d.Ingest.Keep(ctx, access.FromContext(ctx), d.repo, f, op.Path, ingest.Want{SHA256: op.SHA256})
}

// copied finds the file that is to be copied.
func (d *draft) copied(ctx context.Context, op *hub.Op) (ingest.Object, error) {
	p := access.FromContext(ctx)
	at, err := d.revision(ctx, p, cmp.Or(op.FromRevision, d.branch))
	if err != nil {
		return ingest.Object{}, err
	}
	r, err := d.versions.Read(ctx, p, d.repo, at.Version)
	if err != nil {
		return ingest.Object{}, err
	}
	f := r.Manifest.File(op.FromPath)
	if f == nil {
		return ingest.Object{}, fmt.Errorf("copy %.200q: %w", op.FromPath, catalog.ErrNoFile)
	}
	list, _, err := d.versions.KnownHashes(ctx, p, d.repo, at.Version)
	if err != nil {
		return ingest.Object{}, err
	}
	sum := ""
	if i := slices.IndexFunc(list.Files, func(h openapi.FileHash) bool { return h.Path == op.FromPath }); i >= 0 {
		sum = list.Files[i].SHA256
	}
	return ingest.ObjectOf(r.Manifest, f, at, sum), nil
}

// revision finds what a revision names: a branch, a tag or a commit.
func (d *draft) revision(ctx context.Context, p access.Principal, revision string) (versions.Source, error) {
	src := versions.Source{Repo: d.repo.String()}
	if name.CheckTag(revision) == nil {
		t, err := d.versions.Tag(ctx, p, d.repo, revision)
		src.Version = t.Digest
		return src, asRevision(revision, err)
	}
	v, err := d.versions.ByPrefix(ctx, p, d.repo, revision)
	src.Version = v
	return src, asRevision(revision, err)
}

func asRevision(revision string, err error) error {
	if isNotFound(err) {
		return fmt.Errorf("copy from revision %.200q: %w", revision, catalog.ErrNoRevision)
	}
	return err
}
