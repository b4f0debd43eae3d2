package commits

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/catalog"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/ingest"
	"github.com/ingot-ml/ingot/registry/internal/versions"
	"github.com/ingot-ml/ingot/registry/manifest"
	"github.com/ingot-ml/ingot/registry/name"
)

// AnnotationCommit of a version is the name that its commit has on the hub that it
// came from.
const AnnotationCommit = catalog.AnnotationCommit

// rounds bounds how often a commit is made again because others were faster, and
// sendings how often chunks are sent that were collected meanwhile.
const (
	rounds   = 64
	sendings = 5
)

// Kind is what an Op does.
type Kind int

// The kinds. AddObject and AddInline write over a file that is there; Delete and
// DeleteFolder fail with catalog.ErrNoFile where there is nothing.
const (
	AddObject    Kind = iota // Object becomes the file at Path
	AddInline                // Content, of Size bytes, becomes the file at Path
	Delete                   // the file at Path goes
	DeleteFolder             // everything below Path goes
)

// Op is a step of a change.
type Op struct {
	Kind    Kind
	Path    string
	Object  ingest.Object
	Content io.ReaderAt
	Size    int64
	SHA256  string // of Content
}

// Change is what a commit does.
type Change struct {
	Branch string // empty for the default one
	// Parent is the commit that the branch has to be at: 40 hex digits; empty for any.
	Parent string
	// Create makes the branch if it is not there; the default one is always made.
	Create      bool
	Ops         []Op // in this order
	Annotations map[string]string
}

// Service makes commits. It is safe for concurrent use.
type Service struct {
	versions *versions.Service
	ingest   *ingest.Store
	logger   *slog.Logger
	branches locks
}

// New returns a Service.
func New(v *versions.Service, i *ingest.Store, logger *slog.Logger) *Service {
	return &Service{versions: v, ingest: i, logger: logger}
}

// Commit applies a change to a branch and returns the commit, under its name outside
// and under the version's. A change that changes nothing gives the head. It fails
// with CodeTagMoved if the branch is not at Parent, and does not hold this very
// commit already.
func (s *Service) Commit(ctx context.Context, p access.Principal, repo name.Repo, c Change) (string, chunker.Digest, error) {
	if c.Branch == "" {
		c.Branch = name.DefaultTag
	}
	unlock, err := s.branches.lock(ctx, repo.String()+":"+c.Branch)
	if err != nil {
		return "", chunker.Digest{}, err
	}
	defer unlock()
	t := &attempt{Service: s, principal: p, repo: repo, change: c}
	d, err := t.run(ctx)
	if err != nil {
		return "", d, fmt.Errorf("commit to %s: %w", repo, err)
	}
	name, err := t.nameOf(ctx, d)
	return name, d, err
}

// Squash makes the files of a branch one version without a past, and returns its
// commit.
func (s *Service) Squash(ctx context.Context, p access.Principal, repo name.Repo, branch string, annotations map[string]string) (string, error) {
	unlock, err := s.branches.lock(ctx, repo.String()+":"+branch)
	if err != nil {
		return "", err
	}
	defer unlock()
	t := &attempt{Service: s, principal: p, repo: repo, change: Change{Branch: branch, Annotations: annotations}}
	head, err := t.head(ctx)
	if err == nil && head.IsZero() {
		err = fmt.Errorf("squash %s: no branch %.200q: %w", repo, branch, catalog.ErrNoRevision)
	}
	if err != nil {
		return "", err
	}
	b, err := t.squashed(ctx, head)
	if err != nil {
		return "", fmt.Errorf("squash %s: %w", repo, err)
	}
	push, err := t.versions.StartPush(ctx, p, repo)
	if err != nil {
		return "", err
	}
	t.push = push.ID
	if err := t.publish(ctx, b, head); err != nil {
		return "", fmt.Errorf("squash %s: %w", repo, err)
	}
	t.noteHashes(ctx, b)
	return catalog.CommitOf(b.digest), nil
}

// squashed is the version at head without a parent.
func (t *attempt) squashed(ctx context.Context, head chunker.Digest) (*built, error) {
	files, err := t.filesOf(ctx, head)
	if err != nil {
		return nil, err
	}
	annotations, err := t.annotate(ctx, files)
	if err != nil {
		return nil, err
	}
	return assemble(files, chunker.Digest{}, annotations)
}

// attempt is one Commit.
type attempt struct {
	*Service
	principal access.Principal
	repo      name.Repo
	change    Change
	push      string
	inline    []ingest.Object // those of the ops that are AddInline, in their order
}

