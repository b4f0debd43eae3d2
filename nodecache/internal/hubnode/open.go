package hubnode

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"github.com/ingot-ml/ingot/registry/catalog"
	"github.com/ingot-ml/ingot/registry/manifest"
	"github.com/ingot-ml/ingot/registry/name"
	"github.com/ingot-ml/ingot/registry/stream"
)

// Open implements catalog.Source.
func (s *Source) Open(ctx context.Context, r *catalog.Revision, f *catalog.File) (stream.Content, error) {
	return s.open(ctx, r, f, worthLoading)
}

// Reading is a Source by which to read makes the node keep nothing.
type Reading struct{ *Source }

// Open implements catalog.Source.
func (r Reading) Open(ctx context.Context, rev *catalog.Revision, f *catalog.File) (stream.Content, error) {
	return r.open(ctx, rev, f, func(*manifest.Manifest, *manifest.File) bool { return false })
}

func (s *Source) open(ctx context.Context, r *catalog.Revision, f *catalog.File, load func(*manifest.Manifest, *manifest.File) bool) (stream.Content, error) {
	m, err := s.manifest(ctx, r.Repo, r.Digest)
	if err != nil {
		return nil, err
	}
	file := m.File(f.Path)
	if file == nil {
		return nil, fmt.Errorf("%s at %.12s has no file %.200q: %w", r.Repo, r.Commit, f.Path, catalog.ErrNoFile)
	}
	ref := name.Ref{Repo: r.Repo, Digest: r.Digest}
	if w, ok := s.seen.get(r.Repo, r.Commit); ok && w.tag != "" {
		ref = name.Ref{Repo: r.Repo, Tag: w.tag}
	}
	return stream.Chunked(m, file, s.node.Chunks(ref, r.Digest, m, load(m, file)), s.config.Ahead), nil
}

// leastWeights is from how many bytes on a file is one for whose sake the whole
// version is wanted: others are looked at by many who want nothing else.
const leastWeights = 32 << 20

// shard matches what tells the files of one set apart.
var shard = regexp.MustCompile(`-\d{5}-of-(\d{5})`)

// worthLoading reports whether who reads a file will want the whole version: not where
// it holds several files of GGUF, which are choices.
func worthLoading(m *manifest.Manifest, f *manifest.File) bool {
	if f.Size < leastWeights {
		return false
	}
	choices := map[string]bool{}
	for i := range m.Files {
		if p := m.Files[i].Path; strings.HasSuffix(p, ".gguf") {
			choices[shard.ReplaceAllString(p, "-of-$1")] = true
		}
	}
	return len(choices) < 2
}
