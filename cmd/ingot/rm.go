package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/registry/name"
)

// removal is the JSON document of rm.
type removal struct {
	Ref     string `json:"ref"`
	Digest  string `json:"digest"`
	Removed string `json:"removed"`
}

func (p *program) rmCommand() *cobra.Command {
	return &cobra.Command{
		Use:        "rm REF",
		SuggestFor: []string{"delete", "remove"},
		Short:      "Remove a tag, or retire a version",
		Long: `Rm removes the tag that REF names; its version stays, and can still be pulled by
its digest. With namespace/name@digest it retires that version, which nobody can
read any more; it is refused while a tag points at the version. What only that
version needed is freed by a later collection: the registry's own, or "ingot gc".

With --json it prints:
  ref      what was removed
  digest   the version that the tag was at, or that was retired
  removed  "tag" or "version"`,
		Example: `  ingot rm acme/llama:old
  ingot rm acme/llama@3f0c…`,
		ValidArgsFunction: arguments(p.aRef),
		Args:              want(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ref, err := parseRef(args[0])
			if err != nil {
				return err
			}
			r, err := p.connect()
			if err != nil {
				return err
			}
			if ref.Tag == "" {
				return p.rmVersion(cmd.Context(), r, ref)
			}
			return p.rmTag(cmd.Context(), r, ref)
		},
	}
}

// rmTag removes the tag that was looked at, and no other that took its place.
func (p *program) rmTag(ctx context.Context, r *client.Registry, ref name.Ref) error {
	digest, err := r.Resolve(ctx, ref)
	if err != nil {
		return err
	}
	if err := r.DeleteTag(ctx, ref.Repo, ref.Tag, digest.String()); err != nil {
		return err
	}
	if p.json {
		return p.printJSON(removal{ref.String(), digest.String(), "tag"})
	}
	p.printf("removed tag %s\nits version stays: %s@%s\n", ref, ref.Repo, digest)
	return nil
}

func (p *program) rmVersion(ctx context.Context, r *client.Registry, ref name.Ref) error {
	if err := r.DeleteVersion(ctx, ref.Repo, ref.Digest); err != nil {
		return err
	}
	if p.json {
		return p.printJSON(removal{ref.String(), ref.Digest.String(), "version"})
	}
	p.printf("retired %s@%s\nwhat only it needed is freed by a later collection (\"ingot gc\")\n", ref.Repo, ref.Digest.Short())
	return nil
}
