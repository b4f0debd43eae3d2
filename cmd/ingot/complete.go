package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/registry/name"
)

// completionTime is how long a person who pressed the tab key waits for what the
// registry knows. Then nothing of it is offered, and nothing is said.
const completionTime = time.Second

// maxOffered bounds what is fetched to be offered: more is no help.
const maxOffered = 1000

// completer offers ways to end a word, for one argument or flag.
type completer = cobra.CompletionFunc

// aFile and aFolder leave it to the shell.
var (
	aFile   completer = cobra.FixedCompletions(nil, cobra.ShellCompDirectiveDefault)
	aFolder completer = cobra.FixedCompletions(nil, cobra.ShellCompDirectiveFilterDirs)
)

// arguments completes the first argument with the first completer, and so on.
func arguments(list ...completer) completer {
	return func(cmd *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) >= len(list) {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return list[len(args)](cmd, args, word)
	}
}

// completeFlags completes the values of flags by what their help calls them.
func (p *program) completeFlags(cmd *cobra.Command, flags *pflag.FlagSet) {
	flags.VisitAll(func(f *pflag.Flag) {
		complete := completer(cobra.NoFileCompletions)
		switch value, _ := pflag.UnquoteUsage(f); value {
		case "DIR":
			complete = aFolder
		case "FILE":
			complete = aFile
		case "REF":
			complete = p.aRef
		case "UUID":
			complete = p.aDevice
		}
		// It fails only for a flag that is not there, or a second time.
		_ = cmd.RegisterFlagCompletionFunc(f.Name, complete)
	})
}

// aRef offers repositories, and behind a colon their tags.
func (p *program) aRef(cmd *cobra.Command, _ []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return p.offer(cmd, word, func(ctx context.Context, r *client.Registry) []cobra.Completion {
		if repo, _, tagged := strings.Cut(word, ":"); tagged {
			return refs(ctx, r, repo)
		}
		repos := repositories(ctx, r, word)
		if len(repos) == 1 {
			return append(repos, refs(ctx, r, repos[0])...)
		}
		return repos
	})
}

// aRepo offers repositories.
func (p *program) aRepo(cmd *cobra.Command, _ []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return p.offer(cmd, word, func(ctx context.Context, r *client.Registry) []cobra.Completion {
		return repositories(ctx, r, word)
	})
}

// aNamespace offers the namespaces of repositories.
func (p *program) aNamespace(cmd *cobra.Command, _ []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return p.offer(cmd, word, func(ctx context.Context, r *client.Registry) []cobra.Completion {
		names := repositories(ctx, r, word)
		for i, repo := range names {
			names[i], _, _ = strings.Cut(repo, "/")
		}
		return slices.Compact(names)
	})
}

// aTag offers the tags of the repository that the first argument names.
func (p *program) aTag(cmd *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
	ref, err := name.ParseRef(args[0])
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return p.offer(cmd, word, func(ctx context.Context, r *client.Registry) []cobra.Completion {
		return tags(ctx, r, ref.Repo)
	})
}

// aRefOrFile offers files where no repository is meant.
func (p *program) aRefOrFile(cmd *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
	found, directive := p.aRef(cmd, args, word)
	if len(found) == 0 {
		return nil, cobra.ShellCompDirectiveDefault
	}
	return found, directive
}

// offer returns what find gets from the registry and starts with word, if that
// takes no longer than a person waits.
func (p *program) offer(cmd *cobra.Command, word string, find func(context.Context, *client.Registry) []cobra.Completion) ([]cobra.Completion, cobra.ShellCompDirective) {
	r, err := p.dial(time.Nanosecond) // one try
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), completionTime)
	defer cancel()
	found := slices.DeleteFunc(find(ctx, r), func(s string) bool { return !strings.HasPrefix(s, word) })
	return found, cobra.ShellCompDirectiveNoFileComp
}

// repositories lists those that start with word.
func repositories(ctx context.Context, r *client.Registry, word string) []cobra.Completion {
	namespace, _, whole := strings.Cut(word, "/")
	if !whole || checkNamespace(namespace) != nil {
		namespace = ""
	}
	var names []cobra.Completion
	for repo, err := range r.Repos(ctx, namespace) {
		if err != nil || len(names) == maxOffered {
			break
		}
		if strings.HasPrefix(repo.Name, word) {
			names = append(names, repo.Name)
		}
	}
	return names
}

func tags(ctx context.Context, r *client.Registry, repo name.Repo) []cobra.Completion {
	var names []cobra.Completion
	for tag, err := range r.Tags(ctx, repo) {
		if err != nil || len(names) == maxOffered {
			break
		}
		names = append(names, cobra.CompletionWithDesc(tag.Name, tag.Digest.Short()+", "+ago(tag.Updated)))
	}
	return names
}

// refs lists the tagged versions of a repository, which may be misspelt.
func refs(ctx context.Context, r *client.Registry, repo string) []cobra.Completion {
	parsed, err := name.ParseRepo(repo)
	if err != nil {
		return nil
	}
	found := tags(ctx, r, parsed)
	for i, tag := range found {
		found[i] = repo + ":" + tag
	}
	return found
}
