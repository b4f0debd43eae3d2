package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/name"
)

// swapFlags are what swap is told beside FROM and TO.
type swapFlags struct {
	agent    string
	device   string
	wait     time.Duration
	priority int
}

// swapHelp describes what is moved onto a GPU, as JSON.
const swapHelp = `  from, from_version        what was used before
  to, version               what is used now
  device                    the GPU
  kind                      resident: it was there; load: it came beside others;
                            in_place: differences were written over the version
                            before; remap: it came to the addresses of that
  bytes_total               bytes of its tensors; of these
  bytes_uploaded            came from memory
  bytes_device_copied       were copied on the GPU
  bytes_reused              were in place
  copies                    how many copies it took
  slabs_total               pieces of GPU memory that it has; of these
  slabs_shared              others have too, or stayed as they were
  slabs_in_place            were written over
  slabs_new                 are new
  leases                    clients that moved to it
  queued_ms                 milliseconds of waiting for room and for others
  paused_ms                 from the first request to pause until all could go on
  total_ms                  of everything`

func (p *program) swapCommand() *cobra.Command {
	var f swapFlags
	cmd := &cobra.Command{
		Use:   "swap FROM TO",
		Short: "Have those who use a version on a GPU use another",
		Long: `Swap has the agent move everybody who uses FROM on a GPU to TO. They pause, and go on
when TO is there, in the same process and at the same addresses. Only what differs
is brought. Somebody who does not pause in time is not forced: then the swap is
refused, and everybody goes on with FROM.

With --json it prints:
` + swapHelp,
		Example: `  ingot swap acme/llama:prod acme/llama:tuned
  ingot swap acme/llama:prod acme/other --device GPU-6f1a2b3c-4d5e-6f70-8192-a3b4c5d6e7f8 --wait 30s`,
		ValidArgsFunction: arguments(p.aRefOnGPU, p.aRef),
		Args:              want(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			from, err := parseRef(args[0])
			if err != nil {
				return err
			}
			to, err := parseRef(args[1])
			if err != nil {
				return err
			}
			if f.device, err = parseDeviceArg(f.device); err != nil {
				return err
			}
			if f.wait < 0 {
				return usagef("--wait %s: want a duration above zero, such as 30s", f.wait)
			}
			return p.swap(cmd.Context(), from, to, f)
		},
	}
	agentFlag(cmd, &f.agent)
	flags := cmd.Flags()
	flags.StringVar(&f.device, "device", "", "the GPU, by its `UUID` (default the one that FROM is on)")
	flags.DurationVar(&f.wait, "wait", 0, "give up when there is no room, or somebody does not pause, for so long (default as the agent is told)")
	flags.IntVar(&f.priority, "priority", 0, "who has a higher one comes first among those who wait for the GPU")
	return cmd
}

// parseDeviceArg reads the UUID of a flag; empty is none.
func parseDeviceArg(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	device, ok := parseDevice(text)
	if !ok {
		return "", usagef("--device %.60q: want %s", text, wantDevice)
	}
	return device, nil
}

func (p *program) swap(ctx context.Context, from, to name.Ref, f swapFlags) error {
	a, err := p.dialAgent(f.agent)
	if err != nil {
		return err
	}
	defer a.Close()
	got, err := a.Swap(ctx, openapi.SwapRequest{
		From: from.String(), To: to.String(), Device: f.device, Deadline: f.wait.Seconds(), Priority: f.priority,
	})
	if err != nil {
		return fromGPU(err)
	}
	if p.json {
		return p.printJSON(got)
	}
	p.printf("swapped %s for %s  %s  on %s\n", shown(got.From), shown(got.To), got.Version.Short(), shown(got.Device))
	p.printMoved(got)
	return nil
}

// printMoved says what was moved onto a GPU, for people.
func (p *program) printMoved(got openapi.SwapReceipt) {
	how := map[string]string{
		openapi.SwapResident: "it was there", openapi.SwapLoad: "beside what was there",
		openapi.SwapInPlace: "over the version before", openapi.SwapRemap: "at the addresses of the version before",
	}[got.Kind]
	said := []string{how}
	if how == "" {
		said[0] = shown(got.Kind)
	}
	if got.Leases > 0 {
		said = append(said, fmt.Sprintf("%s moved, paused %s", count(got.Leases, "lease"), milliseconds(got.PausedMS)))
	}
	if got.QueuedMS > 0 {
		said = append(said, "waited "+milliseconds(got.QueuedMS))
	}
	p.printf("%s, %s in all\n", strings.Join(said, ", "), milliseconds(got.TotalMS))
	t := table{titles: []string{"ON THE GPU", ">BYTES", ">"}}
	for _, row := range []struct {
		name  string
		bytes int64
	}{{"uploaded", got.BytesUploaded}, {"copied there", got.BytesDeviceCopied}, {"in place", got.BytesReused}} {
		t.add(row.name, size(row.bytes), percent(row.bytes, got.BytesTotal))
	}
	p.printSection(t)
}

// milliseconds spells a time for people.
func milliseconds(ms float64) string { return fmt.Sprintf("%.1f ms", ms) }
