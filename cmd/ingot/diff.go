package main

import (
	"cmp"
	"context"
	"slices"

	"github.com/spf13/cobra"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/manifest"
	"github.com/ingot-ml/ingot/registry/name"
)

// difference is the JSON document of diff: what the registry says, and how many
// bytes of each file and tensor are new.
type difference struct {
	openapi.Diff
	Files   changes[changedFile]   `json:"files"`
	Tensors changes[changedTensor] `json:"tensors"`
}

// changes are files or tensors by what became of them.
type changes[T any] struct {
	Added   []T `json:"added"`
	Removed []T `json:"removed"`
	Changed []T `json:"changed"`
	Same    int `json:"same"`
}

// changedFile is a file of a difference.
type changedFile struct {
	openapi.DiffFile
	New int64 `json:"bytes_new"`
}

// changedTensor is a tensor of a difference.
type changedTensor struct {
	openapi.DiffTensor
	New int64 `json:"bytes_new"`
}

func (p *program) diffCommand() *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:   "diff A B",
		Short: "Say which files and tensors of version B differ from version A",
		Long: `Diff compares two versions by their manifests, without reading weights: what is
called the same is the same, while a small tensor may be called changed because
one that shares its chunk has changed. New are the bytes that lie in chunks which
A does not have. What has the most of them comes first, and long lists are cut
short unless --all is given.

With --json it prints:
  a, b                        digests of the versions
  files, tensors              added, removed, changed (lists) and same (a number)
  chunks_shared, chunks_new   distinct chunks of B that A has, and lacks
  bytes_shared, bytes_new     their plain bytes
A file has path, size and bytes_new, a tensor has file, name, dtype, shape, bytes
and bytes_new.`,
		Example:           `  ingot diff acme/llama acme/llama:tuned`,
		ValidArgsFunction: arguments(p.aRef, p.aRef),
		Args:              want(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			a, err := parseRef(args[0])
			if err != nil {
				return err
			}
			b, err := parseRef(args[1])
			if err != nil {
				return err
			}
			return p.diff(cmd.Context(), a, b, all)
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "list every file and tensor")
	return cmd
}

func (p *program) diff(ctx context.Context, a, b name.Ref, all bool) error {
	r, err := p.connect()
	if err != nil {
		return err
	}
	d, err := r.Diff(ctx, a, b)
	if err != nil {
		return err
	}
	old, _, err := r.Manifest(ctx, name.Ref{Repo: a.Repo, Digest: d.A})
	if err != nil {
		return err
	}
	now, _, err := r.Manifest(ctx, name.Ref{Repo: b.Repo, Digest: d.B})
	if err != nil {
		return err
	}
	doc := weigh(d, old, now)
	if p.json {
		return p.printJSON(doc)
	}
	p.printf("%s  %s  to  %s  %s\n", a, d.A.Short(), b, d.B.Short())
	p.printDiff(doc, all)
	return nil
}

// weigh says how many bytes of everything in d are new.
func weigh(d openapi.Diff, a, b *manifest.Manifest) difference {
	n := findNews(a, b)
	file := func(f openapi.DiffFile) changedFile { return changedFile{f, n.file(f.Path)} }
	tensor := func(t openapi.DiffTensor) changedTensor { return changedTensor{t, n.tensor(t.File, t.Name)} }
	oldFile := func(f openapi.DiffFile) changedFile { return changedFile{f, 0} }
	oldTensor := func(t openapi.DiffTensor) changedTensor { return changedTensor{t, 0} }
	return difference{
		Diff: d,
		Files: changes[changedFile]{
			each(d.Files.Added, file), each(d.Files.Removed, oldFile), each(d.Files.Changed, file), d.Files.Same,
		},
		Tensors: changes[changedTensor]{
			each(d.Tensors.Added, tensor), each(d.Tensors.Removed, oldTensor), each(d.Tensors.Changed, tensor), d.Tensors.Same,
		},
	}
}

// each returns what to makes of every entry.
func each[A, B any](list []A, to func(A) B) []B {
	made := make([]B, len(list))
	for i, entry := range list {
		made[i] = to(entry)
	}
	return made
}

func (p *program) printDiff(d difference, all bool) {
	p.printf("new      %s in %s, %s of the second\n", size(d.BytesNew), count(d.ChunksNew, "chunk"), percent(d.BytesNew, d.BytesNew+d.BytesShared))
	p.printf("shared   %s in %s\n\n", size(d.BytesShared), count(d.ChunksShared, "chunk"))
	summary := table{titles: []string{"", ">ADDED", ">REMOVED", ">CHANGED", ">SAME"}}
	summary.add("files", digits(len(d.Files.Added)), digits(len(d.Files.Removed)), digits(len(d.Files.Changed)), digits(d.Files.Same))
	summary.add("tensors", digits(len(d.Tensors.Added)), digits(len(d.Tensors.Removed)), digits(len(d.Tensors.Changed)), digits(d.Tensors.Same))
	summary.print(p.stdout)
	p.printChanges([]string{"FILE"}, rows(d.Files, func(f changedFile) row {
		return row{cells: []string{shown(f.Path)}, size: f.Size, fresh: f.New}
	}), all)
	p.printChanges([]string{"TENSOR", "TYPE", "SHAPE"}, rows(d.Tensors, func(t changedTensor) row {
		return row{cells: []string{shown(t.Name), shown(t.DType), shape(t.Shape)}, size: t.Bytes, fresh: t.New}
	}), all)
}

// row is a changed file or tensor in a table.
type row struct {
	cells       []string
	what        string
	size, fresh int64
}

// rows lists changes, those with the most new bytes first.
func rows[T any](c changes[T], to func(T) row) []row {
	var list []row
	for _, part := range []struct {
		what    string
		entries []T
	}{{"added", c.Added}, {"removed", c.Removed}, {"changed", c.Changed}} {
		for _, entry := range part.entries {
			r := to(entry)
			r.what = part.what
			list = append(list, r)
		}
	}
	slices.SortStableFunc(list, func(a, b row) int {
		return cmp.Or(cmp.Compare(b.fresh, a.fresh), cmp.Compare(b.size, a.size))
	})
	return list
}

func (p *program) printChanges(titles []string, list []row, all bool) {
	t := table{titles: append(append([]string{""}, titles...), ">SIZE", ">NEW", ">OF IT")}
	var rest int64
	for i, r := range list {
		fresh, share := size(r.fresh), percent(r.fresh, r.size)
		if r.what == "removed" {
			fresh, share = "-", "-"
		}
		t.add(append(append([]string{r.what}, r.cells...), size(r.size), fresh, share)...)
		if i >= longList {
			rest += r.fresh
		}
	}
	p.printLong(t, all, ", "+size(rest)+" new")
}
