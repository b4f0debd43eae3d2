// Package view owns how the registry's versions are shown to the interfaces that
// others have defined: it is a catalog.Source over package versions.
//
// Laws:
//   - Whatever is asked passes the policy, with who asks from the context.
//   - A listing never waits long for the sha256 of files. Until they are computed,
//     files go by hashes of the names of their chunks.
package view

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/catalog"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/versions"
	"github.com/ingot-ml/ingot/registry/manifest"
	"github.com/ingot-ml/ingot/registry/name"
	"github.com/ingot-ml/ingot/registry/stream"
)

// Annotations of versions that came from another hub or by a commit.
const (
	AnnotationCommit  = catalog.AnnotationCommit // the name of the commit there
	AnnotationTitle   = "hf.title"               // of the commit
	AnnotationMessage = "hf.message"             // the rest of what its author said
)

// foreignTag begins the tags under which versions from another hub are found by the
// name of their commit there.
const foreignTag = "hf-"

// ForeignTag returns the tag of a commit of another hub.
func ForeignTag(commit string) string { return foreignTag + commit }

// View is a catalog.Source. It is safe for concurrent use.
type View struct {
	service *versions.Service
	ahead   *stream.Ahead
	hashes  *hashes
}

var _ catalog.Source = (*View)(nil)

// New returns a View of the versions of a service. The caller closes it.
func New(s *versions.Service, a *stream.Ahead) *View {
	return &View{s, a, newHashes(s)}
}

// Close ends the work behind the view.
func (v *View) Close() { v.hashes.close() }

var hexName = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)

// Revision implements catalog.Source.
func (v *View) Revision(ctx context.Context, repo name.Repo, revision string) (*catalog.Revision, error) {
	d, err := v.digest(ctx, repo, revision)
	if err != nil {
		return nil, err
	}
	r, err := v.service.Read(ctx, access.FromContext(ctx), repo, d)
	if err != nil {
		return nil, v.missing(ctx, repo, revision, err)
	}
	rev := &catalog.Revision{Repo: repo, Digest: d, Created: r.Info.Created, Annotations: map[string]string{}}
	for _, a := range r.Manifest.Annotations {
		rev.Annotations[a.Key] = a.Value
	}
	rev.Commit = commitOf(d, rev.Annotations)
	rev.Files, err = v.files(ctx, repo, d, r.Manifest)
	return rev, err
}

// commitOf returns the name of a version as a commit.
func commitOf(d chunker.Digest, annotations map[string]string) string {
	return catalog.NameOf(d, annotations[AnnotationCommit])
}

// digest finds what a revision names.
func (v *View) digest(ctx context.Context, repo name.Repo, revision string) (chunker.Digest, error) {
	p := access.FromContext(ctx)
	revision = strings.TrimPrefix(strings.TrimPrefix(revision, "refs/heads/"), "refs/tags/")
	if hexName.MatchString(revision) {
		d, err := v.service.ByPrefix(ctx, p, repo, revision)
		if err == nil || !isNotFound(err) || len(revision) != catalog.CommitLen {
			return d, v.missing(ctx, repo, revision, err)
		}
		revision = ForeignTag(revision)
	}
	if name.CheckTag(revision) != nil {
		return chunker.Digest{}, v.missing(ctx, repo, revision, &openapi.Error{Code: openapi.CodeNotFound})
	}
	t, err := v.service.Tag(ctx, p, repo, revision)
	return t.Digest, v.missing(ctx, repo, revision, err)
}

func isNotFound(err error) bool { return errors.Is(err, &openapi.Error{Code: openapi.CodeNotFound}) }

// missing tells a revision that is not there from a repository that is not.
func (v *View) missing(ctx context.Context, repo name.Repo, revision string, err error) error {
	if !isNotFound(err) {
		return err
	}
	if there, err := v.exists(ctx, repo); err != nil {
		return err
	} else if !there {
		return fmt.Errorf("%s: %w", repo, catalog.ErrNoRepo)
	}
	return fmt.Errorf("%s has no revision %.200q: %w", repo, strings.TrimPrefix(revision, foreignTag), catalog.ErrNoRevision)
}

// exists reports whether a repository has a version. One of which all are gone is as
// one that never was.
func (v *View) exists(ctx context.Context, repo name.Repo) (bool, error) {
	list, err := v.service.Versions(ctx, access.FromContext(ctx), repo, "", 1)
	if isNotFound(err) {
		return false, nil
	}
	return len(list.Versions) > 0, err
}

// files describes the files of a version.
func (v *View) files(ctx context.Context, repo name.Repo, d chunker.Digest, m *manifest.Manifest) ([]catalog.File, error) {
	sums, err := v.hashes.of(ctx, repo, d)
	if err != nil {
		return nil, err
	}
	files := make([]catalog.File, len(m.Files))
	for i := range m.Files {
		f := &m.Files[i]
		files[i] = catalog.File{Path: f.Path, Size: int64(f.Size), SHA256: sums[f.Path], ETag: sums[f.Path]}
		if files[i].ETag == "" {
			files[i].ETag = chunksName(m, f)
		}
	}
	return files, nil
}

// chunksName is a name for the bytes of a file, made of those of its chunks: 40 hex
// digits, so that nobody takes it for a sha256.
func chunksName(m *manifest.Manifest, f *manifest.File) string {
	names := make([]byte, 0, len(f.Chunks)*chunker.DigestSize)
	for _, i := range f.Chunks {
		names = append(names, m.Chunks[i].Digest[:]...)
	}
	return catalog.CommitOf(chunker.Sum(names))
}

// Open implements catalog.Source.
func (v *View) Open(ctx context.Context, r *catalog.Revision, f *catalog.File) (stream.Content, error) {
	reading, err := v.service.Read(ctx, access.FromContext(ctx), r.Repo, r.Digest)
	if err != nil {
		return nil, err
	}
	file := reading.Manifest.File(f.Path)
	if file == nil {
		return nil, fmt.Errorf("%s at %.12s has no file %.200q: %w", r.Repo, r.Commit, f.Path, catalog.ErrNoFile)
	}
	return stream.Chunked(reading.Manifest, file, reading, v.ahead), nil
}
