package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/ingot-ml/ingot/client/agent"
	"github.com/ingot-ml/ingot/client/credentials"
	"github.com/ingot-ml/ingot/openapi"
)

// agentAnswer is how long an agent may take to say what it knows: it only has to
// look.
const agentAnswer = 10 * time.Second

// agentFlag adds the flag that says where the agent is.
func agentFlag(cmd *cobra.Command, address *string) {
	cmd.Flags().StringVar(address, "socket", "", "socket or URL of the `AGENT` (default $"+agent.EnvAddress+", else the socket that \"ingot agent\" makes for this user)")
}

// dialAgent returns a client of the agent at address, or of this user's.
func (p *program) dialAgent(address string) (*agent.Agent, error) {
	believed, err := p.believes(credentials.Entry{})
	if err != nil {
		return nil, err
	}
	o := agent.Options{Client: "ingot", Token: p.agentToken(), Insecure: believed.Insecure, TLS: believed.TLS}
	a, err := agent.New(cmp.Or(address, p.env(agent.EnvAddress), p.socketPath()), o)
	if err != nil {
		return nil, usagef("%v; set it with --socket or %s", err, agent.EnvAddress)
	}
	return a, nil
}

// soon bounds a call that needs no work, by --timeout or else by agentAnswer.
func (p *program) soon(ctx context.Context) (context.Context, context.CancelFunc) {
	limit := cmp.Or(max(0, p.timeout), agentAnswer)
	return context.WithTimeoutCause(ctx, limit, fmt.Errorf("%w: no answer in %s", agent.ErrLost, limit))
}

// fromAgent says what to do about the errors of an agent for which the advice is
// another than for those of a registry.
func fromAgent(err error) error {
	sent, ok := errors.AsType[*openapi.Error](err)
	if !ok {
		return err
	}
	switch sent.Code {
	case openapi.CodeTooLarge:
		return advised{fmt.Errorf(`%w; give the agent more with --disk or --ram, or stream it through a window`, err)}
	case openapi.CodeNoSpace:
		return advised{fmt.Errorf(`%w; "ingot status" shows what has the room: unload some of it, or give the agent more with --disk or --ram`, err)}
	case openapi.CodeBusy:
		return advised{fmt.Errorf(`%w; try again in a while, or look at "ingot status"`, err)}
	}
	return err
}

// fromGPU is fromAgent for what was asked of a GPU.
func fromGPU(err error) error {
	sent, ok := errors.AsType[*openapi.Error](err)
	if !ok {
		return err
	}
	switch sent.Code {
	case openapi.CodeTooLarge:
		return advised{fmt.Errorf(`%w; give the agent more of the GPU with --gpu, or the engine less with --gpu-headroom`, err)}
	case openapi.CodeBusy:
		return advised{fmt.Errorf(`%w; try again in a while, or look at "ingot status"`, err)}
	case openapi.CodeUnavailable:
		return advised{fmt.Errorf(`%w; try again in a while; "ingot status" shows how the GPUs are`, err)}
	case openapi.CodeBadRequest:
		return advised{fmt.Errorf(`%w; "ingot status" shows the GPUs of the agent: choose one with --device, or let the agent use one with its --gpu`, err)}
	}
	return fromAgent(err)
}

// parseTierArg reads a tier of a flag.
func parseTierArg(flag, text string, known ...string) (openapi.Tier, error) {
	tier, ok := parseTier(known)(text)
	if !ok {
		return tier, usagef("--%s %.40q: want %s", flag, text, oneOf(known))
	}
	return tier, nil
}
