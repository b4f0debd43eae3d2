package versions

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/record"
	"github.com/ingot-ml/ingot/registry/internal/registers"
	"github.com/ingot-ml/ingot/registry/name"
)

// pastRepo, behind a repository, sorts after all its keys and before those of the
// next: it is what follows "/".
const pastRepo = "0"

// eachRepo calls f with every repository that has ever had a version, in the
// order of their keys, until f returns false. It skips from one to the next, so
// the versions of one cost nothing. namespace limits it to one, after is the
// repository behind which it begins.
func (s *Service) eachRepo(ctx context.Context, namespace, after string, f func(name.Repo) (bool, error)) error {
	prefix := "m/"
	if namespace != "" {
		prefix += namespace + "/"
	}
	if after != "" {
		after = "m/" + after + pastRepo
	}
	for {
		page, err := s.Registers.List(ctx, prefix, after, 1)
		if err != nil || len(page) == 0 {
			return err
		}
		repo, _, err := record.ParseKey(page[0].Key)
		if err != nil {
			return err
		}
		if more, err := f(repo); err != nil || !more {
			return err
		}
		after = "m/" + repo.String() + pastRepo
	}
}

// eachReadable is eachRepo in the namespaces where p may read something: to walk past
// others would take a time that tells what is in them.
func (s *Service) eachReadable(ctx context.Context, p access.Principal, namespace, after string, f func(name.Repo) (bool, error)) error {
	namespaces, all := access.Reach(s.Policy, p)
	if all {
		return s.eachRepo(ctx, namespace, after, f)
	}
	for _, n := range namespaces {
		behind := after
		switch prefix := n + "/"; {
		case namespace != "" && n != namespace, !strings.HasPrefix(after, prefix) && prefix < after:
			continue
		case !strings.HasPrefix(after, prefix):
			behind = ""
		}
		more := true
		err := s.eachRepo(ctx, n, behind, func(repo name.Repo) (_ bool, err error) {
			more, err = f(repo)
			return more, err
		})
		if err != nil || !more {
			return err
		}
	}
	return nil
}

// reaches reports whether there may be something in the namespace that p may read.
func (s *Service) reaches(p access.Principal, namespace string) bool {
	namespaces, all := access.Reach(s.Policy, p)
	return all || slices.Contains(namespaces, namespace)
}

// eachHead calls f with the readable versions of repo whose digests are greater
// than after, in order, until it returns false.
func (s *Service) eachHead(ctx context.Context, repo name.Repo, after string, f func(chunker.Digest, *record.Head) (bool, error)) error {
	prefix := "m/" + repo.String() + "/"
	if after != "" {
		after = prefix + after
	}
	return s.book.Each(ctx, prefix, after, func(e registers.Entry) (bool, error) {
		var h record.Head
		if _, err := s.book.Load(ctx, e.Key, &h); err != nil {
			return false, err
		}
		if !h.Readable() {
			return true, nil
		}
		d, err := chunker.ParseDigest(e.Key[len(prefix):])
		if err != nil {
			return false, fmt.Errorf("register %q: %w", e.Key, err)
		}
		return f(d, &h)
	})
}

// pageSize returns how many entries a page has when limit are wanted.
func pageSize(limit int) int { return min(max(limit, 1), openapi.MaxPage) }

// Repos returns a page of the repositories that p may read and that have a
// version or a tag. namespace limits it to one.
func (s *Service) Repos(ctx context.Context, p access.Principal, namespace, after string, limit int) (openapi.RepoList, error) {
	list := openapi.RepoList{Repos: []openapi.RepoInfo{}}
	if err := checkRepoPage(namespace, after); err != nil {
		return list, err
	}
	limit = pageSize(limit)
	err := s.eachReadable(ctx, p, namespace, after, func(repo name.Repo) (bool, error) {
		if repo.Reserved() || s.Policy.Allow(p, repo, access.Read) != nil {
			return true, nil
		}
		info, err := s.countRepo(ctx, repo)
		if err != nil || info.Versions+info.Tags == 0 {
			return true, err
		}
		if len(list.Repos) == limit {
			list.Next = list.Repos[limit-1].Name
			return false, nil
		}
		list.Repos = append(list.Repos, info)
		return true, nil
	})
	if err != nil {
		return list, fmt.Errorf("list repositories: %w", err)
	}
	return list, nil
}

