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
		Long: `Stats counts what the registry, or one namespace of it, keeps.

With --json it prints:
  repos, tags, versions  how many
  bytes_total            plain bytes of all files of all versions
  bytes_stored, blobs    what the store holds, that of no version included`,
		Args: want(0, 1),
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
	p.printf("whole copies  %s\n", size(s.Total))
	p.printf("stored        %s in %s, %s\n", size(s.Stored), count(s.Blobs, "blob"), percent(s.Stored, s.Total))
}
