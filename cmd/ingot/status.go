package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ingot-ml/ingot/client/agent"
	"github.com/ingot-ml/ingot/openapi"
)

// statusFlags are what status is told.
type statusFlags struct {
	agent    string
	all      bool
	watch    bool
	interval time.Duration
}

func (p *program) statusCommand() *cobra.Command {
	var f statusFlags
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show what the agent of this machine holds and does",
		Long: `Status shows the tiers of the agent of this machine, and the models that it knows:
where they are, what they hold alone and with others, who uses them. With --watch
it goes on until it is told to stop: on a terminal the table stays in its place.

With --json it prints; with --watch again and again, one document after another:
  name, program, started              the node
  registry                            url, reachable, since, error, and following, which is
                                      how tags are: by events, polling or nothing
  tiers                               used, budget, orphaned, models, limit of disk, ram, gpu;
                                      of disk also files_bytes, the part of used that is
                                      files; of gpu also state, message and
  devices                             the GPUs:
  uuid, name                          which it is
  used, budget, models                what the agent holds of it, and may
  free, total                         of the GPU, whoever uses the rest
  state, message                      starting, ready or failed, and why
  pinned                              bytes of memory that it can read by itself
  restarts                            of what drives it
  waiting                             loads, swaps and leases that wait for it
  pcie_generation, pcie_width         its link
  numa_node, mig, processes           as far as they are known
  hf_cache                            the folder of models that are kept as files
  waiting                             loads and leases that wait for room
  damaged, refused                    chunks of the disk, and of the registry, that were
                                      not what they are named for
  deltas                              what differences from chunks at hand have done:
  chunks, bytes_received, bytes_base  chunks that came so, their encoded bytes, and those
                                      of what else was needed to decode them
  bases_wrong                         chunks that came whole, for their base was not right
  patches, bytes_patched              versions that came into the memory of others
  patches_undone, patches_lost        that failed: the old version was put back, or went
  patch_memory                        the most bytes that one took beside both versions
  models                              the models:
  ref, version                        the reference, and the version served for it
  tier, want, state                   where it is, where it should be, what it does
  bytes_own, bytes_shared             what it holds of its tier alone, and with others
  bytes_total, bytes_done             its distinct content, and how much a load has brought
  leases, pinned, watch, last_use     how it is used
  old                                 versions that leases still hold: version, leases
  devices                             the GPUs that it is on
  files                               where it is as files: path, commit, bytes
  error                               why it failed`,
		Example: `  ingot status
  ingot status --watch
  ingot status --socket http://127.0.0.1:7071 --json`,
		Args: want(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.interval < 100*time.Millisecond {
				return usagef("--interval %s: want a duration of at least 100ms", f.interval)
			}
			return p.status(cmd.Context(), f)
		},
	}
	agentFlag(cmd, &f.agent)
	flags := cmd.Flags()
	flags.BoolVar(&f.all, "all", false, "show all models of a long list")
	flags.BoolVar(&f.watch, "watch", false, "show it again and again")
	flags.DurationVar(&f.interval, "interval", time.Second, "how often --watch looks")
	return cmd
}

func (p *program) status(ctx context.Context, f statusFlags) error {
	a, err := p.dialAgent(f.agent)
	if err != nil {
		return err
	}
	defer a.Close()
	s, err := p.askStatus(ctx, a)
	if err != nil {
		return err
	}
	if !f.watch {
		return p.printStatus(s, f.all)
	}
	return p.watchStatus(ctx, a, s, f)
}

func (p *program) askStatus(ctx context.Context, a *agent.Agent) (openapi.NodeStatus, error) {
	ctx, cancel := p.soon(ctx)
	defer cancel()
	s, err := a.Status(ctx)
	return s, fromAgent(err)
}

// watchStatus shows s, and then what follows until ctx ends. An agent that is away
// for a while is told of, and waited for.
func (p *program) watchStatus(ctx context.Context, a *agent.Agent, s openapi.NodeStatus, f statusFlags) error {
	tick := time.NewTicker(f.interval)
	defer tick.Stop()
	out, wrapped := p.stdout.(*answer)
	live := !p.json && wrapped && terminal(out.Writer)
	var err error
	for {
		if live {
			p.printf("\x1b[H\x1b[2J") // from the upper left, all anew
		}
		if err != nil {
			fmt.Fprintf(p.stderr, "%s\n", oneLine(explain(err)))
		} else if err := p.printStatus(s, f.all); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil // it was told to stop
		case <-tick.C:
		}
		s, err = p.askStatus(ctx, a)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil && !isAway(err) {
			return err
		}
	}
}

// isAway tells an agent that may come back.
func isAway(err error) bool {
	return errors.Is(err, agent.ErrNoAgent) || errors.Is(err, agent.ErrLost)
}

