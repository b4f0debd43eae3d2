package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strconv"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/client/internal/wire"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/manifest"
	"github.com/ingot-ml/ingot/registry/name"
)

// maxAnswer bounds a JSON answer in bytes: the longest are diffs.
const maxAnswer = 256 << 20

// Health asks whether the registry is up.
func (r *Registry) Health(ctx context.Context) (openapi.Health, error) {
	return get[openapi.Health](ctx, r, nil, "healthz")
}

// Stats returns figures of one namespace, or of the whole registry when it is
// empty.
func (r *Registry) Stats(ctx context.Context, namespace string) (openapi.Stats, error) {
	return get[openapi.Stats](ctx, r, query("namespace", namespace), "v1", "stats")
}

// Repos yields the repositories of a namespace, or all when it is empty, by name.
// It ends with the first error.
func (r *Registry) Repos(ctx context.Context, namespace string) iter.Seq2[openapi.RepoInfo, error] {
	return pages(func(after string) ([]openapi.RepoInfo, string, error) {
		q := query("namespace", namespace, "after", after, "limit", pageSize)
		page, err := get[openapi.RepoList](ctx, r, q, "v1", "repos")
		return page.Repos, page.Next, err
	})
}

// Versions yields the versions of a repository. It ends with the first error.
func (r *Registry) Versions(ctx context.Context, repo name.Repo) iter.Seq2[openapi.VersionInfo, error] {
	return pages(func(after string) ([]openapi.VersionInfo, string, error) {
		page, err := get[openapi.VersionList](ctx, r, query("after", after, "limit", pageSize), below(repo, "versions")...)
		return page.Versions, page.Next, err
	})
}

// Tags yields the tags of a repository, by name. It ends with the first error.
func (r *Registry) Tags(ctx context.Context, repo name.Repo) iter.Seq2[openapi.Tag, error] {
	return pages(func(after string) ([]openapi.Tag, string, error) {
		page, err := get[openapi.TagList](ctx, r, query("after", after, "limit", pageSize), below(repo, "tags")...)
		return page.Tags, page.Next, err
	})
}

// Tag returns one tag.
func (r *Registry) Tag(ctx context.Context, repo name.Repo, tag string) (openapi.Tag, error) {
	if err := name.CheckTag(tag); err != nil {
		return openapi.Tag{}, err
	}
	return get[openapi.Tag](ctx, r, nil, below(repo, "tags", tag)...)
}

// SetTag makes or moves a tag.
func (r *Registry) SetTag(ctx context.Context, repo name.Repo, tag string, set openapi.SetTag) (openapi.Tag, error) {
	if err := name.CheckTag(tag); err != nil {
		return openapi.Tag{}, err
	}
	body, err := json.Marshal(set)
	if err != nil {
		return openapi.Tag{}, fmt.Errorf("set tag %s: %w", tag, err)
	}
	return call[openapi.Tag](ctx, r, wire.Request{Method: http.MethodPut, Path: below(repo, "tags", tag), Type: mediaJSON, Body: body})
}

// DeleteTag removes a tag, which must be at the digest expect unless that is
// empty.
func (r *Registry) DeleteTag(ctx context.Context, repo name.Repo, tag, expect string) error {
	if err := name.CheckTag(tag); err != nil {
		return err
	}
	return r.remove(ctx, query("expect", expect), below(repo, "tags", tag)...)
}

// DeleteVersion retires a version that no tag points at.
func (r *Registry) DeleteVersion(ctx context.Context, repo name.Repo, digest chunker.Digest) error {
	return r.remove(ctx, nil, below(repo, "versions", digest.String())...)
}

// Resolve returns the version that ref names now. It does not ask when ref names
// a digest.
func (r *Registry) Resolve(ctx context.Context, ref name.Ref) (chunker.Digest, error) {
	if !ref.Digest.IsZero() {
		return ref.Digest, nil
	}
	tag, err := r.Tag(ctx, ref.Repo, ref.Tag)
	if err == nil && tag.Digest.IsZero() {
		err = fmt.Errorf("resolve %s: %s answers without a digest: %w", ref, r.wire.Base(), ErrCorrupt)
	}
	return tag.Digest, err
}

// Manifest returns the document of a version and its name, which it verifies:
// another document is ErrCorrupt.
func (r *Registry) Manifest(ctx context.Context, ref name.Ref) (*manifest.Manifest, chunker.Digest, error) {
	doc, digest, err := r.Document(ctx, ref)
	if err != nil {
		return nil, digest, err
	}
	m, err := manifest.Parse(doc)
	if errors.Is(err, manifest.ErrInvalid) {
		err = fmt.Errorf("manifest %s from %s: %w: %w", digest.Short(), r.wire.Base(), err, ErrCorrupt)
	}
	return m, digest, err
}

