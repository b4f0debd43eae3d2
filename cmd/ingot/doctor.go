package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ingot-ml/ingot/registry"
)

func (p *program) doctorCommand() *cobra.Command {
	var t registry.Target
	cmd := &cobra.Command{
		Use:        "doctor --store s3://BUCKET[/PREFIX] | --data DIR",
		SuggestFor: []string{"probe", "diagnose"},
		Short:      "Find out whether a store or a disk has what a registry needs",
		Long: `Doctor puts a store, or the folder of a disk, to the test: whether writes that meet
are told apart, whether what was acknowledged is read and listed at once, whether
anything deletes objects by itself, and more. Each property has a name and a line of
what was seen. It works in a scratch space beside what is there, also while a
registry is served from it, and leaves nothing behind. It takes a minute on a store
nearby.

A property that failed is exit code 1. A warning is none: nothing is lost by it.

With --store it needs no registry, but the credentials and the address of the store,
from the variables and files that AWS has for them: AWS_ENDPOINT_URL, AWS_REGION,
AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_PROFILE and so on.

With --json it prints:
  target    what was examined
  findings  for each property: property, its name; state: ok, warning, failed, or
            skipped where another property is missing that its test needs; needs,
            what ingot needs; saw, what was seen; do, what to do
  seconds   how long it took`,
		Example: `  ingot doctor --store s3://models/ingot
  ingot doctor --data /srv/ingot`,
		Args: want(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if (t.Store == "") == (t.Data == "") {
				return usagef("doctor: name one place, with --store or with --data")
			}
			return p.doctor(cmd.Context(), t)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&t.Store, "store", "", "examine this `LOCATION` of a store, s3://BUCKET or s3://BUCKET/PREFIX")
	flags.StringSliceVar(&t.Buckets, "bucket", nil, "further `BUCKET` of the store, for chunks; may be given again")
	flags.StringVar(&t.Data, "data", "", "examine this `DIR` of a disk")
	return cmd
}

func (p *program) doctor(ctx context.Context, t registry.Target) error {
	line := p.line("examining " + t.String())
	done := int64(0)
	found, err := registry.Examine(ctx, t, func(f registry.Finding) {
		done++
		line.show(f.Property, done, 0)
	})
	line.clear()
	if err != nil {
		return err
	}
	if p.json {
		if err := p.printJSON(found); err != nil {
			return err
		}
		return found.Unfit()
	}
	p.printExamination(found)
	return found.Unfit()
}

// printExamination prints a row for each property, and then what to do about those
// that are not as they should be.
func (p *program) printExamination(found registry.Examination) {
	t := table{titles: []string{"PROPERTY", "STATE", "SEEN"}}
	for _, f := range found.Findings {
		state := f.State
		if state == registry.FindingFailed {
			state = strings.ToUpper(state)
		}
		t.add(f.Property, state, shown(oneLine(f.Saw)))
	}
	t.print(p.stdout)
	for _, f := range found.Findings {
		if f.Do != "" {
			p.printf("\n%s: ingot needs that %s.\n  %s\n", f.Property, f.Needs, shown(oneLine(f.Do)))
		}
	}
}
