package oci

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"math"

	"github.com/ingot-ml/ingot/registry/catalog"
	"github.com/ingot-ml/ingot/registry/name"
)

const (
	// maxScanned is how many revisions are looked through for a digest that is not
	// remembered, and maxHistory how far back from the default branch.
	maxScanned = 1000
	maxHistory = 200
	// maxHashed is the size of the largest file whose sha256 is computed to find out
	// whether it is looked for. Of what is asked for by name every file's is.
	maxHashed = 64 << 20
	// latest is the tag of those who name none.
	latest = "latest"
)

// errUnhashed reports a file whose sha256 nobody has computed.
var errUnhashed = errors.New("the sha256 of a file is not known")

// revision returns what a tag names, with the sha256 of all files. The tag of those
// who name none is the default branch, unless there is one of that name.
func (c *call) revision(tag string) (*catalog.Revision, error) {
	rev, err := c.source.Revision(c.r.Context(), c.repo, tag)
	if errors.Is(err, catalog.ErrNoRevision) && tag == latest {
		rev, err = c.source.Revision(c.r.Context(), c.repo, name.DefaultTag)
	}
	if err != nil {
		return nil, err
	}
	return c.hashed(rev, math.MaxInt64)
}

// hashed returns rev with the sha256 of all files. Those that nobody has computed are
// computed while the caller waits, and are remembered, so that who has lost patience
// gets further with the next request. It fails with errUnhashed for a larger file
// than most.
func (c *call) hashed(rev *catalog.Revision, most int64) (*catalog.Revision, error) {
	var with *catalog.Revision
	for i := range rev.Files {
		f := &rev.Files[i]
		if f.SHA256 != "" {
			continue
		}
		if with == nil { // a Revision is not changed
			copied := *rev
			copied.Files = append([]catalog.File(nil), rev.Files...)
			with = &copied
		}
		sha, err := c.hash(rev, f, most)
		if err != nil {
			return nil, err
		}
		with.Files[i].SHA256 = sha
	}
	if with != nil {
		return with, nil
	}
	return rev, nil
}

// hash returns the sha256 of a file, which is computed once for an ETag.
func (c *call) hash(rev *catalog.Revision, f *catalog.File, most int64) (string, error) {
	key := item{c.repo, f.ETag}
	if sha := c.sums.get(key); sha != "" {
		return sha, nil
	}
	if f.Size > most {
		return "", errUnhashed
	}
	if err := c.hashing.enter(c.r.Context()); err != nil {
		return "", err
	}
	defer c.hashing.leave()
	if sha := c.sums.get(key); sha != "" { // another request was faster
		return sha, nil
	}
	content, err := c.source.Open(c.r.Context(), rev, f)
	if err != nil {
		return "", err
	}
	defer func() { _ = content.Close() }() // it was only read
	h := sha256.New()
	if err := content.Send(c.r.Context(), h, 0, content.Size()); err != nil {
		return "", err
	}
	sha := hex.EncodeToString(h.Sum(nil))
	c.sums.put(key, sha)
	return sha, nil
}

// having returns a revision that has a digest, with the sha256 of all files; nil for
// none.
func (c *call) having(digest string) (*catalog.Revision, error) {
	for {
		commit := c.index.find(c.repo, digest)
		if commit == "" {
			if err := c.scan(digest); err != nil {
				return nil, err
			}
			if commit = c.index.find(c.repo, digest); commit == "" {
				return nil, nil
			}
		}
		rev, err := c.source.Revision(c.r.Context(), c.repo, commit)
		if errors.Is(err, catalog.ErrNoRevision) {
			c.index.forget(c.repo, commit) // it was removed; another may have the digest
			continue
		}
		if err != nil {
			return nil, err
		}
		return c.hashed(rev, math.MaxInt64)
	}
}

// scan learns the digests of revisions that are not remembered, until one has the
// digest: those that refs point at, what came before on the default branch, and all
// others that there are.
func (c *call) scan(digest string) error {
	ctx := c.r.Context()
	if err := c.scanning.enter(ctx); err != nil {
		return err
	}
	defer c.scanning.leave()
	commits, err := c.places(ctx)
	if err != nil {
		return err
	}
	for _, commit := range commits[:min(len(commits), maxScanned)] {
		if c.index.knows(c.repo, commit) {
			continue
		}
		rev, err := c.source.Revision(ctx, c.repo, commit)
		if errors.Is(err, catalog.ErrNoRevision) {
			continue // it has gone meanwhile
		}
		if err == nil {
			rev, err = c.hashed(rev, maxHashed)
		}
		if errors.Is(err, errUnhashed) {
			continue // nobody can have learned of its digests
		}
		if err != nil {
			return err
		}
		if err := c.learn(rev); err != nil {
			return err
		}
		if rev.Commit != commit { // it came from another hub
			c.index.add(c.repo, commit, nil)
		}
		if c.index.find(c.repo, digest) != "" {
			return nil
		}
	}
	return nil
}

// places lists where digests are looked for, each once.
func (c *call) places(ctx context.Context) (commits []string, err error) {
	seen := map[string]bool{}
	add := func(commit string) {
		if !seen[commit] {
			seen[commit] = true
			commits = append(commits, commit)
		}
	}
	refs, err := c.source.Refs(ctx, c.repo)
	if err != nil {
		return nil, err
	}
	for _, r := range refs {
		add(r.Commit)
	}
	history, err := c.source.History(ctx, c.repo, name.DefaultTag, maxHistory)
	if err != nil && !errors.Is(err, catalog.ErrNoRevision) {
		return nil, err
	}
	for _, h := range history {
		add(h.Commit)
	}
	rest, err := c.commits(ctx, c.repo, maxScanned)
	for _, commit := range rest {
		add(commit)
	}
	return commits, err
}

// learn remembers the digests of a revision.
func (c *call) learn(rev *catalog.Revision) error {
	digests := make([]string, 0, len(rev.Files)+2)
	for i := range rev.Files {
		digests = append(digests, sha256Prefix+rev.Files[i].SHA256)
	}
	list, err := c.artifacts(rev)
	if err != nil {
		return err
	}
	for _, a := range list {
		digests = append(digests, a.digest, a.about.Digest)
	}
	c.index.add(c.repo, rev.Commit, digests)
	return nil
}

// artifacts returns all artifacts of a revision. Files that no artifact can be made of
// have none.
func (c *call) artifacts(rev *catalog.Revision) (list []*artifact, err error) {
	makers := []func() (*artifact, error){func() (*artifact, error) { return model(rev) }}
	for _, f := range models(rev) {
		makers = append(makers, func() (*artifact, error) { return c.ollama(rev, f) })
	}
	for _, make := range makers {
		a, err := make()
		if _, unfit := errors.AsType[*problem](err); unfit {
			continue
		}
		if err != nil {
			return nil, err
		}
		list = append(list, a)
	}
	return list, nil
}
