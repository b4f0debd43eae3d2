package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/name"
)

func (p *program) tagCommand() *cobra.Command {
	var expect string
	cmd := &cobra.Command{
		Use:   "tag REF TAG",
		Short: "Point a tag at a version",
		Long: `Tag makes TAG, in the repository of REF, point at the version that REF names now.

With --json it prints:
  ref                         namespace/name:TAG
  name, digest, updated, by   the tag as the registry has it
  branch                      true for one that moves with commits, else left out`,
		Example: `  ingot tag acme/llama:tuned prod
  ingot tag acme/llama:tuned prod --expect none`,
		ValidArgsFunction: arguments(p.aRef, p.aTag),
		Args:              want(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			ref, err := parseRef(args[0])
			if err != nil {
				return err
			}
			if err := name.CheckTag(args[1]); err != nil {
				return err
			}
			if err := checkExpect(expect); err != nil {
				return err
			}
			return p.tag(cmd.Context(), ref, args[1], expect)
		},
	}
	cmd.Flags().StringVar(&expect, "expect", "", "fail unless the tag is at this `DIGEST` now, or \"none\" for a tag that must not exist")
	return cmd
}

func (p *program) tag(ctx context.Context, ref name.Ref, tag, expect string) error {
	r, err := p.connect()
	if err != nil {
		return err
	}
	digest, err := r.Resolve(ctx, ref)
	if err != nil {
		return err
	}
	set, err := r.SetTag(ctx, ref.Repo, tag, openapi.SetTag{Digest: digest, Expect: expect})
	if err != nil {
		return err
	}
	now := name.Ref{Repo: ref.Repo, Tag: tag}
	if p.json {
		return p.printJSON(struct {
			Ref string `json:"ref"`
			openapi.Tag
		}{now.String(), set})
	}
	p.printf("%s is now %s\n", now, set.Digest.Short())
	return nil
}
