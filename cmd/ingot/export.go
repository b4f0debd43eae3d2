package main

import (
	"context"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/registry/name"
)

// pipe stands for standard input or output where a FILE is wanted.
const pipe = "-"

func (p *program) exportCommand() *cobra.Command {
	return &cobra.Command{
		Use:        "export REF... FILE",
		SuggestFor: []string{"save", "archive", "backup"},
		Short:      "Write versions to one file, for a registry that no network reaches",
		Long: `Export writes the versions to FILE, an archive that "ingot import" reads. A chunk
that several of them have is in it once, and every chunk is verified. FILE is
replaced when the archive is complete; until then it is FILE.part, and an export
that was interrupted goes on when it is run again. With - as FILE the archive goes
to standard output.

Versions keep their names, and so what they say of the version that they were made
from; that one is in the archive only if it is named too.

With --json it prints, unless the archive goes to standard output:
  file      where the archive is
  bytes     how long it is
  versions  one for each REF, as of push: chunks_new is how many chunks this run
            wrote for it`,
		Example: `  ingot export acme/llama:prod acme/llama:tuned llama.ingot
  ingot export acme/llama - | ssh far-away ingot import -`,
		ValidArgsFunction: p.aRefOrFile,
		Args:              want(2, 1001),
		RunE: func(cmd *cobra.Command, args []string) error {
			last := len(args) - 1
			var refs []name.Ref
			for _, word := range args[:last] {
				ref, err := parseRef(word)
				if err != nil {
					return err
				}
				refs = append(refs, ref)
			}
			return p.export(cmd.Context(), refs, args[last])
		},
	}
}

// exported is the JSON document of export.
type exported struct {
	File     string           `json:"file"`
	Bytes    int64            `json:"bytes"`
	Versions []client.Receipt `json:"versions"`
}

func (p *program) export(ctx context.Context, refs []name.Ref, path string) error {
	if path == pipe {
		return p.exportPipe(ctx, refs)
	}
	if _, err := name.ParseRef(path); err == nil && !isPath(filepath.Dir(path)) {
		return usagef("export: %.120q is a REF, or in a folder that is not there: name the FILE last", path)
	}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return usagef("export: %s is a folder: name a FILE in it", path)
	}
	r, err := p.connectLong(ctx)
	if err != nil {
		return err
	}
	done := exported{File: path}
	err = p.watch("exporting", func(progress client.Progress) error {
		done.Versions, done.Bytes, err = r.ExportFile(ctx, refs, path, client.ExportOptions{Progress: progress})
		return err
	})
	if err != nil {
		return resumable(ctx, err)
	}
	if p.json {
		return p.printJSON(done)
	}
	var total int64
	for _, v := range done.Versions {
		total += v.BytesTotal
	}
	p.printf("exported %s of %s to %s  %s\n", count(len(refs), "version"), size(total), shown(path), size(done.Bytes))
	return nil
}

func (p *program) exportPipe(ctx context.Context, refs []name.Ref) error {
	switch {
	case p.json:
		return usagef("export: --json and the archive cannot both go to standard output")
	case p.toTerminal():
		return usagef("export: an archive is not for a terminal: name a FILE, or give the output to a program")
	}
	r, err := p.connectLong(ctx)
	if err != nil {
		return err
	}
	return p.watch("exporting", func(progress client.Progress) error {
		_, err := r.Export(ctx, refs, p.stdout, client.ExportOptions{Progress: progress})
		return err
	})
}

// toTerminal reports whether standard output is a terminal.
func (p *program) toTerminal() bool {
	a, ok := p.stdout.(*answer)
	return ok && terminal(a.Writer)
}
