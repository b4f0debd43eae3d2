package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/name"
)

func (p *program) nodesCommand() *cobra.Command {
	all := false
	cmd := &cobra.Command{
		Use:   "nodes [NAMESPACE/NAME]",
		Short: "List the nodes that keep versions close, and which ones",
		Long: `Nodes lists the agents that have told the registry of themselves lately: how full
their tiers are, and which versions are resident in which tier. With a repository
it lists the nodes that hold versions of that, and only these.

With --json it prints:
  nodes    for each: name, seen, address, program, ttl (seconds until it is forgotten)
  tiers    of each: used, budget, models, orphaned, files_bytes, limit of disk, ram and gpu
  models   of each: ref, version, tier, leases`,
		Example: `  ingot nodes
  ingot nodes acme/llama`,
		ValidArgsFunction: arguments(p.aRepo),
		Args:              want(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			repo := strings.Join(args, "")
			if repo != "" {
				if _, err := name.ParseRepo(repo); err != nil {
					return err
				}
			}
			return p.nodes(cmd.Context(), repo, all)
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "show all versions of a long list")
	return cmd
}

func (p *program) nodes(ctx context.Context, repo string, all bool) error {
	r, err := p.connect()
	if err != nil {
		return err
	}
	list, err := r.Nodes(ctx, repo)
	if err != nil {
		return err
	}
	if p.json {
		return p.printJSON(list)
	}
	switch {
	case len(list.Nodes) > 0:
	case repo != "":
		fmt.Fprintf(p.stderr, "no node holds a version of %s; \"ingot nodes\" lists all nodes\n", repo)
	default:
		fmt.Fprintln(p.stderr, `no node has reported lately; "ingot agent" runs one`)
	}
	p.printNodes(list.Nodes)
	p.printLong(residents(list.Nodes), all, "")
	return nil
}

func (p *program) printNodes(nodes []openapi.NodeInfo) {
	t := table{titles: []string{"NODE", "SEEN", ">DISK", ">RAM", ">GPU", "ADDRESS"}}
	for _, n := range nodes {
		address := n.Address
		if address == "" {
			address = "-"
		}
		t.add(n.Name, ago(n.Seen), fill(n.Tiers.Disk), fill(n.Tiers.RAM), fill(n.Tiers.GPU), address)
	}
	t.print(p.stdout)
}

// fill spells how full a tier is.
func fill(t openapi.TierUsage) string {
	if t.Budget == 0 {
		return "-"
	}
	return size(t.Used) + " of " + size(t.Budget)
}

// residents are the versions of the nodes, one in a row.
func residents(nodes []openapi.NodeInfo) table {
	t := table{titles: []string{"NODE", "REFERENCE", "VERSION", "TIER", ">LEASES"}}
	for _, n := range nodes {
		for _, m := range n.Models {
			t.add(n.Name, m.Ref, m.Version.Short(), m.Tier.String(), digits(m.Leases))
		}
	}
	return t
}
