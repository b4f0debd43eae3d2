package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/name"
)

// ruling is the JSON document of retention set and show.
type ruling struct {
	Repo string `json:"repo"`
	openapi.Retention
}

func (p *program) retentionCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "retention",
		Short: "Say which versions of a repository stay",
		Long: `Retention is a rule of a repository: the registry retires, by itself, the versions that
no part of it keeps. A version that a tag points at stays, whatever the rule, and so
does one that was pushed, read, or left by a tag within the grace. Without a rule all
versions stay.`,
		Args: unknownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(p.retentionSetCommand(), p.retentionShowCommand(), p.retentionClearCommand(), p.retentionApplyCommand())
	return cmd
}

// ruleFlags are the parts of a rule as people say them.
type ruleFlags struct {
	last   int
	every  int64
	best   int
	metric string
	most   bool
	grace  string
}

func (p *program) retentionSetCommand() *cobra.Command {
	var f ruleFlags
	cmd := &cobra.Command{
		Use:   "set NAMESPACE/NAME",
		Short: "Make or change the rule of a repository",
		Long: `Set says which versions of a repository stay, beside those with a tag and those within
the grace: what any part of the rule keeps. It takes the place of the rule before.

What is younger than the grace neither goes nor takes the place of what is older. So a
version stays for as long as the grace after it was last wanted, and who pulls it or
makes another from it comes to the end.

With --json it prints:
  repo           the repository
  keep_last, keep_every, keep_best, grace_seconds
                 the rule; keep_best has count, metric, order ("min" or "max")
  updated, by    when it was set, and by whom`,
		Example: `  ingot retention set acme/run --keep-last 10 --keep-every 1000
  ingot retention set acme/run --keep-last 3 --keep-best 5 --metric eval.accuracy --highest`,
		ValidArgsFunction: arguments(p.aRepo),
		Args:              want(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			repo, err := name.ParseRepo(args[0])
			if err != nil {
				return err
			}
			rule, err := f.rule(cmd.Flags().Changed)
			if err != nil {
				return err
			}
			return p.retentionSet(cmd.Context(), repo, rule)
		},
	}
	flags := cmd.Flags()
	flags.IntVar(&f.last, "keep-last", 0, "keep the newest `N` versions")
	flags.Int64Var(&f.every, "keep-every", 0, "keep, of every `N` steps of a run (annotations ingot.step and ingot.run), the version that came first")
	flags.IntVar(&f.best, "keep-best", 0, "keep the best `N` versions by --metric")
	flags.StringVar(&f.metric, "metric", openapi.AnnotationLoss, "`KEY` of the annotation by which versions are better or worse")
	flags.BoolVar(&f.most, "highest", false, "the highest metric is the best, and not the lowest")
	flags.StringVar(&f.grace, "grace", "", "keep what was pushed, read or tagged within this `DURATION`, such as 30m or 2d, or none (default 10m)")
	return cmd
}

// rule makes a rule of what was given.
func (f ruleFlags) rule(given func(string) bool) (rule openapi.RetentionRule, err error) {
	for _, part := range []struct {
		flag string
		n    int64
		most int64
	}{
		{"keep-last", int64(f.last), openapi.MaxKeep},
		{"keep-every", f.every, openapi.MaxKeepEvery},
		{"keep-best", int64(f.best), openapi.MaxKeep},
	} {
		if given(part.flag) && (part.n < 1 || part.n > part.most) {
			return rule, usagef("--%s %d: want 1 to %d", part.flag, part.n, part.most)
		}
	}
	if f.last == 0 && f.every == 0 && f.best == 0 {
		return rule, usagef("retention set: give --keep-last, --keep-every or --keep-best: a rule without any keeps no version that has no tag")
	}
	rule.KeepLast, rule.KeepEvery = f.last, f.every
	if f.best == 0 && (given("metric") || given("highest")) {
		return rule, usagef("retention set: --metric and --highest are for --keep-best")
	}
	if f.metric == "" {
		return rule, usagef("--metric: want the key of an annotation, such as %s", openapi.AnnotationLoss)
	}
	if f.best > 0 {
		rule.KeepBest = &openapi.KeepBest{Count: f.best, Metric: f.metric, Order: openapi.OrderMin}
		if f.most {
			rule.KeepBest.Order = openapi.OrderMax
		}
	}
	rule.GraceSeconds, err = readGrace(f.grace)
	return rule, err
}

func (p *program) retentionSet(ctx context.Context, repo name.Repo, rule openapi.RetentionRule) error {
	r, err := p.connect()
	if err != nil {
		return err
	}
	set, err := r.SetRetention(ctx, repo, rule)
	if err != nil {
		return err
	}
	if p.json {
		return p.printJSON(ruling{repo.String(), set})
	}
	p.printf("%s keeps %s\n", repo, spellRule(set.RetentionRule))
	return nil
}

