package main

import (
	"context"

	"github.com/spf13/cobra"
)

func (p *program) pingCommand() *cobra.Command {
	var ofAgent bool
	var socket string
	cmd := &cobra.Command{
		Use:   "ping",
		Short: "Ask the registry, or the agent, whether it takes work",
		Long: `Ping asks the registry whether it runs and takes requests, or with --agent the agent
whether it takes work. The exit code is the answer: 0, or 4 when nobody answers or
who does is about to end. It needs no token, and suits the health checks of containers
that hold no other program.

With --json it prints:
  status    ok
  version   of the program that answers; empty for an agent`,
		Example: `  ingot ping --registry http://127.0.0.1:7070
  ingot ping --agent --timeout 2s`,
		Args: want(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			ask := p.pingRegistry
			if ofAgent || socket != "" {
				ask = func(ctx context.Context) (string, error) { return "", p.pingAgent(ctx, socket) }
			}
			version, err := ask(cmd.Context())
			if err != nil {
				return err
			}
			if p.json {
				return p.printJSON(map[string]string{"status": "ok", "version": version})
			}
			p.printf("ok\n")
			return nil
		},
	}
	cmd.Flags().BoolVar(&ofAgent, "agent", false, "ask the agent of this machine")
	agentFlag(cmd, &socket)
	return cmd
}

// pingRegistry returns the version of the registry.
func (p *program) pingRegistry(ctx context.Context) (string, error) {
	r, err := p.connect()
	if err != nil {
		return "", err
	}
	health, err := r.Health(ctx)
	return health.Version, err
}

func (p *program) pingAgent(ctx context.Context, socket string) error {
	a, err := p.dialAgent(socket)
	if err != nil {
		return err
	}
	defer a.Close()
	ctx, cancel := p.soon(ctx)
	defer cancel()
	return fromAgent(a.Ready(ctx))
}
