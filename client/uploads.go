package client

import (
	"context"
	"fmt"
	"net/http"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/client/internal/wire"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/name"
)

// The calls of the push protocol.

func (r *Registry) startPush(ctx context.Context, repo name.Repo) (openapi.Push, error) {
	return call[openapi.Push](ctx, r, wire.Request{Method: http.MethodPost, Path: below(repo, "pushes"), Accept: mediaJSON})
}

func (r *Registry) pushState(ctx context.Context, id string) (openapi.Push, error) {
	return get[openapi.Push](ctx, r, nil, "v1", "pushes", id)
}

// missing returns a bitmap of the digests that the push has to upload. fresh is for
// a push that was begun a moment ago.
func (r *Registry) missing(ctx context.Context, id string, fresh bool, digests []byte) (bitmap []byte, err error) {
	q := wire.Request{
		Method: http.MethodPost, Path: []string{"v1", "pushes", id, "missing"},
		Type: openapi.MediaDigests, Accept: openapi.MediaBitmap, Body: digests,
	}
	if fresh {
		q.Query = query("fresh", openapi.Yes)
	}
	want := (len(digests)/chunker.DigestSize + 7) / 8
	err = r.wire.Call(ctx, q, func(a wire.Answer) (err error) {
		bitmap, err = readAll(a, openapi.MaxMissing/8)
		if err == nil && len(bitmap) != want {
			err = fmt.Errorf("ask for missing chunks: %s answers %d bytes, want %d: %w", r.wire.Base(), len(bitmap), want, ErrCorrupt)
		}
		return err
	})
	return bitmap, err
}

// putChunk uploads one encoded chunk, which may be a delta of one of the version base.
// attempt is called before each try.
func (r *Registry) putChunk(ctx context.Context, id string, d chunker.Digest, base string, enc []byte, attempt func()) (openapi.Received, error) {
	return call[openapi.Received](ctx, r, wire.Request{
		Method: http.MethodPut, Path: []string{"v1", "pushes", id, "chunks", d.String()}, Query: query("base", base),
		Type: openapi.MediaChunk, Accept: mediaJSON, Body: enc, Attempt: attempt,
	})
}

// putBatch uploads frames, among which may be deltas of the version base. attempt is called before each try.
func (r *Registry) putBatch(ctx context.Context, id, base string, frames []byte, attempt func()) (openapi.Received, error) {
	return call[openapi.Received](ctx, r, wire.Request{
		Method: http.MethodPost, Path: []string{"v1", "pushes", id, "chunks"}, Query: query("base", base),
		Type: openapi.MediaChunks, Accept: mediaJSON, Body: frames, Attempt: attempt,
	})
}

// commitPush commits doc. orphan is for a version whose parent need not be there.
func (r *Registry) commitPush(ctx context.Context, id string, doc []byte, tag, expect string, orphan bool) (openapi.Committed, error) {
	q := query("tag", tag, "expect", expect)
	if orphan {
		q.Set("orphan", openapi.Yes)
	}
	return call[openapi.Committed](ctx, r, wire.Request{
		Method: http.MethodPost, Path: []string{"v1", "pushes", id, "commit"}, Query: q,
		Type: openapi.MediaManifest, Accept: mediaJSON, Body: doc,
	})
}