// spellRule says in words what a rule keeps.
func spellRule(rule openapi.RetentionRule) string {
	var parts []string
	if rule.KeepLast > 0 {
		parts = append(parts, "the last "+count(rule.KeepLast, "version"))
	}
	if rule.KeepEvery > 0 {
		parts = append(parts, "one of every "+things(rule.KeepEvery, "step"))
	}
	if best := rule.KeepBest; best != nil {
		which := "lowest"
		if best.Order == openapi.OrderMax {
			which = "highest"
		}
		parts = append(parts, fmt.Sprintf("the %d with the %s %s", best.Count, which, shown(best.Metric)))
	}
	grace := openapi.DefaultRetain
	if rule.GraceSeconds != nil {
		grace = time.Duration(*rule.GraceSeconds) * time.Second
	}
	parts = append(parts, "what has a tag")
	if grace > 0 {
		parts = append(parts, "what was wanted within "+spellSpan(grace))
	}
	last := len(parts) - 1
	return strings.Join(parts[:last], ", ") + " and " + parts[last]
}

// connectFor returns a client for short calls about a repository.
func (p *program) connectFor(repo string) (*client.Registry, name.Repo, error) {
	named, err := name.ParseRepo(repo)
	if err != nil {
		return nil, name.Repo{}, err
	}
	r, err := p.connect()
	return r, named, err
}

func (p *program) retentionShowCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "show NAMESPACE/NAME",
		Short: "Say what the rule of a repository is",
		Long: `Show says which versions of a repository stay. It is exit code 3 when there is no rule,
so that all do.

With --json it prints what "ingot retention set" does.`,
		Example:           `  ingot retention show acme/run`,
		ValidArgsFunction: arguments(p.aRepo),
		Args:              want(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, repo, err := p.connectFor(args[0])
			if err != nil {
				return err
			}
			rule, err := r.Retention(cmd.Context(), repo)
			if err != nil {
				return err
			}
			if p.json {
				return p.printJSON(ruling{repo.String(), rule})
			}
			p.printf("%s keeps %s\nset by %s, %s\n", repo, spellRule(rule.RetentionRule), shown(rule.By), ago(rule.Updated))
			return nil
		},
	}
}

func (p *program) retentionClearCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "clear NAMESPACE/NAME",
		Short: "Have all versions of a repository stay",
		Long: `Clear takes the rule of a repository away. What was retired stays retired.

With --json it prints:
  repo   the repository`,
		Example:           `  ingot retention clear acme/run`,
		ValidArgsFunction: arguments(p.aRepo),
		Args:              want(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, repo, err := p.connectFor(args[0])
			if err != nil {
				return err
			}
			if err := r.ClearRetention(cmd.Context(), repo); err != nil {
				return err
			}
			if p.json {
				return p.printJSON(map[string]string{"repo": repo.String()})
			}
			p.printf("%s keeps all its versions\n", repo)
			return nil
		},
	}
}

func (p *program) retentionApplyCommand() *cobra.Command {
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "apply NAMESPACE/NAME",
		Short: "Retire now what the rule of a repository does not keep",
		Long: `Apply has the registry do at once what it does by itself before long: retire the
versions that the rule does not keep. What only they needed is freed by a later
collection. With --dry-run nothing is retired.

With --json it prints:
  repo       the repository
  dry_run    whether nothing was retired
  versions   how many were looked at
  kept       how many stay, by the reason: tagged, grace, last, every, best, unknown
  retired    how many were retired, or would be
  digests    of those, the oldest first; at most 1000
  refused    how many somebody else changed or read at the same moment`,
		Example:           `  ingot retention apply acme/run --dry-run`,
		ValidArgsFunction: arguments(p.aRepo),
		Args:              want(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			repo, err := name.ParseRepo(args[0])
			if err != nil {
				return err
			}
			return p.retentionApply(cmd.Context(), repo, dryRun)
		},
	}
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "only tell what would be retired")
	return cmd
}

func (p *program) retentionApply(ctx context.Context, repo name.Repo, dryRun bool) error {
	r, err := p.connectLong(ctx)
	if err != nil {
		return err
	}
	got, err := r.ApplyRetention(ctx, repo, dryRun)
	if err != nil {
		return err
	}
	if p.json {
		return p.printJSON(struct {
			Repo string `json:"repo"`
			openapi.RetentionReport
		}{repo.String(), got})
	}
	retired := "retired"
	if dryRun {
		retired = "would be retired"
	}
	p.printf("%d of %s %s\n", got.Retired, count(got.Versions, "version"), retired)
	if got.Refused > 0 {
		p.printf("%s wanted by others at this moment\n", count(got.Refused, "version"))
	}
	p.printSection(stayTable(got.Kept))
	return nil
}

// stays says why versions stay, in the order in which they are looked at.
var stays = []struct{ reason, why string }{
	{openapi.KeptTagged, "a tag points at it"},
	{openapi.KeptGrace, "pushed, read or left by a tag lately"},
	{openapi.KeptLast, "one of the newest"},
	{openapi.KeptEvery, "the first of so many steps"},
	{openapi.KeptBest, "one of the best"},
	{openapi.KeptUnknown, "it cannot be read"},
}

// stayTable lists what stays. Reasons of a newer registry have no words.
func stayTable(kept map[string]int) table {
	t := table{titles: []string{"KEPT", ">VERSIONS", "WHY"}}
	rest := maps.Clone(kept)
	for _, s := range stays {
		if n := kept[s.reason]; n > 0 {
			t.add(s.reason, digits(n), s.why)
		}
		delete(rest, s.reason)
	}
	for _, reason := range slices.Sorted(maps.Keys(rest)) {
		t.add(shown(reason), digits(rest[reason]), "-")
	}
	return t
}
