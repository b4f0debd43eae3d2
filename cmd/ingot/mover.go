package main

import (
	"github.com/spf13/cobra"

	"github.com/ingot-ml/ingot/nodecache"
)

// moverCommand is what an agent runs for each GPU, and nobody else. It ends with the
// agent, so signals that were meant for both do not matter to it.
func (p *program) moverCommand() *cobra.Command {
	var device string
	cmd := &cobra.Command{
		Use:    "mover --device UUID",
		Short:  "Move bytes to a GPU, for an agent that has started this",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE:   func(*cobra.Command, []string) error { return nodecache.Mover(device) },
	}
	cmd.Flags().StringVar(&device, "device", "", "the GPU's `UUID`")
	return cmd
}
