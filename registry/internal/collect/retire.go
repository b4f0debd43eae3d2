package collect

import (
	"context"
	"errors"
	"fmt"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/record"
	"github.com/ingot-ml/ingot/registry/internal/registers"
	"github.com/ingot-ml/ingot/registry/name"
)

// reap gives up a pending head whose push has ended without it. Any time is safe
// for that: the push's last step fails then, and it begins again.
func (m *marks) reap(ctx context.Context, key string, h *record.Head, at registers.Version) (bool, error) {
	if h.State != record.Pending || m.DryRun {
		return false, nil
	}
	open, err := m.open(ctx, h.Push)
	if err != nil || open {
		return false, err
	}
	h.State = record.Aborted
	if _, err := m.book.Swap(ctx, key, at, h); err != nil {
		return false, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.report.Aborted++
	return true, nil
}

// open reports whether a push may still be committed.
func (r *run) open(ctx context.Context, push string) (bool, error) {
	var p record.Push
	at, err := r.book.Load(ctx, record.PushKey(push), &p)
	if err != nil {
		return false, err
	}
	return at != registers.Absent && p.State == openapi.PushOpen && r.Now().Before(p.Expires), nil
}

// retire retires a version that no tag points at, where the policy says so.
func (m *marks) retire(ctx context.Context, key string, h *record.Head) (bool, error) {
	if h.State != record.Committed || m.DryRun || m.Untagged <= 0 || m.Retire == nil || m.Now().Sub(h.At) < m.Untagged {
		return false, nil
	}
	repo, d, err := record.ParseHeadKey(key)
	if err != nil {
		return false, err
	}
	tagged, err := m.taggedIn(ctx, repo)
	if err != nil || tagged[d.String()] {
		return false, err
	}
	err = m.Retire(ctx, repo, d)
	var refused *openapi.Error
	if errors.As(err, &refused) {
		return false, nil // it has a tag, or somebody wants it at this moment
	}
	if err != nil {
		return false, fmt.Errorf("retire %s@%s: %w", repo, d.Short(), err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.report.Retired++
	return true, nil
}

// keptTags is how many repositories' tags are remembered at a time: heads come
// repository by repository.
const keptTags = 8

// taggedIn returns the digests that the tags of a repository pointed at when they
// were read for the first time. Who retires a version looks again.
func (m *marks) taggedIn(ctx context.Context, repo name.Repo) (map[string]bool, error) {
	m.mu.Lock()
	known, ok := m.tags[repo]
	m.mu.Unlock()
	if ok {
		return known, nil
	}
	read, err, _ := m.asking.Do(repo.String(), func() (any, error) { return m.readTags(ctx, repo) })
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.tags) >= keptTags {
		clear(m.tags)
	}
	m.tags[repo] = read.(map[string]bool)
	return m.tags[repo], nil
}

func (m *marks) readTags(ctx context.Context, repo name.Repo) (map[string]bool, error) {
	tagged := map[string]bool{}
	err := m.book.Each(ctx, record.TagKey(repo, ""), "", func(e registers.Entry) (bool, error) {
		var t record.Tag
		_, err := m.book.Load(ctx, e.Key, &t)
		tagged[t.Digest] = true
		return true, err
	})
	return tagged, err
}
