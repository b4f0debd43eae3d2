package scrub

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/registry/internal/record"
	"github.com/ingot-ml/ingot/registry/internal/registers"
	"github.com/ingot-ml/ingot/registry/manifest"
)

// mostAlike is how many versions are looked at for the one that is most like another.
const mostAlike = 16

// member is a version in the line of those that it was made from.
type member struct {
	user
	parent chunker.Digest
	at     time.Time
	before int // its place in the list of what it is most like; -1 for none
}

// members lists the versions of the namespaces of a part, the oldest of each first,
// each with the one before it in its line: its parent, else the version that was pushed
// to the repository before it. Which one is most like the first of a repository is found
// later.
func (r *recoding) members(ctx context.Context, mine part) ([]member, error) {
	var all []member
	err := r.book.Each(ctx, record.HeadPrefix, "", func(e registers.Entry) (bool, error) {
		repo, d, err := record.ParseHeadKey(e.Key)
		if err != nil || !mine.has(spaceHash(repo)) {
			return true, err
		}
		h, err := r.head(ctx, repo, d)
		if isDamage(err) != nil || err == nil && (h == nil || h.State != record.Committed) {
			return true, nil
		}
		if err == nil {
			parent, _ := chunker.ParseDigest(h.Parent) // zero where there is none
			all = append(all, member{user{repo, d}, parent, h.At, -1})
		}
		return true, err
	})
	slices.SortFunc(all, func(a, b member) int {
		return cmp.Or(cmp.Compare(a.repo.Namespace, b.repo.Namespace), a.at.Compare(b.at), compareUsers(a.user, b.user))
	})
	line(all)
	return all, err
}

// line finds what was before each version.
func line(all []member) {
	type key struct {
		space  string
		digest chunker.Digest
	}
	latest, versions := map[user]int{}, map[key]int{}
	for i := range all {
		m := &all[i]
		repo := user{repo: m.repo}
		if at, ok := latest[repo]; ok {
			m.before = at
		}
		if at, ok := versions[key{m.repo.Namespace, m.parent}]; ok && !m.parent.IsZero() {
			m.before = at
		}
		if at, ok := latest[user{m.repo, m.parent}]; ok && !m.parent.IsZero() {
			m.before = at
		}
		latest[repo], latest[m.user], versions[key{m.repo.Namespace, m.digest}] = i, i, i
	}
}

// alike returns the place of the version that was there before all[i], in its namespace
// and lately, and has most tensors with it in common; -1 for none.
func (r *recoding) alike(ctx context.Context, all []member, i int, m *manifest.Manifest) (int, error) {
	best, most := -1, 0
	for j := i - 1; j >= max(0, i-mostAlike) && all[j].repo.Namespace == all[i].repo.Namespace; j-- {
		other, err := r.load(ctx, all[j].user)
		if isDamage(err) != nil || err == nil && other == nil {
			continue
		}
		if err != nil {
			return -1, err
		}
		if n := manifest.NewKin(other.manifest).Likeness(m); n > most {
			best, most = j, n
		}
	}
	return best, nil
}

// load reads a version that is committed, or returns nil. It counts no memory: one
// goroutine holds two at a time.
func (r *recoding) load(ctx context.Context, one user) (ver *version, err error) {
	var last *damage
	for {
		h, err := r.head(ctx, one.repo, one.digest)
		if err != nil || h == nil || h.State != record.Committed {
			return nil, err
		}
		if last != nil && h.Body == last.object {
			return nil, last
		}
		info, err := r.statBody(ctx, one.digest, h.Body)
		if err == nil {
			ver, err = r.bodyIn(ctx, one.repo, one.digest, info)
		}
		if last = isDamage(err); last == nil {
			return ver, err
		}
	}
}
