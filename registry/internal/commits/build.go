package commits

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/catalog"
	"github.com/ingot-ml/ingot/registry/internal/ingest"
	"github.com/ingot-ml/ingot/registry/internal/versions"
	"github.com/ingot-ml/ingot/registry/manifest"
)

// built is a version that can be published.
type built struct {
	digest    chunker.Digest
	document  []byte
	sources   []versions.Source // that have its chunks, beside the push
	unchanged bool              // it has the files of the version it was made on
	files     int
	hashes    openapi.FileHashes // of all files, or fewer
}

// tree is the files of a version in the making, by their paths.
type tree map[string]ingest.Object

// build makes the version that the change gives on base, which may be none.
func (t *attempt) build(ctx context.Context, base chunker.Digest) (*built, error) {
	old, err := t.filesOf(ctx, base)
	if err != nil {
		return nil, err
	}
	files := maps.Clone(old)
	if err := t.apply(files); err != nil {
		return nil, err
	}
	annotations, err := t.annotate(ctx, files)
	if err != nil {
		return nil, err
	}
	b, err := assemble(files, base, annotations)
	if err == nil {
		b.unchanged = maps.EqualFunc(old, files, same)
	}
	return b, err
}

// filesOf returns the files of a version, with their hashes as far as they are known.
func (t *attempt) filesOf(ctx context.Context, d chunker.Digest) (tree, error) {
	files := tree{}
	if d.IsZero() {
		return files, nil
	}
	r, err := t.versions.Read(ctx, t.principal, t.repo, d)
	if err != nil {
		return nil, err
	}
	list, _, err := t.versions.KnownHashes(ctx, t.principal, t.repo, d)
	if err != nil {
		return nil, err
	}
	known := make(map[string]string, len(list.Files))
	for _, f := range list.Files {
		known[f.Path] = f.SHA256
	}
	src := versions.Source{Repo: t.repo.String(), Version: d}
	for i := range r.Manifest.Files {
		f := &r.Manifest.Files[i]
		files[f.Path] = ingest.ObjectOf(r.Manifest, f, src, known[f.Path])
	}
	return files, nil
}

// apply takes the steps of the change, one after the other.
func (t *attempt) apply(files tree) error {
	inline := t.inline
	for i := range t.change.Ops {
		op := &t.change.Ops[i]
		switch op.Kind {
		case AddObject:
			files.add(op.Path, op.Object)
		case AddInline:
			files.add(op.Path, inline[0])
			inline = inline[1:]
		case Delete:
			if _, ok := files[op.Path]; !ok {
				return fmt.Errorf("delete file %.200q: %w", op.Path, catalog.ErrNoFile)
			}
			delete(files, op.Path)
		case DeleteFolder:
			if err := files.deleteFolder(op.Path); err != nil {
				return err
			}
		}
	}
	return nil
}

// add puts a file at a path. The one that is there stays if it has the same bytes,
// though it may be cut into chunks in another way.
func (files tree) add(path string, o ingest.Object) {
	if old, ok := files[path]; ok && o.SHA256 != "" && old.SHA256 == o.SHA256 {
		return
	}
	files[path] = o
}

func (files tree) deleteFolder(path string) error {
	prefix, before := strings.Trim(path, "/")+"/", len(files)
	maps.DeleteFunc(files, func(p string, _ ingest.Object) bool { return strings.HasPrefix(p, prefix) })
	if len(files) == before {
		return fmt.Errorf("delete folder %.200q: %w", path, catalog.ErrNoFile)
	}
	return nil
}

func same(a, b ingest.Object) bool { return slices.Equal(a.Refs, b.Refs) }

// annotate returns what the version says of itself.
func (t *attempt) annotate(ctx context.Context, files tree) (map[string]string, error) {
	annotations := maps.Clone(t.change.Annotations)
	lacking, err := t.lacking(ctx, files)
	if err != nil {
		return nil, err
	}
	if lacking != "" {
		if annotations == nil {
			annotations = map[string]string{}
		}
		annotations[manifest.Incomplete] = lacking
	}
	return annotations, nil
}

// assemble describes the version.
func assemble(files tree, parent chunker.Digest, annotations map[string]string) (*built, error) {
	out := &built{files: len(files)}
	builder := manifest.NewBuilder()
	seen := map[versions.Source]bool{}
	for _, path := range slices.Sorted(maps.Keys(files)) {
		o := files[path]
		f := o.File
		f.Path = path
		builder.Add(f, o.Refs)
		if o.SHA256 != "" {
			out.hashes.Files = append(out.hashes.Files, openapi.FileHash{Path: path, Size: o.Size, SHA256: o.SHA256})
		}
		if !o.From.Version.IsZero() && !seen[o.From] {
			seen[o.From] = true
			out.sources = append(out.sources, o.From)
		}
	}
	m, err := builder.Build(parent, annotations)
	if err != nil {
		return nil, openapi.Errorf(openapi.CodeBadRequest, "%v", err)
	}
	if out.document, err = m.Encode(); err != nil {
		return nil, err
	}
	out.digest = manifest.Name(out.document)
	return out, nil
}
