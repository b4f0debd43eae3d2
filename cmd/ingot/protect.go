package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/ingot-ml/ingot/openapi"
)

func (p *program) protectCommand() *cobra.Command {
	var spec openapi.ProtectionSpec
	cmd := &cobra.Command{
		Use:   "protect PATTERN",
		Short: "Have tags set by admins only",
		Long: `Protect has tags made, moved and deleted only by who is admin of their repository. The
pattern is REPOSITORIES:TAGS: the repositories as in a scope of a token, the tags a name,
a beginning and *, or *. With --create whoever may push may make such a tag, and only
moving and deleting it is left to admins: so versions that are released stay what they
are.

Where access is open everybody is admin, and nothing is protected.

With --json it prints:
  pattern       what is protected
  create        whether who may push may make one
  by, updated   who has set it, and when`,
		Example: `  ingot protect 'acme/*:prod'
  ingot protect '*:v*' --create`,
		Args: want(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			spec.Pattern = args[0]
			return p.protect(cmd.Context(), spec)
		},
	}
	cmd.Flags().BoolVar(&spec.Create, "create", false, "let everybody who may push make such a tag")
	cmd.AddCommand(p.protectLsCommand(), p.protectRmCommand())
	return cmd
}

func (p *program) protect(ctx context.Context, spec openapi.ProtectionSpec) error {
	r, err := p.connect()
	if err != nil {
		return err
	}
	set, err := r.Protect(ctx, spec)
	if err != nil {
		return err
	}
	if p.json {
		return p.printJSON(set)
	}
	p.printf("%s: %s\n", shown(set.Pattern), spellProtection(set))
	return nil
}

func spellProtection(set openapi.Protection) string {
	if set.Create {
		return "only admins move and delete it"
	}
	return "only admins make, move and delete it"
}

func (p *program) protectLsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "ls",
		Short: "List protected tags",
		Long: `Ls lists what is protected in repositories that you may read some of.

With --json it prints:
  protections   for each its pattern, create, by and updated`,
		Example: `  ingot protect ls`,
		Args:    want(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := p.connect()
			if err != nil {
				return err
			}
			list, err := r.Protections(cmd.Context())
			if err != nil {
				return err
			}
			if p.json {
				return p.printJSON(openapi.ProtectionList{Protections: list})
			}
			rows := table{titles: []string{"PATTERN", "WHAT", "SET BY", "WHEN"}}
			for _, one := range list {
				rows.add(shown(one.Pattern), spellProtection(one), shown(one.By), ago(one.Updated))
			}
			rows.print(p.stdout)
			return nil
		},
	}
}

func (p *program) protectRmCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "rm PATTERN",
		Short: "Take a protection away",
		Long: `Rm has the tags of a pattern set by whoever may push again.

With --json it prints:
  pattern   what was protected`,
		Example: `  ingot protect rm 'acme/*:prod'`,
		Args:    want(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := p.connect()
			if err != nil {
				return err
			}
			if err := r.Unprotect(cmd.Context(), args[0]); err != nil {
				return err
			}
			if p.json {
				return p.printJSON(map[string]string{"pattern": args[0]})
			}
			p.printf("%s is protected no more\n", shown(args[0]))
			return nil
		},
	}
}