// run makes the commit on the head, again whenever that moves.
func (t *attempt) run(ctx context.Context) (chunker.Digest, error) {
	head, err := t.head(ctx)
	if err != nil {
		return head, err
	}
	push, err := t.versions.StartPush(ctx, t.principal, t.repo)
	if err != nil {
		return head, err
	}
	t.push = push.ID
	if err := t.send(ctx, false); err != nil {
		return head, err
	}
	for range rounds {
		d, err := t.on(ctx, head)
		if !errors.Is(err, &openapi.Error{Code: openapi.CodeTagMoved}) {
			return d, err
		}
		moved, herr := t.head(ctx)
		if herr != nil || moved == head {
			return d, errors.Join(err, herr)
		}
		head = moved
	}
	return head, openapi.Errorf(openapi.CodeBusy, "branch %s: others commit all the time: try again", t.change.Branch)
}

// head returns the version that the branch is at, or none for a branch that is to be
// made.
func (t *attempt) head(ctx context.Context) (chunker.Digest, error) {
	tag, err := t.versions.Tag(ctx, t.principal, t.repo, t.change.Branch)
	if errors.Is(err, &openapi.Error{Code: openapi.CodeNotFound}) {
		if t.change.Branch != name.DefaultTag && !t.change.Create {
			return tag.Digest, fmt.Errorf("no branch %.200q: %w", t.change.Branch, catalog.ErrNoRevision)
		}
		return tag.Digest, nil
	}
	return tag.Digest, err
}

// send gets the contents of files into the push.
func (t *attempt) send(ctx context.Context, again bool) (err error) {
	var files []ingest.Input
	for i := range t.change.Ops {
		if op := &t.change.Ops[i]; op.Kind == AddInline {
			files = append(files, ingest.Input{Path: op.Path, Content: op.Content, Size: op.Size, SHA256: op.SHA256})
		}
	}
	t.inline, err = t.ingest.Send(ctx, t.principal, t.push, again, files)
	return err
}

// on makes the commit on the head, unless it is made already.
func (t *attempt) on(ctx context.Context, head chunker.Digest) (chunker.Digest, error) {
	if t.change.Parent != "" {
		at, err := t.nameOf(ctx, head)
		if err != nil {
			return head, err
		}
		if at != t.change.Parent {
			return t.earlier(ctx, head)
		}
	}
	b, err := t.build(ctx, head)
	if errors.Is(err, catalog.ErrNoFile) && t.change.Parent == "" {
		if done, derr := t.isDone(ctx, head); done || derr != nil {
			return head, derr
		}
	}
	if err != nil {
		return head, err
	}
	if b.unchanged && !head.IsZero() {
		return head, nil
	}
	if err := t.publish(ctx, b, head); err != nil {
		return head, err
	}
	t.noteHashes(ctx, b)
	return b.digest, nil
}

// publish makes the version and moves the branch.
func (t *attempt) publish(ctx context.Context, b *built, head chunker.Digest) (err error) {
	expect := openapi.ExpectNone
	if !head.IsZero() {
		expect = head.String()
	}
	for n := range sendings {
		if n > 0 {
			if err := t.send(ctx, true); err != nil {
				return err
			}
		}
		_, err = t.versions.CommitFrom(ctx, t.principal, t.push, b.document, t.change.Branch, expect, b.sources)
		if !errors.Is(err, &openapi.Error{Code: openapi.CodeMissingChunks}) {
			break
		}
	}
	if errors.Is(err, &openapi.Error{Code: openapi.CodeMissingChunks}) {
		return openapi.Errorf(openapi.CodeConflict, "files that were uploaded for this commit are gone: upload them again, then commit again")
	}
	if err != nil || !head.IsZero() || t.change.Branch == name.DefaultTag {
		return err
	}
	_, err = t.versions.SetTag(ctx, t.principal, t.repo, t.change.Branch, openapi.SetTag{Digest: b.digest, Expect: b.digest.String(), Branch: true})
	return err
}

// noteHashes spares the registry the reading of files whose hashes are known.
func (t *attempt) noteHashes(ctx context.Context, b *built) {
	if len(b.hashes.Files) != b.files {
		return
	}
	if err := t.versions.SetHashes(ctx, t.repo, b.digest, b.hashes); err != nil && ctx.Err() == nil {
		t.logger.WarnContext(ctx, "sha256 of files will be computed again", "repo", t.repo.String(), "version", b.digest.Short(), "error", err)
	}
}

// nameOf returns the name of a version as a commit; that of none is empty.
func (t *attempt) nameOf(ctx context.Context, d chunker.Digest) (string, error) {
	if d.IsZero() {
		return "", nil
	}
	r, err := t.versions.Read(ctx, t.principal, t.repo, d)
	if err != nil {
		return "", err
	}
	return nameOf(d, r.Manifest), nil
}

func nameOf(d chunker.Digest, m *manifest.Manifest) string {
	for _, a := range m.Annotations {
		if a.Key == AnnotationCommit {
			return catalog.NameOf(d, a.Value)
		}
	}
	return catalog.CommitOf(d)
}
