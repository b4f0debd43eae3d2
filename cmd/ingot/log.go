package main

import (
	"context"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/name"
)

// lineage is the JSON document of log.
type lineage struct {
	Ref     string             `json:"ref"`
	Entries []openapi.LogEntry `json:"entries"`
	More    bool               `json:"more"`
}

func (p *program) logCommand() *cobra.Command {
	most := longList
	var all bool
	cmd := &cobra.Command{
		Use:        "log REF",
		SuggestFor: []string{"history", "lineage"},
		Short:      "Say what a version was made from, and what each step added",
		Long: `Log lists a version and those that it was made from, as far as they are in its
repository, the newest first. What a version added is what it needs and the one below
it does not: encoded bytes, distinct chunks, and how many of its chunks are stored as
deltas. Versions that were retired are only counted. Step, loss and run are the
annotations ingot.step, ingot.loss and ingot.run.

With --json it prints:
  ref       where it began
  entries   digest, parent, at, by, tags; step, loss, run; retired, how many versions
            below it cannot be read any more; bytes_total, plain; bytes_added,
            encoded; chunks, chunks_new, chunks_delta
  more      whether there are more`,
		Example: `  ingot log acme/run
  ingot log acme/run -n 100`,
		ValidArgsFunction: arguments(p.aRef),
		Args:              want(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ref, err := parseRef(args[0])
			if err != nil {
				return err
			}
			if most < 1 {
				return usagef("-n %d: want 1 or more, or --all", most)
			}
			if all {
				most = 0
			}
			return p.log(cmd.Context(), ref, most)
		},
	}
	cmd.Flags().IntVarP(&most, "max", "n", most, "list at most so many versions")
	cmd.Flags().BoolVar(&all, "all", false, "list every version")
	return cmd
}

// log lists at most so many versions; 0 is all.
func (p *program) log(ctx context.Context, ref name.Ref, most int) error {
	r, err := p.connect()
	if err != nil {
		return err
	}
	ask := most
	if most > 0 {
		ask++ // tells whether there are more
	}
	entries, err := collect(r.Log(ctx, ref, ask))
	if err != nil {
		return err
	}
	more := most > 0 && len(entries) > most
	if more {
		entries = entries[:most]
	}
	if p.json {
		return p.printJSON(lineage{ref.String(), entries, more})
	}
	p.printLog(entries)
	var last openapi.LogEntry
	if len(entries) > 0 {
		last = entries[len(entries)-1]
	}
	switch {
	case more:
		p.printf("... and more (-n, --all)\n")
	case last.Parent != "" && last.Retired == 0:
		p.printf("made from %s, which is not in %s\n", short(last.Parent), ref.Repo)
	}
	return nil
}

// printLog prints the entries, without the columns of which nothing is known.
func (p *program) printLog(entries []openapi.LogEntry) {
	var step, loss, run bool
	for _, e := range entries {
		step, loss, run = step || e.Step != "", loss || e.Loss != "", run || e.Run != ""
	}
	type column struct {
		title string
		shown bool
		of    func(openapi.LogEntry) string
	}
	columns := []column{
		{"VERSION", true, func(e openapi.LogEntry) string { return e.Digest.Short() }},
		{"PUSHED", true, func(e openapi.LogEntry) string { return ago(e.At) }},
		{">STEP", step, func(e openapi.LogEntry) string { return shown(e.Step) }},
		{">LOSS", loss, func(e openapi.LogEntry) string { return spellNumber(e.Loss) }},
		{"RUN", run, func(e openapi.LogEntry) string { return shown(e.Run) }},
		{">SIZE", true, func(e openapi.LogEntry) string { return size(e.Total) }},
		{">ADDED", true, func(e openapi.LogEntry) string { return size(e.Added) }},
		{">OF SIZE", true, func(e openapi.LogEntry) string { return percent(e.Added, e.Total) }},
		{">NEW", true, func(e openapi.LogEntry) string { return digits(e.New) }},
		{">DELTAS", true, func(e openapi.LogEntry) string { return digits(e.Delta) }},
		{">CHUNKS", true, func(e openapi.LogEntry) string { return digits(e.Chunks) }},
		{"TAGS", true, func(e openapi.LogEntry) string { return strings.Join(e.Tags, " ") }},
	}
	var t table
	for _, c := range columns {
		if c.shown {
			t.titles = append(t.titles, c.title)
		}
	}
	for _, e := range entries {
		var row []string
		for _, c := range columns {
			if c.shown {
				row = append(row, c.of(e))
			}
		}
		t.add(row...)
		if e.Retired > 0 {
			row := make([]string, len(t.titles))
			row[0] = "(" + digits(e.Retired) + " retired)"
			t.add(row...)
		}
	}
	t.print(p.stdout)
}

// spellNumber shortens a number for people. Another word stays what it is.
func spellNumber(s string) string {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || len(s) < 8 {
		return shown(s)
	}
	return strconv.FormatFloat(f, 'g', 5, 64)
}
