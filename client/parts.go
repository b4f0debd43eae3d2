package client

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/client/internal/source"
	"github.com/ingot-ml/ingot/registry/manifest"
	"github.com/ingot-ml/ingot/registry/name"
)

// A version may be pushed in parts, by several processes on several machines: one starts
// the push, each uploads its files and gets a fragment for it, and one commits all of
// them. A fragment is the manifest of the part's files.

// StartPush begins a push of parts to a repository and returns its id.
func (r *Registry) StartPush(ctx context.Context, repo name.Repo) (id string, err error) {
	started, err := r.startPush(ctx, repo)
	if err != nil {
		return "", fmt.Errorf("start a push to %s: %w", repo, err)
	}
	return started.ID, nil
}

// UploadPart uploads the chunks of the folder or file at path for the push with that id,
// and returns the fragment that CommitParts takes. Of the options it heeds what says how
// files are read, and what differences are made against. The version of a part has no
// name, so the digest of the receipt is empty. The errors are those of Push.
func (r *Registry) UploadPart(ctx context.Context, id, path string, ref name.Ref, o PushOptions) (fragment []byte, got Receipt, err error) {
	began := time.Now()
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, got, fmt.Errorf("push a part: %w", err)
	}
	files, err := source.Scan(path, o.FollowLinks)
	if err != nil {
		return nil, got, fmt.Errorf("push a part: %w", err)
	}
	p := &push{Registry: r, ref: ref, options: o, files: files, progress: heard(o.Progress)}
	pass := newPass(p, id, false)
	m, doc, err := pass.part(ctx)
	if err != nil {
		return nil, got, fmt.Errorf("push %s as a part of %s: %w", path, ref, err)
	}
	p.note(abs, "")
	got = p.receipt(m)
	got.Seconds = time.Since(began).Seconds()
	return doc, got, nil
}

// part gets every chunk of the files into the registry, and describes them.
func (p *pass) part(ctx context.Context) (*manifest.Manifest, []byte, error) {
	if err := p.all(ctx); err != nil {
		return nil, nil, err
	}
	m, doc, err := p.manifest(chunker.Digest{}, nil)
	if err != nil {
		return nil, nil, err
	}
	return m, doc, p.whole(ctx, m)
}

// CommitParts makes a version of the parts of the push with that id and sets the tag of
// ref. What no part has uploaded, or the registry has lost since, is CodeMissingChunks:
// only a new push helps. Parts that have a path in common, and fragments that are none,
// are ErrInput. Other errors are those of Push.
func (r *Registry) CommitParts(ctx context.Context, id string, ref name.Ref, fragments [][]byte, o PushOptions) (got Receipt, err error) {
	began := time.Now()
	if ref.Tag == "" {
		return got, fmt.Errorf("push to %s: want a tag, a digest names what is there already: %w", ref, name.ErrName)
	}
	m, doc, err := joined(fragments, o)
	if err != nil {
		return got, fmt.Errorf("push the parts of %s: %w", ref, err)
	}
	p := &push{Registry: r, ref: ref, options: o, progress: heard(o.Progress)}
	at, err := r.pushState(ctx, id)
	if err == nil && at.Repo != ref.Repo.String() {
		err = fmt.Errorf("push %s is one to %s: %w", id, at.Repo, ErrInput)
	}
	if err == nil {
		done, cerr := p.commit(ctx, id, doc, nil)
		got, err = p.receipt(m), cerr
		got.Digest = done.Digest.String()
	}
	if err != nil {
		return Receipt{}, fmt.Errorf("push the parts of %s: %w", ref, err)
	}
	got.Seconds = time.Since(began).Seconds()
	return got, nil
}

// joined makes one manifest of fragments.
func joined(fragments [][]byte, o PushOptions) (*manifest.Manifest, []byte, error) {
	b := manifest.NewBuilder()
	for i, doc := range fragments {
		part, err := manifest.Parse(doc)
		if err != nil {
			return nil, nil, fmt.Errorf("fragment %d: %w: %w", i+1, err, ErrInput)
		}
		for _, f := range part.Files {
			refs := make([]chunker.Ref, len(f.Chunks))
			for k, c := range f.Chunks {
				refs[k] = part.Chunks[c]
			}
			b.Add(f, refs)
		}
	}
	m, err := b.Build(o.Parent, o.Annotations)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", err, ErrInput)
	}
	doc, err := m.Encode()
	return m, doc, err
}
