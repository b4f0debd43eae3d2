package main

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/name"
)

func (p *program) lsCommand() *cobra.Command {
	return &cobra.Command{
		Use:        "ls [NAMESPACE | NAMESPACE/NAME]",
		SuggestFor: []string{"list"},
		Short:      "List repositories, or the tags and versions of one",
		Long: `Ls lists all repositories, those of a namespace, or the tags and versions of one
repository, the newest version first.

With --json it prints:
  repos     name, tags, versions of every repository
and of one repository:
  repo      its name
  tags      name, digest, updated, by; branch, true, for one that moves with commits
  versions  digest, parent, created, by, size, files, chunks, bytes_stored, tags`,
		Example: `  ingot ls
  ingot ls acme/llama`,
		ValidArgsFunction: arguments(p.aRepo),
		Args:              want(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			what := strings.Join(args, "")
			if strings.Contains(what, "/") {
				repo, err := name.ParseRepo(what)
				if err != nil {
					return err
				}
				return p.lsRepo(cmd.Context(), repo)
			}
			if err := checkNamespace(what); err != nil {
				return err
			}
			return p.lsRepos(cmd.Context(), what)
		},
	}
}

// checkNamespace accepts a namespace, or nothing.
func checkNamespace(s string) error {
	if s == "" {
		return nil
	}
	if _, err := name.ParseRepo(s + "/x"); err != nil {
		return usagef("namespace %.80q: want NAMESPACE or NAMESPACE/NAME, of A-Z a-z 0-9 . _ -", s)
	}
	return nil
}

func (p *program) lsRepos(ctx context.Context, namespace string) error {
	r, err := p.connect()
	if err != nil {
		return err
	}
	repos, err := collect(r.Repos(ctx, namespace))
	if err != nil {
		return err
	}
	if p.json {
		return p.printJSON(map[string]any{"repos": repos})
	}
	switch {
	case len(repos) > 0:
	case namespace != "":
		fmt.Fprintf(p.stderr, "nothing is in %s; \"ingot ls\" lists what is elsewhere\n", namespace)
	default:
		fmt.Fprintln(p.stderr, `nothing is here, or nothing that you may read; "ingot push PATH namespace/name" makes a repository`)
	}
	t := table{titles: []string{"REPOSITORY", ">TAGS", ">VERSIONS"}}
	for _, repo := range repos {
		t.add(repo.Name, digits(repo.Tags), digits(repo.Versions))
	}
	t.print(p.stdout)
	return nil
}

// collect reads a list to its end. It returns an empty list rather than nil, which
// JSON would call null.
func collect[T any](list iter.Seq2[T, error]) ([]T, error) {
	all := []T{}
	for item, err := range list {
		if err != nil {
			return nil, err
		}
		all = append(all, item)
	}
	return all, nil
}

func (p *program) lsRepo(ctx context.Context, repo name.Repo) error {
	r, err := p.connect()
	if err != nil {
		return err
	}
	tags, err := collect(r.Tags(ctx, repo))
	if err != nil {
		return err
	}
	versions, err := newestFirst(ctx, r, repo)
	if err != nil {
		return err
	}
	if len(tags) == 0 && len(versions) == 0 {
		return openapi.Errorf(openapi.CodeNotFound, "repository %s: not found", repo)
	}
	if p.json {
		return p.printJSON(map[string]any{"repo": repo, "tags": tags, "versions": versions})
	}
	p.printTags(tags)
	p.printf("\n")
	p.printVersions(versions)
	return nil
}

func newestFirst(ctx context.Context, r *client.Registry, repo name.Repo) ([]openapi.VersionInfo, error) {
	versions, err := collect(r.Versions(ctx, repo))
	slices.SortStableFunc(versions, func(a, b openapi.VersionInfo) int { return b.Created.Compare(a.Created) })
	return versions, err
}

func (p *program) printTags(tags []openapi.Tag) {
	t := table{titles: []string{"TAG", "VERSION", "UPDATED"}}
	for _, tag := range tags {
		t.add(tag.Name, tag.Digest.Short(), ago(tag.Updated))
	}
	t.print(p.stdout)
}

func (p *program) printVersions(versions []openapi.VersionInfo) {
	t := table{titles: []string{"VERSION", "CREATED", ">FILES", ">SIZE", ">CHUNKS", ">ENCODED", "PARENT", "TAGS"}}
	for _, v := range versions {
		parent := "-"
		if v.Parent != "" {
			parent = short(v.Parent)
		}
		t.add(v.Digest.Short(), ago(v.Created), digits(v.Files), size(v.Size), digits(v.Chunks), size(v.Stored), parent, strings.Join(v.Tags, " "))
	}
	t.print(p.stdout)
}
