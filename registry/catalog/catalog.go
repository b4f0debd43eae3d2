// Package catalog owns what interfaces that others have defined (the Hugging Face
// Hub's, OCI's) are shown of versions: models, refs, commits, the files of a
// revision and their bytes. Those interfaces are thin translations of it, and do
// not know whether a registry, a node or another hub behind it has the bytes.
//
// Laws:
//   - A Revision never changes. Where a ref points may.
//   - A file that is listed can be read: its bytes may still be on the way, but
//     what comes is right or fails.
//   - Who may not read a repository is told that it does not exist. Who asks is in
//     the context, put there by whoever took the request.
package catalog

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/registry/name"
	"github.com/ingot-ml/ingot/registry/stream"
)

// CommitLen is the length of the name of a commit in hex digits: that of git.
const CommitLen = 40

// CommitOf returns the name of a version where commits are spoken of: the first 40
// hex digits of its digest.
func CommitOf(d chunker.Digest) string { return d.String()[:CommitLen] }

// AnnotationCommit of a version is the name that its commit has on the hub that it came
// from.
const AnnotationCommit = "hf.commit"

// NameOf returns the name of a version as a commit: what its AnnotationCommit claims, if
// that can be one, which whoever pushed it decides.
func NameOf(d chunker.Digest, claimed string) string {
	if len(claimed) == CommitLen && strings.Trim(claimed, "0123456789abcdef") == "" {
		return claimed
	}
	return CommitOf(d)
}

// What is not there, or not for the caller. Errors of a Source that a caller can act
// on are one of these or *openapi.Error; all others are faults.
var (
	ErrNoRepo     = errors.New("repository not found")
	ErrNoRevision = errors.New("revision not found")
	ErrNoFile     = errors.New("file not found")
	// ErrGated reports a repository that the caller may know of, and not read.
	ErrGated = errors.New("access to this repository is restricted")
	// ErrUpstream reports another hub behind the Source whose answer cannot be used.
	ErrUpstream = errors.New("what the upstream hub has cannot be used")
)

// Revision is one version of a model, under the name that its commit has outside.
type Revision struct {
	Repo   name.Repo
	Commit string // 40 hex digits; CommitOf(Digest) unless it came from another hub
	// Digest is the version's; zero for one whose files are still coming from another
	// hub.
	Digest      chunker.Digest
	Created     time.Time
	Annotations map[string]string
	Files       []File // sorted by path
	// Elsewhere are paths of files that the commit has at another hub, which cannot be
	// asked now. They are not in Files.
	Elsewhere []string
}

// File returns the file at a path, or nil.
func (r *Revision) File(path string) *File {
	for i := range r.Files {
		if r.Files[i].Path == path {
			return &r.Files[i]
		}
	}
	return nil
}

// File is one file of a revision.
type File struct {
	Path string
	Size int64 // bytes
	// SHA256 is of its bytes, 64 hex digits; empty as long as nobody has computed it.
	SHA256 string
	// ETag changes whenever the bytes do: SHA256 where that is known, else 40 or 64
	// hex digits of something else.
	ETag string
}

// Ref is a name that points at a commit.
type Ref struct {
	Name   string
	Branch bool // it moves with commits; else it is a tag
	Commit string
}

// Commit is a step in the history of a branch.
type Commit struct {
	Commit  string
	Title   string
	Message string
	By      string
	At      time.Time
}

// Model is a repository in a list.
type Model struct {
	Repo    name.Repo
	Commit  string // of the default branch; empty if it has none
	Updated time.Time
}

// Query narrows a list of models; empty fields do not.
type Query struct {
	Namespace string
	Search    string // somewhere in namespace/name, in any case
	Limit     int    // 0 is 1000
}

// Source is where models come from. It is safe for concurrent use.
type Source interface {
	// Models lists what the caller can read, by name.
	Models(ctx context.Context, q Query) ([]Model, error)
	// Refs lists the branches and tags of a repository, by name.
	Refs(ctx context.Context, repo name.Repo) ([]Ref, error)
	// Revision returns what a branch, a tag, a commit of 40 hex digits or a digest
	// names; refs/heads/… and refs/tags/… too.
	Revision(ctx context.Context, repo name.Repo, revision string) (*Revision, error)
	// History lists commits from a revision back, at most limit.
	History(ctx context.Context, repo name.Repo, revision string, limit int) ([]Commit, error)
	// Open returns the bytes of a file of r, one of r.Files. The caller closes it.
	Open(ctx context.Context, r *Revision, f *File) (stream.Content, error)
}
