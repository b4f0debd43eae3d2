package main

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ingot-ml/ingot/openapi"
)

func (p *program) tokenCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Make, list and revoke tokens",
		Long: `A token says who asks, and what that allows. A scope is PATTERN:ROLE. The pattern is *,
NAMESPACE/*, NAMESPACE/BEGINNING* or NAMESPACE/NAME; the role is
  pull    read
  push    also store versions and set tags
  admin   also delete versions, set protected tags and rules of retention, and make
          tokens for the same repositories; *:admin runs the registry
Who is admin of some repositories makes tokens for these, which are good for as long as
their own token at the most.`,
		Args: unknownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(p.tokenCreateCommand(), p.tokenLsCommand(), p.tokenRevokeCommand())
	return cmd
}

func (p *program) tokenCreateCommand() *cobra.Command {
	var spec openapi.TokenSpec
	var expires string
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Make a token and print it",
		Long: `Create makes a token, and prints it and nothing else: the registry keeps no copy, and
nobody is told it again. Programs find it in INGOT_TOKEN or INGOT_TOKEN_FILE, "ingot
login" keeps it, clients of the Hugging Face Hub have it as HF_TOKEN, and those of OCI as
the password of any name.

The name of a token is who has it, in records and logs. One that a registry's admin has
not made has the name of who made it in front.

With --json it prints:
  token     the token
  id        by which it is revoked
  name, subject
            what it is called, and who has it
  scopes    what it allows
  by, created, expires
            who made it, when, and until when it is good`,
		Example: `  ingot token create --scope acme/*:push --expires 30d --name ci
  ingot token create --scope acme/llama:pull --scope public/*:pull > token`,
		Args: want(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if len(spec.Scopes) == 0 {
				return usagef("token create: say what it allows, such as --scope acme/*:push")
			}
			if expires != "" {
				span, ok := parseSpan(expires)
				if !ok || span < time.Second {
					return usagef("--expires %.40q: want a duration such as 12h or 30d", expires)
				}
				seconds := int64(span / time.Second)
				spec.ExpiresSeconds = &seconds
			}
			return p.tokenCreate(cmd.Context(), spec)
		},
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&spec.Scopes, "scope", nil, "allow `PATTERN:ROLE`, such as acme/*:push; may be given again")
	flags.StringVar(&expires, "expires", "", "be good for this `DURATION`, such as 12h or 30d, at most 366d (default 90d)")
	flags.StringVar(&spec.Name, "name", "", "call it `NAME` in records and logs (default its id)")
	return cmd
}

func (p *program) tokenCreate(ctx context.Context, spec openapi.TokenSpec) error {
	r, err := p.connect()
	if err != nil {
		return err
	}
	made, err := r.CreateToken(ctx, spec)
	if err != nil {
		return err
	}
	if p.json {
		return p.printJSON(made)
	}
	p.printf("%s\n", made.Text)
	return nil
}

func (p *program) tokenLsCommand() *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:   "ls",
		Short: "List tokens",
		Long: `Ls lists the tokens that you have made, and yours; for who runs the registry all. Those
that are revoked or over are left out unless --all is given.

With --json it prints:
  tokens   for each its id, name, subject, scopes, by, created, expires, and revoked for
           one that is`,
		Example: `  ingot token ls --all`,
		Args:    want(0, 0),
		RunE:    func(cmd *cobra.Command, _ []string) error { return p.tokenLs(cmd.Context(), all) },
	}
	cmd.Flags().BoolVar(&all, "all", false, "list those that are revoked or over too")
	return cmd
}

func (p *program) tokenLs(ctx context.Context, all bool) error {
	r, err := p.connect()
	if err != nil {
		return err
	}
	list := []openapi.Token{}
	for t, err := range r.Tokens(ctx) {
		if err != nil {
			return err
		}
		if all || t.Revoked == nil && time.Now().Before(t.Expires) {
			list = append(list, t)
		}
	}
	if p.json {
		return p.printJSON(map[string]any{"tokens": list})
	}
	rows := table{titles: []string{"ID", "SUBJECT", "SCOPES", "GOOD UNTIL", "MADE BY"}}
	for _, t := range list {
		until := t.Expires.Local().Format(time.DateTime)
		if t.Revoked != nil {
			until = "revoked " + ago(*t.Revoked)
		} else if !time.Now().Before(t.Expires) {
			until = "over since " + ago(t.Expires)
		}
		rows.add(shown(t.ID), shown(t.Subject), shown(strings.Join(t.Scopes, " ")), until, shown(t.By))
	}
	rows.print(p.stdout)
	return nil
}

func (p *program) tokenRevokeCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "revoke ID",
		Short: "End a token",
		Long: `Revoke has the registry refuse a token from now on; each of several replicas does so
within half a minute. Tokens that were made with it stay: "ingot token ls" says by whom
each was made.

With --json it prints:
  revoked   the id of the token`,
		Example: `  ingot token revoke k2vzq6m3ydrhc4ta`,
		Args:    want(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := p.connect()
			if err != nil {
				return err
			}
			if err := r.RevokeToken(cmd.Context(), args[0]); err != nil {
				return err
			}
			if p.json {
				return p.printJSON(map[string]string{"revoked": args[0]})
			}
			p.printf("token %s is revoked\n", shown(args[0]))
			return nil
		},
	}
}
