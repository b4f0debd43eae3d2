package client

import (
	"context"
	"fmt"
	"strings"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/manifest"
	"github.com/ingot-ml/ingot/registry/name"
)

// Plain returns the verified bytes of one chunk of a version, an index of m's list, in
// room, whose capacity is enough. The errors are those of Fetch.
func (r *Registry) Plain(ctx context.Context, repo name.Repo, digest chunker.Digest, m *manifest.Manifest, chunk uint32, room []byte) (plain []byte, err error) {
	if int(chunk) >= len(m.Chunks) || cap(room) < int(m.Chunks[chunk].Size) {
		return nil, fmt.Errorf("chunk %d of %s: there is none, or no room for it", chunk, digest.Short())
	}
	one := &single{room: room}
	w := newFetcher(&fetch{Registry: r, repo: repo, digest: digest, m: m, to: one})
	defer w.close()
	if err := w.single(ctx, chunk, 2); err != nil {
		return nil, err
	}
	return one.plain, nil
}

// single is a Sink of one chunk.
type single struct{ room, plain []byte }

// Room implements Sink.
func (s *single) Room(context.Context, uint32) ([]byte, error) { return s.room, nil }

// Take implements Sink.
func (s *single) Take(_ context.Context, _ uint32, plain, _ []byte) error {
	s.plain = plain
	return nil
}

// least ends what is less than every digest that begins alike: one has no digits but
// zeros, and is none.
const least = "0000000000000000000000000000000000000000000000000000000000000001"

// Version returns the version of a repository whose name begins with these hex
// digits, the first of several; CodeNotFound if there is none.
func (r *Registry) Version(ctx context.Context, repo name.Repo, prefix string) (openapi.VersionInfo, error) {
	if len(prefix) >= len(least) {
		return openapi.VersionInfo{}, openapi.Errorf(openapi.CodeBadName, "version %.80q: want the first digits of a digest", prefix)
	}
	q := query("after", prefix+least[len(prefix):], "limit", "1")
	page, err := get[openapi.VersionList](ctx, r, q, below(repo, "versions")...)
	if err != nil {
		return openapi.VersionInfo{}, err
	}
	for _, v := range page.Versions {
		if strings.HasPrefix(v.Digest.String(), prefix) {
			return v, nil
		}
	}
	return openapi.VersionInfo{}, openapi.Errorf(openapi.CodeNotFound, "%s has no version %s", repo, prefix)
}
