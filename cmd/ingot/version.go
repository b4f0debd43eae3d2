package main

import (
	"runtime"

	"github.com/spf13/cobra"
)

func (p *program) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version of this program",
		Long: `Version prints the version of this program.

With --json it prints:
  version, go, platform`,
		Args: want(0, 0),
		RunE: func(*cobra.Command, []string) error {
			platform := runtime.GOOS + "/" + runtime.GOARCH
			if p.json {
				return p.printJSON(map[string]string{"version": version, "go": runtime.Version(), "platform": platform})
			}
			p.printf("ingot %s (%s, %s)\n", version, runtime.Version(), platform)
			return nil
		},
	}
}
