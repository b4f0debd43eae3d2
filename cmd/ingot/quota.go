package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/ingot-ml/ingot/openapi"
)

func (p *program) quotaCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "quota",
		Short: "Say how much a namespace may hold",
		Long: `A quota bounds what a namespace holds, in bytes of its versions, each as if it was stored
alone, and in bytes as they lie in the store, where what versions share counts once. A
push beyond it is refused while it sends, and at last when it is committed: nothing of
it can be read, and the next collection frees what came. Reading, deleting and moving
tags go on. Who runs the registry sets quotas; who may read all of a namespace sees
them.`,
		Args: unknownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(p.quotaSetCommand(), p.quotaShowCommand(), p.quotaLsCommand(), p.quotaClearCommand())
	return cmd
}

func (p *program) quotaSetCommand() *cobra.Command {
	var most, stored string
	cmd := &cobra.Command{
		Use:   "set NAMESPACE",
		Short: "Make or change the quota of a namespace",
		Long: `Set says how much a namespace may hold, in the place of what was said before. The
namespace need not hold anything yet; one that holds more already keeps it.

With --json it prints:
  namespace          its name
  max_bytes          limit of its versions, each as if it was stored alone; absent
                     for none
  max_stored_bytes   limit of what it takes in the store; absent for none
  updated, by        when it was set, and by whom`,
		Example: `  ingot quota set acme --max-bytes 2TiB
  ingot quota set acme --max-stored 500GiB`,
		ValidArgsFunction: arguments(p.aNamespace),
		Args:              want(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			limits, err := readLimits(most, stored)
			if err != nil {
				return err
			}
			return p.quotaSet(cmd.Context(), args[0], limits)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&most, "max-bytes", "", "`SIZE` of all versions together, each as if it was stored alone, such as 2TiB")
	flags.StringVar(&stored, "max-stored", "", "`SIZE` that they may take in the store, such as 500GiB")
	return cmd
}

// readLimits reads sizes, of which at least one is given.
func readLimits(most, stored string) (limits openapi.QuotaLimits, err error) {
	if most == "" && stored == "" {
		return limits, usagef(`quota set: give --max-bytes or --max-stored: "ingot quota clear" takes the limits away`)
	}
	if limits.Bytes, err = readLimit("max-bytes", most); err != nil {
		return limits, err
	}
	limits.Stored, err = readLimit("max-stored", stored)
	return limits, err
}

func readLimit(flag, text string) (*int64, error) {
	if text == "" {
		return nil, nil
	}
	n, ok := parseSize(text)
	if !ok || n < 0 || n > openapi.MaxQuota {
		return nil, usagef("--%s %.40q: want a size such as 500GiB, of at most 1EiB", flag, text)
	}
	return &n, nil
}

func (p *program) quotaSet(ctx context.Context, namespace string, limits openapi.QuotaLimits) error {
	if err := checkNamespace(namespace); err != nil {
		return err
	}
	r, err := p.connect()
	if err != nil {
		return err
	}
	set, err := r.SetQuota(ctx, namespace, limits)
	if err != nil {
		return err
	}
	if p.json {
		return p.printJSON(set)
	}
	p.printf("%s may hold %s, and %s in the store\n", namespace, spellLimit(set.Bytes), spellLimit(set.Stored))
	return nil
}

// spellLimit says how much a limit is.
func spellLimit(limit *int64) string {
	if limit == nil {
		return "any number of bytes"
	}
	return size(*limit)
}

func (p *program) quotaShowCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "show NAMESPACE",
		Short: "Say how much a namespace may hold, and how much it does",
		Long: `Show says what the quota of a namespace is, if it has one, and what the namespace holds,
as the replica that is asked knows it.

With --json it prints what "ingot quota set" does, and:
  usage.bytes           bytes of its versions, each as if it was stored alone
  usage.stored_bytes    bytes that it takes in the store
  usage.upload_bytes    bytes of files that wait for a commit to want them; they
                        count against max_bytes by themselves
  usage.pushing_bytes   stored bytes of pushes that are not committed
  usage.weighed         when the versions were last looked at`,
		Example:           `  ingot quota show acme`,
		ValidArgsFunction: arguments(p.aNamespace),
		Args:              want(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.quotaShow(cmd.Context(), args[0])
		},
	}
}

func (p *program) quotaShow(ctx context.Context, namespace string) error {
	if err := checkNamespace(namespace); err != nil {
		return err
	}
	r, err := p.connectLong(ctx)
	if err != nil {
		return err
	}
	q, err := r.Quota(ctx, namespace)
	if err != nil {
		return err
	}
	if p.json {
		return p.printJSON(q)
	}
	used := openapi.Usage{}
	if q.Usage != nil {
		used = *q.Usage
	}
	t := table{titles: []string{"", ">HOLDS", ">MAY HOLD"}}
	t.add("versions", size(used.Bytes), limitCell(q.Bytes))
	t.add("in the store", size(used.Stored), limitCell(q.Stored))
	if used.Uploads > 0 {
		t.add("waiting uploads", size(used.Uploads), limitCell(q.Bytes))
	}
	t.print(p.stdout)
	if q.Updated != nil {
		p.printf("set by %s, %s\n", shown(q.By), ago(*q.Updated))
	}
	return nil
}

func limitCell(limit *int64) string {
	if limit == nil {
		return "-"
	}
	return size(*limit)
}

func (p *program) quotaLsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "ls",
		Short: "List the quotas that were set",
		Long: `Ls lists the quotas of the namespaces that one may read all of.

With --json it prints:
  quotas   for each what "ingot quota set" does`,
		Args: want(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := p.connect()
			if err != nil {
				return err
			}
			quotas, err := collect(r.Quotas(cmd.Context()))
			if err != nil {
				return err
			}
			if p.json {
				return p.printJSON(map[string]any{"quotas": quotas})
			}
			t := table{titles: []string{"NAMESPACE", ">MAX BYTES", ">MAX STORED", "SET BY", "WHEN"}}
			for _, q := range quotas {
				t.add(q.Namespace, limitCell(q.Bytes), limitCell(q.Stored), shown(q.By), whenSet(q.Updated))
			}
			t.print(p.stdout)
			return nil
		},
	}
}

func whenSet(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return ago(*t)
}

func (p *program) quotaClearCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "clear NAMESPACE",
		Short: "Let a namespace hold as much as the store does",
		Long: `Clear takes the quota of a namespace away.

With --json it prints:
  namespace   its name`,
		Example:           `  ingot quota clear acme`,
		ValidArgsFunction: arguments(p.aNamespace),
		Args:              want(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkNamespace(args[0]); err != nil {
				return err
			}
			r, err := p.connect()
			if err != nil {
				return err
			}
			if err := r.ClearQuota(cmd.Context(), args[0]); err != nil {
				return err
			}
			if p.json {
				return p.printJSON(map[string]string{"namespace": args[0]})
			}
			p.printf("%s may hold as much as the store does\n", args[0])
			return nil
		},
	}
}
