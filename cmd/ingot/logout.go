package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/ingot-ml/ingot/client/credentials"
)

func (p *program) logoutCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "logout [REGISTRY]",
		Short: "Forget the token for a registry",
		Long: `Logout forgets what login has kept for a registry. The token stays good until it ends
or is revoked, which "ingot token revoke" does.

With --json it prints:
  registry  the address
  removed   whether a token was kept`,
		Example: `  ingot logout
  ingot logout https://models.example`,
		Args:              want(0, 1),
		ValidArgsFunction: p.aKeptRegistry,
		RunE:              func(_ *cobra.Command, args []string) error { return p.logout(strings.Join(args, "")) },
	}
}

// aKeptRegistry offers registries for which a token is kept.
func (p *program) aKeptRegistry(_ *cobra.Command, args []string, word string) (offered []cobra.Completion, _ cobra.ShellCompDirective) {
	file := p.credentialsFile()
	if len(args) > 0 || file == nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	origins, _ := file.Origins() // a file that does not read offers nothing
	for _, o := range origins {
		if strings.HasPrefix(string(o), word) {
			offered = append(offered, string(o))
		}
	}
	return offered, cobra.ShellCompDirectiveNoFileComp
}

func (p *program) logout(registry string) error {
	base := p.address(registry)
	origin, err := credentials.OriginOf(base)
	if err != nil {
		return usagef("logout: %v", err)
	}
	removed := false
	if file := p.credentialsFile(); file != nil {
		if removed, err = file.Remove(origin); err != nil {
			return err
		}
	}
	if p.json {
		return p.printJSON(map[string]any{"registry": base, "removed": removed})
	}
	if !removed {
		p.printf("no token is kept for %s\n", origin)
		return nil
	}
	p.printf("logged out of %s\n", origin)
	return nil
}
