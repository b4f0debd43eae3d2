package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/name"
)

// pinHelp describes what pin and unpin print as JSON.
const pinHelp = `With --json it prints the model as "ingot status" has it:
  ref, version                        the reference, and the version served for it
  tier, want, state                   where it is, where it should be, what it does
  bytes_own, bytes_shared             what it holds of its tier alone, and with others
  bytes_total, bytes_done             its distinct content, and how much a load has brought
  leases, pinned, watch, last_use     how it is used
  old                                 versions that leases still hold: version, leases
  devices                             the GPUs that it is on
  files                               where it is as files: path, commit, bytes
  error                               why it failed`

func (p *program) pinCommand() *cobra.Command {
	return p.newPinCommand(true, cobra.Command{
		Use:   "pin REF",
		Short: "Have the agent keep a version in its tier",
		Long: `Pin has the agent keep a version where it is, whatever else wants the room and however
long nobody uses it, until unpin.

` + pinHelp,
		Example: `  ingot pin acme/llama:prod`,
	})
}

func (p *program) unpinCommand() *cobra.Command {
	return p.newPinCommand(false, cobra.Command{
		Use:   "unpin REF",
		Short: "Let the agent drop a version that was pinned",
		Long: `Unpin ends what pin began: the version goes again when others want the room, or when
nobody has used it for long.

` + pinHelp,
		Example: `  ingot unpin acme/llama:prod`,
	})
}

// newPinCommand makes a command of what is said of it.
func (p *program) newPinCommand(pinned bool, cmd cobra.Command) *cobra.Command {
	var address string
	cmd.ValidArgsFunction = arguments(p.aRef)
	cmd.Args = want(1, 1)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ref, err := parseRef(args[0])
		if err != nil {
			return err
		}
		return p.pin(cmd.Context(), ref, pinned, address)
	}
	agentFlag(&cmd, &address)
	return &cmd
}

func (p *program) pin(ctx context.Context, ref name.Ref, pinned bool, address string) error {
	a, err := p.dialAgent(address)
	if err != nil {
		return err
	}
	defer a.Close()
	ctx, cancel := p.soon(ctx)
	defer cancel()
	got, err := a.Pin(ctx, openapi.PinRequest{Ref: ref.String(), Pinned: pinned})
	if err != nil {
		return fromAgent(err)
	}
	if p.json {
		return p.printJSON(got)
	}
	how := "pinned in " + got.Tier.String()
	if !got.Pinned {
		how = "no longer pinned, in " + got.Tier.String()
	}
	p.printf("%s  %s  is %s\n", got.Ref, short(got.Version), how)
	return nil
}
