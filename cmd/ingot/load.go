package main

import (
	"context"
	"iter"
	"time"

	"github.com/spf13/cobra"

	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/client/agent"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/name"
)

// loadFlags are what load is told beside REF.
type loadFlags struct {
	agent  string
	tier   string
	device string
	hint   bool
	dryRun bool
	wait   time.Duration
}

func (p *program) loadCommand() *cobra.Command {
	var f loadFlags
	cmd := &cobra.Command{
		Use:   "load REF",
		Short: "Have the agent bring a version onto this machine",
		Long: `Load has the agent bring a version into a tier, disk, ram or gpu, and returns when all
of it is there. Only what the machine lacks is fetched. With --dry-run nothing is
moved: it prints what would be. With --hint it returns at once, and the version
comes onto the GPU behind it, as long as nobody has to make room for it.

With --json it prints:
  ref, version, tier            what was loaded, and into which tier
  bytes_total, chunks_total     distinct content of the version
  bytes_received                encoded bytes that came over the network
  bytes_reused                  bytes that were on the machine
  chunks_new                    chunks that were not
  bytes_received_delta          part of bytes_received: deltas of chunks that were here
  bytes_received_base           part of bytes_received: what others were decoded with
  chunks_delta                  chunks that came as deltas
  bases_wrong                   chunks that came whole, for their base was not right
  bytes_patched                 bytes in memory that were written over those of the
                                version before, for want of room beside it
  sources                       bytes by source: disk, ram, peer, delta, registry
  phases_ms                     milliseconds by what was done: plan, wait, fetch,
                                read, store; things done at a time are summed
  seconds                       how long it took
  gpu                           for the tier gpu, what was moved onto it:
` + swapHelp,
		Example: `  ingot load acme/llama:prod --tier ram
  ingot load acme/llama:prod --tier gpu
  ingot load acme/llama:tuned --dry-run`,
		ValidArgsFunction: arguments(p.aRef),
		Args:              want(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ref, err := parseRef(args[0])
			if err != nil {
				return err
			}
			tier, err := parseTierArg("tier", f.tier, "disk", "ram", "gpu")
			if err != nil {
				return err
			}
			if f.device, err = parseDeviceArg(f.device); err != nil {
				return err
			}
			if tier != openapi.TierGPU && (f.device != "" || f.hint) {
				return usagef("--device and --hint go with --tier gpu")
			}
			if f.wait < 0 {
				return usagef("--wait %s: want a duration above zero, such as 10m", f.wait)
			}
			return p.load(cmd.Context(), ref, tier, f)
		},
	}
	agentFlag(cmd, &f.agent)
	flags := cmd.Flags()
	flags.StringVar(&f.tier, "tier", "ram", "the `TIER` to load into: disk, ram or gpu")
	flags.StringVar(&f.device, "device", "", "for the tier gpu, the GPU by its `UUID` (default the one with the most room)")
	flags.BoolVar(&f.hint, "hint", false, "for the tier gpu, only say that it will be wanted")
	flags.BoolVar(&f.dryRun, "dry-run", false, "only say what would be moved")
	flags.DurationVar(&f.wait, "wait", 0, "give up when there is no room for so long (default as the agent is told)")
	return cmd
}

func (p *program) load(ctx context.Context, ref name.Ref, tier openapi.Tier, f loadFlags) error {
	a, err := p.dialAgent(f.agent)
	if err != nil {
		return err
	}
	defer a.Close()
	q := openapi.LoadRequest{Ref: ref.String(), Tier: tier, DryRun: f.dryRun, Deadline: f.wait.Seconds(), Device: f.device, Hint: f.hint}
	var got openapi.LoadReceipt
	err = p.watch("loading "+ref.String(), func(progress client.Progress) error {
		defer followLoad(ctx, a, q.Ref, progress)()
		got, err = a.Load(ctx, q)
		return err
	})
	if err != nil && tier == openapi.TierGPU {
		return fromGPU(err)
	}
	if err != nil {
		return fromAgent(err)
	}
	return p.printLoad(got, f)
}

// followLoad tells progress how far the agent is with ref, until the returned
// function is called. Without events there is no progress to be seen, and the load
// goes on.
func followLoad(ctx context.Context, a *agent.Agent, ref string, progress client.Progress) (end func()) {
	if progress == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	events, err := a.Events(ctx)
	if err != nil {
		return cancel
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		countLoad(events, ref, progress)
	}()
	return func() { cancel(); <-done }
}

// countLoad tells progress what the events say of ref.
func countLoad(events iter.Seq2[openapi.NodeEvent, error], ref string, progress client.Progress) {
	var total, done int64
	for e, err := range events {
		if err != nil {
			return
		}
		if e.Type != openapi.EventLoading || e.Ref != ref {
			continue
		}
		progress.Total(e.Total - total)
		progress.Add(e.Bytes - done)
		total, done = e.Total, e.Bytes
	}
}

func (p *program) printLoad(got openapi.LoadReceipt, f loadFlags) error {
	if p.json {
		return p.printJSON(got)
	}
	verb := "loaded"
	switch {
	case f.dryRun:
		verb = "would load"
	case f.hint:
		p.printf("%s  %s  comes onto a GPU when there is room\n", got.Ref, got.Version.Short())
		return nil
	}
	p.printf("%s %s  %s  into %s\n", verb, got.Ref, got.Version.Short(), got.Tier)
	p.printf("%s in %s, %s new: received %s, found %s here, %s\n", size(got.BytesTotal), count(got.ChunksTotal, "chunk"),
		digits(got.ChunksNew), size(got.BytesReceived), size(got.BytesReused), seconds(got.Seconds))
	if got.ChunksDelta > 0 {
		p.printf("%s came as deltas, in %s\n", count(got.ChunksDelta, "chunk"), size(got.BytesReceivedDelta+got.BytesReceivedBase))
	}
	if got.BytesPatched > 0 {
		p.printf("%s were written over those of the version before\n", size(got.BytesPatched))
	}
	t := table{titles: []string{"FROM", ">BYTES"}}
	for _, from := range []struct {
		name  string
		bytes int64
	}{
		{"ram", got.Sources.RAM}, {"disk", got.Sources.Disk}, {"peer", got.Sources.Peer},
		{"delta", got.Sources.Delta}, {"registry", got.Sources.Registry},
	} {
		if from.bytes > 0 {
			t.add(from.name, size(from.bytes))
		}
	}
	p.printSection(t)
	if got.GPU != nil {
		p.printf("\nonto %s: ", shown(got.GPU.Device))
		p.printMoved(*got.GPU)
	}
	return nil
}
