package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/ingot-ml/ingot/openapi/trace"
	"github.com/ingot-ml/ingot/openapi/trace/otlp"
)

// services are the commands that run for long, and what they are called in traces.
// What others do is one span each, of "ingot".
var services = map[string]string{"serve": "ingot-registry", "agent": "ingot-agent", "gate": "ingot-gate"}

// untraced are commands of which no trace could tell anything.
var untraced = map[string]bool{"ingot": true, "mover": true, "help": true, "completion": true, "version": true, cobra.ShellCompRequestCmd: true}

// lastSpans is how long the program waits at its end for a collector to take what it
// has not been sent yet.
const lastSpans = 5 * time.Second

// execute runs the command line, and sends traces of it if the environment says so.
func (p *program) execute(ctx context.Context, root *cobra.Command, args []string) error {
	name := root.Name()
	if cmd, _, err := root.Find(args); err == nil {
		name = cmd.Name()
	}
	wanted, err := otlp.Wanted(p.env)
	if err != nil {
		return usagef("%v", err)
	}
	if !wanted || untraced[name] {
		return root.ExecuteContext(ctx)
	}
	service, long := services[name]
	if !long {
		service = "ingot"
	}
	end, err := otlp.Begin(ctx, p.env, service, version, slog.New(slog.NewTextHandler(p.stderr, nil)))
	if err != nil {
		return usagef("%v", err)
	}
	var span *trace.Span
	if !long {
		ctx, span = trace.Start(ctx, "ingot "+name)
	}
	failed := root.ExecuteContext(ctx)
	span.End(failed)
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastSpans)
	defer cancel()
	_ = end(last) // what was not taken is lost, and that has been told
	return failed
}
