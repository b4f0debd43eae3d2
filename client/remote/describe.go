package remote

import (
	"cmp"
	"encoding/hex"
	"strings"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/registry/catalog"
	"github.com/ingot-ml/ingot/registry/manifest"
	"github.com/ingot-ml/ingot/registry/name"
)

// Annotations of versions that were made by a commit, and what begins the tags under
// which those that came from another hub are found.
const (
	annotationTitle   = "hf.title"
	annotationMessage = "hf.message"

	foreignTag = "hf-"
)

// IsForeign reports whether a tag only says which version a commit of another hub is.
func IsForeign(tag string) bool {
	rest, ok := strings.CutPrefix(tag, foreignTag)
	return ok && isHex(rest, catalog.CommitLen)
}

func isHex(s string, n int) bool {
	return len(s) == n && strings.Trim(s, "0123456789abcdef") == ""
}

// Revision is what the text of a revision says: one of its fields is set, or none.
type Revision struct {
	Tag    string
	Commit string // 40 hex digits
	Digest chunker.Digest
}

// ParseRevision reads a revision.
func ParseRevision(text string) (r Revision) {
	text = strings.TrimPrefix(strings.TrimPrefix(text, "refs/heads/"), "refs/tags/")
	if d, err := chunker.ParseDigest(text); err == nil {
		r.Digest = d
	} else if isHex(text, catalog.CommitLen) {
		r.Commit = text
	} else if name.CheckTag(text) == nil {
		r.Tag = text
	}
	return r
}

// CommitOf returns the name of a version as a commit.
func CommitOf(d chunker.Digest, m *manifest.Manifest) string {
	return catalog.NameOf(d, annotations(m)[catalog.AnnotationCommit])
}

func annotations(m *manifest.Manifest) map[string]string {
	all := make(map[string]string, len(m.Annotations))
	for _, a := range m.Annotations {
		all[a.Key] = a.Value
	}
	return all
}

// nobody is told where nobody knows who made a version, and since the epoch is told
// where nobody knows when.
const nobody = "ingot"

// Step returns a version as a step of a history.
func Step(d chunker.Digest, m *manifest.Manifest, made Made) catalog.Commit {
	said := annotations(m)
	return catalog.Commit{
		Commit: CommitOf(d, m), Title: cmp.Or(said[annotationTitle], "version "+d.Short()), Message: said[annotationMessage],
		By: cmp.Or(made.By, nobody), At: made.when(),
	}
}

func (m Made) when() time.Time {
	if m.At.IsZero() {
		return time.Unix(0, 0).UTC()
	}
	return m.At.Truncate(time.Millisecond)
}

// Describe returns a version as a revision. sums are the sha256 that are known, by
// path.
func Describe(repo name.Repo, d chunker.Digest, m *manifest.Manifest, sums map[string]string, made Made) *catalog.Revision {
	r := &catalog.Revision{
		Repo: repo, Commit: CommitOf(d, m), Digest: d, Created: made.when(), Annotations: annotations(m),
		Files: make([]catalog.File, len(m.Files)),
	}
	for i := range m.Files {
		f := &m.Files[i]
		sum := sums[f.Path]
		if !isHex(sum, 64) {
			sum = ""
		}
		r.Files[i] = catalog.File{Path: f.Path, Size: int64(f.Size), SHA256: sum, ETag: sum}
		if sum == "" {
			r.Files[i].ETag = chunksName(m, f)
		}
	}
	return r
}

// chunksName is a name for the bytes of a file, made of those of its chunks: 40 hex
// digits, so that nobody takes it for a sha256. A registry makes the same.
func chunksName(m *manifest.Manifest, f *manifest.File) string {
	names := make([]byte, 0, len(f.Chunks)*len(chunker.Digest{}))
	for _, i := range f.Chunks {
		names = append(names, m.Chunks[i].Digest[:]...)
	}
	sum := chunker.Sum(names)
	return hex.EncodeToString(sum[:catalog.CommitLen/2])
}