func checkRepoPage(namespace, after string) error {
	if after != "" {
		if _, err := name.ParseRepo(after); err != nil {
			return openapi.Errorf(openapi.CodeBadName, "after: %v", err)
		}
	}
	if namespace != "" {
		if _, err := name.ParseRepo(namespace + "/x"); err != nil {
			return openapi.Errorf(openapi.CodeBadName, "namespace %.80q: %v", namespace, err)
		}
	}
	return nil
}

func (s *Service) countRepo(ctx context.Context, repo name.Repo) (openapi.RepoInfo, error) {
	info := openapi.RepoInfo{Name: repo.String()}
	err := s.eachHead(ctx, repo, "", func(chunker.Digest, *record.Head) (bool, error) {
		info.Versions++
		return true, nil
	})
	if err != nil {
		return info, err
	}
	return info, s.eachTag(ctx, repo, "", func(string, *record.Tag) (bool, error) {
		info.Tags++
		return true, nil
	})
}

// Versions returns a page of the versions of repo, by digest.
func (s *Service) Versions(ctx context.Context, p access.Principal, repo name.Repo, after string, limit int) (openapi.VersionList, error) {
	list := openapi.VersionList{Versions: []openapi.VersionInfo{}}
	if after != "" {
		if _, err := chunker.ParseDigest(after); err != nil {
			return list, openapi.Errorf(openapi.CodeBadName, "after: %v", err)
		}
	}
	if err := s.existing(ctx, p, repo); err != nil {
		return list, err
	}
	tags, err := s.tagsByDigest(ctx, repo)
	if err != nil {
		return list, fmt.Errorf("list versions of %s: %w", repo, err)
	}
	limit = pageSize(limit)
	err = s.eachHead(ctx, repo, after, func(d chunker.Digest, h *record.Head) (bool, error) {
		if len(list.Versions) == limit {
			list.Next = list.Versions[limit-1].Digest.String()
			return false, nil
		}
		list.Versions = append(list.Versions, openapi.VersionInfo{
			Digest: d, Parent: h.Parent, Created: h.At, By: h.By, Size: h.Size, Files: h.Files,
			Chunks: h.Chunks, Stored: h.Stored, Tags: append([]string{}, tags[d.String()]...),
		})
		return true, nil
	})
	if err != nil {
		return list, fmt.Errorf("list versions of %s: %w", repo, err)
	}
	return list, nil
}

// existing returns not found unless p may read repo and repo has ever had a
// version.
func (s *Service) existing(ctx context.Context, p access.Principal, repo name.Repo) error {
	missing := notFound("repository %s: not found", repo)
	if s.Policy.Allow(p, repo, access.Read) != nil {
		return missing
	}
	page, err := s.Registers.List(ctx, "m/"+repo.String()+"/", "", 1)
	if err != nil {
		return fmt.Errorf("read repository %s: %w", repo, err)
	}
	if len(page) == 0 {
		return missing
	}
	return nil
}

func (s *Service) tagsByDigest(ctx context.Context, repo name.Repo) (map[string][]string, error) {
	tags := map[string][]string{}
	err := s.eachTag(ctx, repo, "", func(tag string, rec *record.Tag) (bool, error) {
		tags[rec.Digest] = append(tags[rec.Digest], tag)
		return true, nil
	})
	return tags, err
}

// Tags returns a page of the tags of repo, by name.
func (s *Service) Tags(ctx context.Context, p access.Principal, repo name.Repo, after string, limit int) (openapi.TagList, error) {
	list := openapi.TagList{Tags: []openapi.Tag{}}
	if after != "" {
		if err := name.CheckTag(after); err != nil {
			return list, openapi.Errorf(openapi.CodeBadName, "after: %v", err)
		}
	}
	if err := s.existing(ctx, p, repo); err != nil {
		return list, err
	}
	limit = pageSize(limit)
	err := s.eachTag(ctx, repo, after, func(tag string, rec *record.Tag) (bool, error) {
		if len(list.Tags) == limit {
			list.Next = list.Tags[limit-1].Name
			return false, nil
		}
		t, err := viewTag(rec, tag)
		list.Tags = append(list.Tags, t)
		return true, err
	})
	if err != nil {
		return list, fmt.Errorf("list tags of %s: %w", repo, err)
	}
	return list, nil
}
