package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/name"
)

func (p *program) diffCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "diff A B",
		Short: "Say which files and tensors of version B differ from version A",
		Long: `Diff compares two versions by their manifests, without reading weights: what is
called the same is the same, while a small tensor may be called changed because
one that shares its chunk has changed.

With --json it prints:
  a, b                        digests of the versions
  files, tensors              added, removed, changed (lists) and same (a number)
  chunks_shared, chunks_new   distinct chunks of B that A has, and lacks
  bytes_shared, bytes_new     their plain bytes
A file has path and size, a tensor has file, name, dtype, shape and bytes.`,
		Example: `  ingot diff acme/llama acme/llama:tuned`,
		Args:    want(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			a, err := parseRef(args[0])
			if err != nil {
				return err
			}
			b, err := parseRef(args[1])
			if err != nil {
				return err
			}
			return p.diff(cmd.Context(), a, b)
		},
	}
}

func (p *program) diff(ctx context.Context, a, b name.Ref) error {
	r, err := p.connect()
	if err != nil {
		return err
	}
	d, err := r.Diff(ctx, a, b)
	if err != nil {
		return err
	}
	if p.json {
		return p.printJSON(d)
	}
	p.printf("%s  %s  to  %s  %s\n\n", a, d.A.Short(), b, d.B.Short())
	summary := table{titles: []string{"", ">ADDED", ">REMOVED", ">CHANGED", ">SAME"}}
	summary.add("files", digits(len(d.Files.Added)), digits(len(d.Files.Removed)), digits(len(d.Files.Changed)), digits(d.Files.Same))
	summary.add("tensors", digits(len(d.Tensors.Added)), digits(len(d.Tensors.Removed)), digits(len(d.Tensors.Changed)), digits(d.Tensors.Same))
	summary.print(p.stdout)
	p.printf("\n%s of the second are new (%s), %d are shared (%s)\n", count(d.ChunksNew, "chunk"), size(d.BytesNew), d.ChunksShared, size(d.BytesShared))
	p.printDiffFiles(d.Files)
	p.printDiffTensors(d.Tensors)
	return nil
}

func (p *program) printDiffFiles(d openapi.DiffFiles) {
	t := table{titles: []string{"FILES", "", ">SIZE"}}
	for _, list := range []struct {
		what  string
		files []openapi.DiffFile
	}{{"added", d.Added}, {"removed", d.Removed}, {"changed", d.Changed}} {
		for _, f := range list.files {
			t.add(list.what, shown(f.Path), size(f.Size))
		}
	}
	p.printSection(t)
}

func (p *program) printDiffTensors(d openapi.DiffTensors) {
	t := table{titles: []string{"TENSORS", "", "TYPE", "SHAPE", ">SIZE"}}
	for _, list := range []struct {
		what    string
		tensors []openapi.DiffTensor
	}{{"added", d.Added}, {"removed", d.Removed}, {"changed", d.Changed}} {
		for _, tensor := range list.tensors {
			t.add(list.what, shown(tensor.Name), shown(tensor.DType), shape(tensor.Shape), size(tensor.Bytes))
		}
	}
	p.printSection(t)
}

// printSection prints a table that has rows, after an empty line.
func (p *program) printSection(t table) {
	if len(t.rows) > 0 {
		p.printf("\n")
		t.print(p.stdout)
	}
}