// document returns what the registry sends as the manifest, not verified.
func (r *Registry) document(ctx context.Context, repo name.Repo, digest chunker.Digest) (doc []byte, err error) {
	q := wire.Request{Method: http.MethodGet, Path: below(repo, "versions", digest.String()), Accept: openapi.MediaManifest}
	err = r.wire.Call(ctx, q, func(a wire.Answer) (err error) {
		doc, err = readAll(a, manifest.MaxSize)
		return err
	})
	return doc, err
}

// Chunk returns the encoded form of the chunk with that index in the list of a
// version, as the registry sends it: nothing of it is verified. An index that the
// version does not have is CodeNotFound.
func (r *Registry) Chunk(ctx context.Context, repo name.Repo, digest chunker.Digest, index uint32) (enc []byte, err error) {
	q := wire.Request{
		Method: http.MethodGet, Accept: openapi.MediaChunk,
		Path: below(repo, "versions", digest.String(), "chunks", strconv.FormatUint(uint64(index), 10)),
	}
	err = r.wire.Call(ctx, q, func(a wire.Answer) (err error) {
		enc, err = readAll(a, int64(maxEncoded))
		return err
	})
	return enc, err
}

// Diff says how version b differs from version a.
func (r *Registry) Diff(ctx context.Context, a, b name.Ref) (openapi.Diff, error) {
	return get[openapi.Diff](ctx, r, query("a", a.String(), "b", b.String()), "v1", "diff")
}

// FileHashes returns the sha256 of every file of a version. The registry may
// have to compute them first.
func (r *Registry) FileHashes(ctx context.Context, ref name.Ref) (openapi.FileHashes, error) {
	digest, err := r.Resolve(ctx, ref)
	if err != nil {
		return openapi.FileHashes{}, err
	}
	return get[openapi.FileHashes](ctx, r, nil, below(ref.Repo, "versions", digest.String(), "sha256")...)
}

const mediaJSON = "application/json"

// pageSize asks for the longest pages.
var pageSize = strconv.Itoa(openapi.MaxPage)

func get[T any](ctx context.Context, r *Registry, q url.Values, path ...string) (T, error) {
	return call[T](ctx, r, wire.Request{Method: http.MethodGet, Path: path, Query: q, Accept: mediaJSON})
}

// remove deletes something. That it is not there is no failure when the answer to
// an earlier try was lost: that try has deleted it.
func (r *Registry) remove(ctx context.Context, q url.Values, path ...string) error {
	tries := 0
	request := wire.Request{Method: http.MethodDelete, Path: path, Query: q, Attempt: func() { tries++ }}
	err := r.wire.Call(ctx, request, func(wire.Answer) error { return nil })
	if tries > 1 && errors.Is(err, &openapi.Error{Code: openapi.CodeNotFound}) {
		return nil
	}
	return err
}

// call makes a call whose answer is a JSON document.
func call[T any](ctx context.Context, r *Registry, q wire.Request) (into T, err error) {
	err = r.wire.Call(ctx, q, func(a wire.Answer) error {
		b, err := readAll(a, maxAnswer)
		if err != nil {
			return err
		}
		if err := json.Unmarshal(b, &into); err != nil {
			return fmt.Errorf("%s does not answer like a registry: %w", r.wire.Base(), err)
		}
		return nil
	})
	return into, err
}

// readAll reads a body of at most that many bytes; a longer one is ErrCorrupt.
func readAll(a wire.Answer, most int64) ([]byte, error) {
	if a.Length > most {
		return nil, fmt.Errorf("answer of %d bytes, at most %d allowed: %w", a.Length, most, ErrCorrupt)
	}
	b, err := io.ReadAll(io.LimitReader(a.Body, most+1))
	if err == nil && int64(len(b)) > most {
		err = fmt.Errorf("answer of more than %d bytes: %w", most, ErrCorrupt)
	}
	return b, err
}

// below returns the path of something in a repository.
func below(repo name.Repo, path ...string) []string {
	return append([]string{"v1", "repos", repo.Namespace, repo.Name}, path...)
}

// query returns the pairs of key and value whose value is not empty.
func query(pairs ...string) url.Values {
	q := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			q.Set(pairs[i], pairs[i+1])
		}
	}
	return q
}

// pages yields the entries of all pages. next returns those of the page after,
// and where the one behind it begins, or nothing.
func pages[T any](next func(after string) ([]T, string, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for after := ""; ; {
			list, more, err := next(after)
			if err != nil {
				yield(*new(T), err)
				return
			}
			for _, entry := range list {
				if !yield(entry, nil) {
					return
				}
			}
			if more == "" || more == after {
				return
			}
			after = more
		}
	}
}
