package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"github.com/ingot-ml/ingot/nodecache/gate"
	"github.com/ingot-ml/ingot/registry/name"
)

// gateFlags are what gate is told.
type gateFlags struct {
	agent, listen, metrics, upstream, model string
	deadline, idle                          time.Duration
	waiting                                 int
	readyPath                               string
	hosts, origins                          []string
	log                                     logConfig
}

func (p *program) gateCommand() *cobra.Command {
	f := gateFlags{log: newLogConfig()}
	cmd := &cobra.Command{
		Use:   "gate --upstream URL --model REF",
		Short: "Hold the requests for an HTTP service until its model is on this machine",
		Long: `Gate stands before an HTTP service that needs a model. The first request has the
agent bring the model into memory; requests are held until it is there and the
service says that it is ready, and go through then, unchanged. One that is held
longer than --deadline gets 503 with Retry-After. After --idle without a request the
gate lets the model go, so that the agent may drop it.

What waits costs little: bodies are not read before they go through. The metrics, for
Prometheus, are at ` + gate.PathMetrics + ` or, with --metrics, at an address of their
own: ingot_gate_waiting is what an autoscaler looks at. ` + gate.PathHealth + ` answers
204 while the gate lives.

At a loopback address the gate is for the programs of this machine: what a page in a
browser asks is refused, unless the page came through the gate itself or --allow-origin
names it, and so is a name that --allow-host has not allowed. At other addresses that is
so when one of the two is given.

With --json it prints, when it is ready:
  address   where it listens, with the port that a :0 became
  metrics   the address of the metrics
  upstream  the service
  model     what the service needs`,
		Example: `  ingot gate --upstream http://127.0.0.1:8000 --model acme/llama:prod
  ingot gate --listen :8080 --upstream http://127.0.0.1:8000 --ready-path /v1/models --model acme/llama:prod --idle 15m`,
		Args: want(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error { return p.gate(cmd.Context(), f) },
	}
	agentFlag(cmd, &f.agent)
	flags := cmd.Flags()
	flags.StringVar(&f.listen, "listen", "127.0.0.1:8080", "`HOST:PORT` to listen on")
	flags.StringVar(&f.metrics, "metrics", "", "`HOST:PORT` for the metrics alone")
	flags.StringVar(&f.upstream, "upstream", "", "`URL` of the service")
	flags.StringVar(&f.model, "model", "", "`REF` of the model that the service needs")
	flags.StringVar(&f.readyPath, "ready-path", gate.DefaultReadyPath, "`PATH` of the service that answers 2xx when it is ready")
	flags.DurationVar(&f.deadline, "deadline", gate.DefaultDeadline, "the longest that a request is held")
	flags.DurationVar(&f.idle, "idle", gate.DefaultIdle, "how long without a request the model is kept")
	flags.StringSliceVar(&f.hosts, "allow-host", nil, "further `HOST` by which the gate is reached, or *.DOMAIN; may be repeated")
	flags.StringSliceVar(&f.origins, "allow-origin", nil, "`ORIGIN` of pages that may ask the service, such as http://localhost:3000, or *; may be repeated")
	flags.IntVar(&f.waiting, "waiting", gate.DefaultWaiting, "the most requests that are held at a time")
	for _, k := range f.log.keys() {
		flags.VarP(k, k.name, "", k.usage)
	}
	return cmd
}

// gate holds requests until ctx ends.
func (p *program) gate(ctx context.Context, f gateFlags) error {
	c, err := p.gateConfig(f)
	if err != nil {
		return err
	}
	g, err := gate.New(c)
	if err != nil {
		return usagef("%v", err)
	}
	l, metrics, err := f.listeners()
	if err != nil {
		return err
	}
	if err := p.printGate(f, l, metrics); err != nil {
		return errors.Join(err, l.Close(), closeListener(metrics))
	}
	return g.Serve(ctx, l, metrics)
}

// gateConfig turns flags into what a gate is told.
func (p *program) gateConfig(f gateFlags) (gate.Config, error) {
	switch {
	case f.upstream == "":
		return gate.Config{}, usagef("gate: name the service with --upstream")
	case f.model == "":
		return gate.Config{}, usagef("gate: name the model with --model")
	case f.deadline <= 0 || f.idle <= 0 || f.waiting <= 0:
		return gate.Config{}, usagef("gate: --deadline %s, --idle %s and --waiting %d have to be above zero", f.deadline, f.idle, f.waiting)
	}
	upstream, err := url.Parse(f.upstream)
	if err != nil {
		return gate.Config{}, usagef("--upstream %.80q: want a URL such as http://127.0.0.1:8000", f.upstream)
	}
	ref, err := parseRef(f.model)
	if err != nil {
		return gate.Config{}, err
	}
	model, err := p.gateModel(f, ref)
	if err != nil {
		return gate.Config{}, err
	}
	return gate.Config{
		Upstream: upstream, ReadyPath: f.readyPath, Model: model,
		Deadline: f.deadline, Idle: f.idle, Waiting: f.waiting, Logger: p.newLogger(f.log),
		Local: f.local(), Hosts: f.hosts, Origins: f.origins,
	}, nil
}

// local tells a gate that only this machine reaches, or that was told who else.
func (f gateFlags) local() bool {
	others, err := reachable(f.listen)
	return err == nil && !others || len(f.hosts)+len(f.origins) > 0
}

func (p *program) gateModel(f gateFlags, ref name.Ref) (gate.Model, error) {
	a, err := p.dialAgent(f.agent)
	if err != nil {
		return nil, err
	}
	return gate.Leased{Agent: a, Ref: ref, Deadline: f.deadline}, nil
}

// listeners returns where requests come, and where metrics are if elsewhere.
func (f gateFlags) listeners() (l, metrics net.Listener, err error) {
	if l, err = net.Listen("tcp", f.listen); err != nil {
		return nil, nil, fmt.Errorf("gate: %w; choose a free address with --listen", err)
	}
	if f.metrics == "" {
		return l, nil, nil
	}
	if metrics, err = net.Listen("tcp", f.metrics); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("gate: %w; choose a free address with --metrics", err), l.Close())
	}
	return l, metrics, nil
}

func (p *program) printGate(f gateFlags, l, metrics net.Listener) error {
	at := "http://" + l.Addr().String() + gate.PathMetrics
	if metrics != nil {
		at = "http://" + metrics.Addr().String()
	}
	if p.json {
		return p.printJSON(map[string]string{"address": l.Addr().String(), "metrics": at, "upstream": f.upstream, "model": f.model})
	}
	p.printf("ingot gate holds requests at http://%s for %s until %s is there\n", l.Addr(), f.upstream, f.model)
	return nil
}
