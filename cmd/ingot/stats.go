package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ingot-ml/ingot/openapi"
)

func (p *program) statsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "stats [NAMESPACE]",
		Short: "Say how much the registry keeps, and what whole copies would take",
		Long: `Stats weighs what the registry, or one namespace of it, keeps: the files as
they are (raw), their distinct chunks (unique), and what those take in the store
(stored). A chunk that two namespaces share counts in both of their rows.

With --json it prints:
  repos, tags, versions  how many
  bytes_total            plain bytes of all files of all versions
  bytes_unique           plain bytes of their distinct chunks
  bytes_stored, blobs    what the store holds, that of no version included; for
                         one namespace the encoded bytes of its chunks
  namespaces             for each, at most 1000: namespace, repos, tags, versions,
                         bytes_total, bytes_unique, bytes_stored`,
		ValidArgsFunction: arguments(p.aNamespace),
		Args:              want(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			namespace := strings.Join(args, "")
			if err := checkNamespace(namespace); err != nil {
				return err
			}
			return p.stats(cmd.Context(), namespace)
		},
	}
}

func (p *program) stats(ctx context.Context, namespace string) error {
	r, err := p.connect()
	if err != nil {
		return err
	}
	s, err := r.Stats(ctx, namespace)
	if err != nil {
		return err
	}
	if p.json {
		return p.printJSON(s)
	}
	p.printStats(s)
	return nil
}

func (p *program) printStats(s openapi.Stats) {
	p.printf("repositories  %d\n", s.Repos)
	p.printf("versions      %d\n", s.Versions)
	p.printf("tags          %d\n", s.Tags)
	p.printf("raw           %s\n", size(s.Total))
	p.printf("unique        %s, %s of raw\n", size(s.Unique), percent(s.Unique, s.Total))
	p.printf("stored        %s in %s, %s of raw\n", size(s.Stored), count(s.Blobs, "blob"), percent(s.Stored, s.Total))
	t := table{titles: []string{"NAMESPACE", ">REPOS", ">VERSIONS", ">RAW", ">UNIQUE", ">STORED", ">STORED/RAW"}}
	for _, n := range s.Namespaces {
		t.add(n.Namespace, digits(n.Repos), digits(n.Versions), size(n.Total), size(n.Unique), size(n.Stored), percent(n.Stored, n.Total))
	}
	if len(t.rows) > 0 {
		p.printf("\n")
	}
	t.print(p.stdout)
}
