package ingest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/versions"
	"github.com/ingot-ml/ingot/registry/manifest"
	"github.com/ingot-ml/ingot/registry/name"
)

// Lasts is for how long an object waits for a commit that wants it, since somebody has
// uploaded it or asked for it.
const Lasts = 7 * 24 * time.Hour

// maxSearched is how many versions of a repository are searched for a file.
const maxSearched = 64

var notFound = &openapi.Error{Code: openapi.CodeNotFound}

// Find returns the object with that sha256 that repo has: one that was uploaded, or a
// file of a version that a tag points at, the newest first. Of versions whose files
// nobody has hashed yet it does not know.
func (s *Store) Find(ctx context.Context, p access.Principal, repo name.Repo, sha256 string) (Object, bool, error) {
	o, err := s.uploaded(ctx, p, repo, sha256)
	if errors.Is(err, notFound) {
		o, err = s.inVersions(ctx, p, repo, sha256)
	}
	if errors.Is(err, notFound) {
		return Object{}, false, nil
	}
	if err != nil {
		return Object{}, false, fmt.Errorf("look for %.12s in %s: %w", sha256, repo, err)
	}
	return o, true, nil
}

func (s *Store) uploaded(ctx context.Context, p access.Principal, repo name.Repo, sha256 string) (Object, error) {
	uploads, err := repo.Uploads()
	if err != nil {
		return Object{}, notFound
	}
	tag, err := s.versions.Tag(ctx, p, uploads, TagOf(sha256))
	if err != nil {
		return Object{}, err
	}
	if s.now().Sub(tag.Updated) > Lasts/2 {
		if err := s.versions.RenewUpload(ctx, uploads, tag.Name); err != nil {
			return Object{}, err
		}
	}
	return s.object(ctx, p, versions.Source{Repo: uploads.String(), Version: tag.Digest}, uploads, objectPath, sha256)
}

// inVersions looks at the versions that tags point at.
func (s *Store) inVersions(ctx context.Context, p access.Principal, repo name.Repo, sha256 string) (Object, error) {
	list, err := s.versions.Tags(ctx, p, repo, "", openapi.MaxPage)
	if err != nil {
		return Object{}, err
	}
	slices.SortStableFunc(list.Tags, func(a, b openapi.Tag) int { return b.Updated.Compare(a.Updated) })
	seen := map[chunker.Digest]bool{}
	for _, t := range list.Tags {
		if seen[t.Digest] || len(seen) == maxSearched {
			continue
		}
		seen[t.Digest] = true
		src := versions.Source{Repo: repo.String(), Version: t.Digest}
		path, err := s.pathIn(ctx, p, repo, src, sha256)
		if err == nil && path != "" {
			return s.object(ctx, p, src, repo, path, sha256)
		}
		if err != nil && !errors.Is(err, notFound) {
			return Object{}, err
		}
	}
	return Object{}, notFound
}

// pathIn returns where a version has the file, or nothing.
func (s *Store) pathIn(ctx context.Context, p access.Principal, repo name.Repo, src versions.Source, sha256 string) (string, error) {
	if paths := s.hashes.get(src); paths != nil {
		return paths[sha256], nil
	}
	list, ok, err := s.versions.KnownHashes(ctx, p, repo, src.Version)
	if err != nil || !ok {
		return "", err
	}
	paths := make(map[string]string, len(list.Files))
	for _, f := range list.Files {
		paths[f.SHA256] = f.Path
	}
	s.hashes.put(src, paths)
	return paths[sha256], nil
}

// object returns a file of a version as an object.
func (s *Store) object(ctx context.Context, p access.Principal, src versions.Source, repo name.Repo, path, sha256 string) (Object, error) {
	v, err := s.versions.Read(ctx, p, repo, src.Version)
	if err != nil {
		return Object{}, err
	}
	f := v.Manifest.File(path)
	if f == nil {
		return Object{}, notFound
	}
	return ObjectOf(v.Manifest, f, src, sha256), nil
}

// ObjectOf returns a file of a version as an object. They share memory.
func ObjectOf(m *manifest.Manifest, f *manifest.File, src versions.Source, sha256 string) Object {
	o := Object{SHA256: sha256, Size: int64(f.Size), File: *f, Refs: make([]chunker.Ref, len(f.Chunks)), From: src}
	o.File.Path, o.File.Chunks = "", nil
	for i, c := range f.Chunks {
		o.Refs[i] = m.Chunks[c]
	}
	return o
}

// maxHashes bounds the hashes that are remembered: some 50 MB.
const maxHashes = 1 << 18

// hashCache remembers where versions, which never change, have which files.
type hashCache struct {
	mu       sync.Mutex // protects what follows
	versions map[versions.Source]map[string]string
	count    int
}

func (c *hashCache) get(src versions.Source) map[string]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.versions[src]
}

func (c *hashCache) put(src versions.Source, paths map[string]string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.count+len(paths) > maxHashes || c.versions == nil {
		c.versions, c.count = map[versions.Source]map[string]string{}, 0
	}
	c.count += cmp.Or(len(paths), 1)
	c.versions[src] = paths
}