func (p *program) printStatus(s openapi.NodeStatus, all bool) error {
	if p.json {
		return p.printJSON(s)
	}
	p.printf("%s, ingot %s, started %s\n", shown(s.Name), shown(s.Program), ago(s.Started))
	p.printf("%s\n", registryLine(s.Registry))
	if line := gpuLine(s.Tiers.GPU); line != "" {
		p.printf("%s\n", line)
	}
	if trouble := troubles(s); trouble != "" {
		p.printf("%s\n", trouble)
	}
	tiers := table{titles: []string{"TIER", ">USED", ">BUDGET", ">", ">MODELS", ""}}
	for _, tier := range []struct {
		name string
		openapi.TierUsage
	}{{"disk", s.Tiers.Disk}, {"ram", s.Tiers.RAM}, {"gpu", s.Tiers.GPU.TierUsage}} {
		if tier.Budget > 0 || tier.Used > 0 {
			tiers.add(tierRow(tier.name, tier.TierUsage)...)
		}
	}
	p.printSection(tiers)
	p.printSection(deviceTable(s.Tiers.GPU.Devices))
	p.printLong(modelTable(s.Models), all, "")
	return nil
}

// registryLine says how the node sees its registry.
func registryLine(r openapi.RegistryState) string {
	switch {
	case r.URL == "":
		return "no registry: it serves what it has"
	case !r.Reachable:
		return fmt.Sprintf("registry %s is out of reach since %s: %s", shown(r.URL), ago(r.Since), oneLine(r.Error))
	}
	return fmt.Sprintf("registry %s, tags followed by %s", shown(r.URL), cmp.Or(shown(r.Following), "nothing"))
}

// troubles says what is not as it should be, or nothing.
func troubles(s openapi.NodeStatus) string {
	var said []string
	if s.Waiting > 0 {
		said = append(said, digits(s.Waiting)+" waiting for room")
	}
	if s.Damaged > 0 {
		said = append(said, count(int(s.Damaged), "damaged chunk")+" dropped from the disk")
	}
	if s.Refused > 0 {
		said = append(said, count(int(s.Refused), "wrong chunk")+" of the registry refused")
	}
	if s.Deltas.BasesWrong > 0 {
		said = append(said, count(int(s.Deltas.BasesWrong), "delta")+" had a wrong base here")
	}
	if s.Deltas.PatchesLost > 0 {
		said = append(said, count(int(s.Deltas.PatchesLost), "version")+" lost in a patch")
	}
	return strings.Join(said, ", ")
}

func tierRow(name string, t openapi.TierUsage) []string {
	models, note := digits(t.Models), ""
	if t.Limit > 0 {
		models += " of " + digits(t.Limit)
	}
	switch {
	case t.Orphaned > 0:
		note = size(t.Orphaned) + " of a former agent, still in use"
	case t.FilesBytes > 0:
		note = size(t.FilesBytes) + " as files"
	}
	return []string{name, size(t.Used), size(t.Budget), percent(t.Used, t.Budget), models, note}
}

// modelTable lists models, those of the fastest tier first, and of each what was
// used last.
func modelTable(models []openapi.ModelStatus) table {
	t := table{titles: []string{"MODEL", "VERSION", "TIER", "STATE", ">OWN", ">SHARED", ">LEASES", "LAST USE", ""}}
	sorted := slices.SortedFunc(slices.Values(models), func(a, b openapi.ModelStatus) int {
		return cmp.Or(cmp.Compare(b.Tier, a.Tier), b.LastUse.Compare(a.LastUse), cmp.Compare(a.Ref, b.Ref))
	})
	for _, m := range sorted {
		t.add(shown(m.Ref), cmp.Or(short(m.Version), "-"), m.Tier.String(), stateOf(m), size(m.BytesOwn), size(m.BytesShared),
			digits(m.Leases), ago(m.LastUse), notesOf(m))
	}
	return t
}

func stateOf(m openapi.ModelStatus) string {
	if m.State == openapi.ModelLoading && m.BytesTotal > 0 {
		return "loading " + percent(m.BytesDone, m.BytesTotal)
	}
	return shown(m.State)
}

// notesOf says what is particular about a model.
func notesOf(m openapi.ModelStatus) string {
	var notes []string
	if m.Pinned {
		notes = append(notes, "pinned")
	}
	if m.Watch {
		notes = append(notes, "watched")
	}
	if m.Want != m.Tier && m.Want != openapi.TierNone {
		notes = append(notes, "wanted in "+m.Want.String())
	}
	if len(m.Devices) > 0 {
		notes = append(notes, "on "+shown(strings.Join(m.Devices, " and ")))
	}
	if m.Files != nil {
		notes = append(notes, size(m.Files.Bytes)+" as files")
	}
	for _, old := range m.Old {
		notes = append(notes, short(old.Version)+" in use: "+count(old.Leases, "lease"))
	}
	if m.Error != "" {
		notes = append(notes, oneLine(m.Error))
	}
	return strings.Join(notes, ", ")
}
