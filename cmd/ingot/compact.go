package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/name"
)

func (p *program) compactCommand() *cobra.Command {
	return &cobra.Command{
		Use:        "compact [NS/MODEL]",
		SuggestFor: []string{"repack", "squash", "optimize"},
		Short:      "Store chunks in the way that takes least",
		Long: `Compact has the registry choose anew how the chunks of a model are stored, or of all
models. A chunk that was pushed whole becomes a delta of the related one in the version
before; a delta whose bases nothing else needs any more becomes whole where that takes
less. What versions are does not change, and they can be read meanwhile. "ingot gc" frees
what was gained. A registry does both by itself too: see "ingot serve".

When it is interrupted, what was done stays done.

With --json it prints:
  versions      how many versions have chunks elsewhere now
  chunks        how many chunks that are
  bytes_before, bytes_after
                encoded bytes of all that the versions need
  bytes_gained  what a collection can free that it could not before
  seconds       how long it took`,
		Example: `  ingot compact
  ingot compact acme/llama`,
		ValidArgsFunction: arguments(p.aRepo),
		Args:              want(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			repo := strings.Join(args, "")
			if repo != "" {
				if _, err := name.ParseRepo(repo); err != nil {
					return err
				}
			}
			r, err := p.connectLong(cmd.Context())
			if err != nil {
				return err
			}
			return p.compact(cmd.Context(), r, repo)
		},
	}
}

func (p *program) compact(ctx context.Context, r *client.Registry, repo string) error {
	line := p.line("compacting")
	got, err := r.Compact(ctx, repo, func(at openapi.CompactProgress) { line.show(at.Phase, at.Done, at.Total) })
	line.clear()
	if err != nil {
		return resumable(ctx, err)
	}
	if p.json {
		return p.printJSON(got)
	}
	p.printf("%s gained: %s instead of %s; %s of %s stored otherwise, %s\n", size(got.BytesGained), size(got.BytesAfter), size(got.BytesBefore),
		things(got.Chunks, "chunk"), things(got.Versions, "version"), seconds(got.Seconds))
	return nil
}
