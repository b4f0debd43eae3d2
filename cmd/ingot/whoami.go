package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ingot-ml/ingot/openapi"
)

func (p *program) whoamiCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "whoami [REGISTRY]",
		Short: "Tell who one is to a registry, and what one may do",
		Long: `Whoami asks a registry whose the token is that it is shown, and what that allows.

With --json it prints:
  registry  the address
  access    tokens, or open for a registry that lets everybody do everything
  subject   who one is: anonymous without a token
  scopes    what one may do, each PATTERN:ROLE
  token     the id of the token
  expires   when it ends
  from      where the token comes from: a variable, or the file of "ingot login"`,
		Example: `  ingot whoami
  ingot whoami https://models.example --json`,
		Args:              want(0, 1),
		ValidArgsFunction: p.aKeptRegistry,
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.whoami(cmd.Context(), strings.Join(args, ""))
		},
	}
}

func (p *program) whoami(ctx context.Context, registry string) error {
	base := p.address(registry)
	o, shows, err := p.shows(base)
	if err != nil {
		return err
	}
	who, err := p.askWho(ctx, base, o)
	if err != nil {
		return err
	}
	in := told(base, who)
	in.From = shows.From
	if p.json {
		return p.printJSON(in)
	}
	if who.Access == openapi.AccessOpen {
		p.printf("%s is open: everybody may do everything\n", shown(base))
		return nil
	}
	p.printf("%s\n", in)
	if in.From != "" {
		p.printf("by the token of %s\n", shown(in.From))
	}
	return nil
}
