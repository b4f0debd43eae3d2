package main

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/openapi"
)

func (p *program) gcCommand() *cobra.Command {
	var q openapi.GCRequest
	var grace string
	cmd := &cobra.Command{
		Use:        "gc",
		SuggestFor: []string{"prune", "clean", "collect"},
		Short:      "Free what no version needs",
		Long: `Gc has the registry free the chunks that no version needs any more, such as those of
versions that were removed or were pushed by half. Pushes and pulls go on meanwhile.
What is younger than the grace stays, because a push may be about to need it. With
--dry-run nothing is freed. A registry collects by itself too: see "ingot serve".

When it is interrupted, nothing is lost: the next collection goes on from there.

With --json it prints:
  dry_run    whether nothing was freed
  epoch      the number of the collection
  versions   how many versions need what they name
  objects, bytes
             what the store holds, without lists of collections
  freed      what was freed, or would be: objects, bytes
  kept       objects and bytes by the reason why they stay: referenced, young, push,
             reader, republished, foreign, list
  retired    versions that were retired because no tag pointed at them for too long
  aborted    commits that were never finished and are given up
  anomalies  what should not be, in words
  seconds    how long it took`,
		Example: `  ingot gc --dry-run
  ingot gc --grace 7d`,
		Args: want(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if q.GraceSeconds, err = readGrace(grace); err != nil {
				return err
			}
			r, err := p.connectLong(cmd.Context())
			if err != nil {
				return err
			}
			return p.gc(cmd.Context(), r, q)
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&q.DryRun, "dry-run", false, "only tell what would be freed")
	flags.StringVar(&grace, "grace", "", "free what nothing needs and is older than `DURATION`, such as 12h or 7d, or none (default as the registry is set up)")
	return cmd
}

// readGrace reads the flag: nil where it was not given.
func readGrace(text string) (*int64, error) {
	if text == "" {
		return nil, nil
	}
	grace, ok := parseGrace(text)
	if !ok {
		return nil, usagef("--grace %.80q: want a duration of at most 3650d, such as 12h or 7d, or none", text)
	}
	// A part of a second more keeps what the caller wants to keep.
	seconds := int64((max(0, grace) + time.Second - 1) / time.Second)
	return &seconds, nil
}

func (p *program) gc(ctx context.Context, r *client.Registry, q openapi.GCRequest) error {
	line := p.line("collecting")
	got, err := r.CollectGarbage(ctx, q, func(at openapi.GCProgress) { line.show(at.Phase, at.Done, at.Total) })
	line.clear()
	if err != nil {
		return resumable(ctx, err)
	}
	if p.json {
		return p.printJSON(got)
	}
	p.printCollection(got)
	return nil
}

// reasons says for people why something is kept, in the order in which they are
// shown.
var reasons = []struct{ reason, why string }{
	{openapi.KeptReferenced, "versions need it"},
	{openapi.KeptYoung, "younger than the grace"},
	{openapi.KeptPush, "a push that is open may need it"},
	{openapi.KeptReader, "a version that was removed lately may still be read"},
	{openapi.KeptRepublished, "a push has come to need it since"},
	{openapi.KeptForeign, "not the registry's"},
	{openapi.KeptList, "a list of a collection"},
}

func (p *program) printCollection(got openapi.GCReport) {
	freed, retired := "freed", "retired"
	if got.DryRun {
		freed, retired = "would be freed", "would be retired"
	}
	p.printf("%s of %s %s, %s of %s\n", thousands(got.Freed.Objects), things(got.Objects, "object"), freed, size(got.Freed.Bytes), size(got.Bytes))
	p.printf("%s looked at, %s\n", things(got.Versions, "version"), seconds(got.Seconds))
	if got.Retired > 0 {
		p.printf("%s %s: no tag has pointed at them for too long\n", things(got.Retired, "version"), retired)
	}
	if got.Aborted > 0 {
		p.printf("%s given up that were never finished\n", things(got.Aborted, "commit"))
	}
	p.printSection(keptTable(got.Kept))
	if len(got.Anomalies) > 0 {
		p.printf("\n")
	}
	for _, a := range got.Anomalies {
		p.printf("odd: %s\n", oneLine(a))
	}
}

// keptTable lists what is kept. Reasons of a newer registry have no words.
func keptTable(kept map[string]openapi.GCTotal) table {
	t := table{titles: []string{"KEPT", ">OBJECTS", ">BYTES", "WHY"}}
	known := map[string]bool{}
	for _, r := range reasons {
		known[r.reason] = true
		if total, ok := kept[r.reason]; ok && total.Objects > 0 {
			t.add(r.reason, thousands(total.Objects), size(total.Bytes), r.why)
		}
	}
	for _, reason := range slices.Sorted(maps.Keys(kept)) {
		if !known[reason] {
			t.add(shown(cmp.Or(reason, "-")), thousands(kept[reason].Objects), size(kept[reason].Bytes), "-")
		}
	}
	return t
}
