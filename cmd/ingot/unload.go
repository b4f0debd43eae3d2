package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/name"
)

func (p *program) unloadCommand() *cobra.Command {
	var address, to string
	cmd := &cobra.Command{
		Use:   "unload REF",
		Short: "Have the agent let a version go from GPUs and memory, or from this machine",
		Long: `Unload has the agent let a version fall to a slower tier: to ram, so that the GPUs are
free, to disk, so that the memory is, or to none, so that nothing of it stays but
what other versions share. A version that somebody uses is refused.

With --json it prints:
  ref, version   what was unloaded
  tier           where it is now: none, disk or ram
  freed          bytes that are free now, of each tier: disk, ram, gpu`,
		Example: `  ingot unload acme/llama:prod
  ingot unload acme/llama:prod --to ram
  ingot unload acme/llama:prod --to none`,
		ValidArgsFunction: arguments(p.aRef),
		Args:              want(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ref, err := parseRef(args[0])
			if err != nil {
				return err
			}
			tier, err := parseTierArg("to", to, none, "disk", "ram")
			if err != nil {
				return err
			}
			return p.unload(cmd.Context(), ref, tier, address)
		},
	}
	agentFlag(cmd, &address)
	cmd.Flags().StringVar(&to, "to", "disk", "the `TIER` where it may stay: none, disk or ram")
	return cmd
}

func (p *program) unload(ctx context.Context, ref name.Ref, to openapi.Tier, address string) error {
	a, err := p.dialAgent(address)
	if err != nil {
		return err
	}
	defer a.Close()
	got, err := a.Unload(ctx, openapi.UnloadRequest{Ref: ref.String(), Tier: to})
	if err != nil {
		return fromAgent(err)
	}
	if p.json {
		return p.printJSON(got)
	}
	where := map[openapi.Tier]string{
		openapi.TierNone: "is gone from this machine", openapi.TierDisk: "is on the disk", openapi.TierRAM: "is in memory",
		openapi.TierGPU: "is on a GPU",
	}
	onGPU := ""
	if got.Freed.GPU > 0 {
		onGPU = size(got.Freed.GPU) + " of GPUs, "
	}
	p.printf("%s  %s  %s now: freed %s%s of memory, %s of disk\n", got.Ref, got.Version.Short(), where[got.Tier], onGPU, size(got.Freed.RAM), size(got.Freed.Disk))
	return nil
}
