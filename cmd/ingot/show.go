package main

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/manifest"
	"github.com/ingot-ml/ingot/registry/name"
)

// description is the JSON document of show.
type description struct {
	Ref string `json:"ref"`
	manifest.View
	origin
	Sharing   sharing            `json:"sharing"`
	Encodings *openapi.Encodings `json:"encodings,omitempty"`
}

// showFlags are what show is told beside the REF.
type showFlags struct{ tensors, all bool }

func (p *program) showCommand() *cobra.Command {
	var f showFlags
	cmd := &cobra.Command{
		Use:        "show REF",
		SuggestFor: []string{"info", "describe"},
		Short:      "Describe a version: files, tensors, and what it shares with others",
		Long: `Show describes a version: who has pushed and signed it, its files, how many tensors of which type, how many of its
chunks are stored whole and how many as deltas, of an anchor or of what is a delta of
one itself, and how many of its chunks the parent and the other versions of the
repository, the newest first, have as well. Long lists are cut short unless --all is
given.

With --json it prints:
  ref, digest, parent, content_root, annotations
  pushed_by, pushed_at        who has pushed it, as the registry knows, and when
  signatures                  what is kept as signatures of it, which nobody has verified
                              here: id; key, the name of the key; created, by, when it
                              came and who brought it
  size, chunks, chunk_bytes   plain bytes of all files; distinct chunks, and their
                              plain bytes
  files                       path, size, format, chunks, and tensors (name, dtype,
                              shape, offset, length) of each
  sharing                     parent and others: versions that were compared,
                              chunks_shared, bytes_shared; versions is how many
                              others the repository has; by_version is a list of
                              those that were compared: digest, tags, created,
                              chunks_shared, bytes_shared
  encodings                   whole, middle, step: chunks and encoded bytes of its
                              chunks by how many others they need; anchors, middles:
                              what those need; shared, added: what the parent needs
                              too, and does not; bytes_plain`,
		Example: `  ingot show acme/llama
  ingot show acme/llama --tensors`,
		ValidArgsFunction: arguments(p.aRef),
		Args:              want(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ref, err := parseRef(args[0])
			if err != nil {
				return err
			}
			return p.show(cmd.Context(), ref, f)
		},
	}
	cmd.Flags().BoolVar(&f.tensors, "tensors", false, "list every tensor")
	cmd.Flags().BoolVar(&f.all, "all", false, "list every file and version")
	return cmd
}

func (p *program) show(ctx context.Context, ref name.Ref, f showFlags) error {
	r, err := p.connect()
	if err != nil {
		return err
	}
	m, digest, err := r.Manifest(ctx, ref)
	if err != nil {
		return err
	}
	shared, err := compareOthers(ctx, r, ref.Repo, digest, m)
	if err != nil {
		return err
	}
	view, err := m.View()
	if err != nil {
		return err
	}
	from, err := originOf(ctx, r, ref.Repo, shared.own)
	if err != nil {
		return err
	}
	encodings, err := encodingsOf(ctx, r, name.Ref{Repo: ref.Repo, Digest: digest})
	if err != nil {
		return err
	}
	if p.json {
		return p.printJSON(description{ref.String(), view, from, shared, encodings})
	}
	p.printVersion(ref, view, shared)
	p.printOrigin(from)
	p.printEncodings(encodings)
	p.printFiles(view.Files, f.all)
	if f.tensors {
		p.printTensors(view.Files)
	} else {
		p.printTypes(view.Files)
	}
	p.printSharing(shared, view, f.all)
	return nil
}

func (p *program) printVersion(ref name.Ref, v manifest.View, s sharing) {
	p.printf("%s\n", ref)
	p.printf("digest   %s\n", v.Digest)
	if v.Parent != "" {
		p.printf("parent   %s: shares %s of %s\n", short(v.Parent), s.Parent, count(v.Chunks, "chunk"))
	}
	switch compared := s.Others.Compared; {
	case s.Versions == 0:
	case compared < s.Versions:
		p.printf("others   the newest %d of %d versions: share %s of %s\n", compared, s.Versions, s.Others, count(v.Chunks, "chunk"))
	default:
		p.printf("others   %s: share %s of %s\n", count(compared, "version"), s.Others, count(v.Chunks, "chunk"))
	}
	p.printf("size     %s in %s, %s\n", size(v.Size), count(len(v.Files), "file"), count(v.Chunks, "distinct chunk"))
	for _, key := range slices.Sorted(maps.Keys(v.Annotations)) {
		p.printf("         %s = %s\n", shown(key), shown(v.Annotations[key]))
	}
}

func (p *program) printFiles(files []manifest.FileView, all bool) {
	t := table{titles: []string{"FILE", ">SIZE", "FORMAT", ">TENSORS", ">CHUNKS"}}
	for _, f := range files {
		t.add(shown(f.Path), size(f.Size), f.Format, digits(len(f.Tensors)), digits(f.Chunks))
	}
	p.printLong(t, all, "")
}

func (p *program) printTensors(files []manifest.FileView) {
	t := table{titles: []string{"TENSOR", "TYPE", "SHAPE", ">SIZE", "FILE"}}
	for _, f := range files {
		for _, tensor := range f.Tensors {
			t.add(shown(tensor.Name), shown(tensor.DType), shape(tensor.Shape), size(tensor.Length), shown(f.Path))
		}
	}
	p.printSection(t)
}

// printTypes sums the tensors up by element type, the most bytes first.
func (p *program) printTypes(files []manifest.FileView) {
	type sum struct {
		dtype   string
		tensors int
		bytes   uint64
	}
	sums := map[string]sum{}
	for _, f := range files {
		for _, tensor := range f.Tensors {
			s := sums[tensor.DType]
			sums[tensor.DType] = sum{tensor.DType, s.tensors + 1, s.bytes + tensor.Length}
		}
	}
	t := table{titles: []string{"TYPE", ">TENSORS", ">SIZE"}}
	byBytes := func(a, b sum) int {
		return cmp.Or(cmp.Compare(b.bytes, a.bytes), cmp.Compare(a.dtype, b.dtype))
	}
	for _, s := range slices.SortedFunc(maps.Values(sums), byBytes) {
		t.add(shown(s.dtype), digits(s.tensors), size(s.bytes))
	}
	p.printSection(t)
}
