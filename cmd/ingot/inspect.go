package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/registry/manifest"
)

// inspection is the JSON document of inspect.
type inspection struct {
	Size       int64           `json:"size"`
	Chunks     int             `json:"chunks"`          // of all files, repeats counted
	Distinct   int             `json:"chunks_distinct"` // of all files
	ChunkBytes int64           `json:"chunk_bytes"`     // plain bytes of the distinct ones
	Encoded    int64           `json:"bytes_encoded,omitempty"`
	Types      []typeSum       `json:"types"`
	Files      []inspectedFile `json:"files"`
}

// typeSum is what the distinct chunks of one element type come to.
type typeSum struct {
	Type    string `json:"type"`
	Chunks  int    `json:"chunks"`
	Bytes   int64  `json:"chunk_bytes"`
	Encoded int64  `json:"bytes_encoded,omitempty"`
}

// inspectedFile is a file as a manifest would have it.
type inspectedFile struct {
	manifest.FileView
	Cuts []inspectedChunk `json:"cuts,omitempty"`
}

// inspectedChunk is a chunk in its file.
type inspectedChunk struct {
	Offset int64  `json:"offset"`
	Length int    `json:"length"`
	Type   string `json:"type"`
	Digest string `json:"digest"`
}

// inspectFlags are what inspect is told beside the files.
type inspectFlags struct{ tensors, chunks, encode, all bool }

func (p *program) inspectCommand() *cobra.Command {
	var f inspectFlags
	cmd := &cobra.Command{
		Use:   "inspect PATH...",
		Short: "Look into files or folders as a push would, without a registry",
		Long: `Inspect reads files and folders as a push does and says what it finds: formats,
tensors, and the chunks that would be stored. It needs no registry and changes
nothing. With --encode it also encodes every distinct chunk, to say what the
store would take; that costs the time of a push.

With --json it prints:
  size                 plain bytes of all files
  chunks               of all files, repeats counted
  chunks_distinct, chunk_bytes
                       the distinct ones, and their plain bytes
  bytes_encoded        with --encode, what they take encoded
  types                for each type of element in the distinct chunks: type,
                       chunks, chunk_bytes, bytes_encoded
  files                path, size, format, chunks, and tensors (name, dtype, shape,
                       offset, length) of each; with --chunks also
                       cuts (offset, length, type, digest)`,
		Example: `  ingot inspect model.safetensors --tensors
  ingot inspect ./llama --encode`,
		ValidArgsFunction: aFile,
		Args:              want(1, maxPaths),
		RunE:              func(cmd *cobra.Command, args []string) error { return p.inspect(cmd.Context(), args, f) },
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.tensors, "tensors", false, "list every tensor")
	flags.BoolVar(&f.chunks, "chunks", false, "list every chunk")
	flags.BoolVar(&f.all, "all", false, "list every file")
	flags.BoolVar(&f.encode, "encode", false, "say what the chunks take when they are encoded")
	return cmd
}

// maxPaths is more arguments than a shell passes.
const maxPaths = 1 << 30

func (p *program) inspect(ctx context.Context, paths []string, f inspectFlags) error {
	var files []*client.LocalFile
	for _, path := range paths {
		found, err := client.Look(path)
		if err != nil {
			return err
		}
		files = append(files, found...)
	}
	var doc inspection
	err := p.watch("inspecting", func(progress client.Progress) (err error) {
		doc, err = inspectFiles(ctx, files, f, progress)
		return err
	})
	if err != nil {
		return err
	}
	if p.json {
		return p.printJSON(doc)
	}
	p.printInspection(doc, f)
	return nil
}

func (p *program) printInspection(d inspection, f inspectFlags) {
	views := make([]manifest.FileView, len(d.Files))
	tensors := 0
	for i := range d.Files {
		views[i] = d.Files[i].FileView
		tensors += len(views[i].Tensors)
	}
	p.printf("size     %s in %s, %s\n", size(d.Size), count(len(views), "file"), count(tensors, "tensor"))
	p.printf("chunks   %d, of which %d distinct: %s, %s of the size\n", d.Chunks, d.Distinct, size(d.ChunkBytes), percent(d.ChunkBytes, d.Size))
	if f.encode {
		p.printf("encoded  %s, %s of the size\n", size(d.Encoded), percent(d.Encoded, d.Size))
	}
	p.printFiles(views, f.all)
	if f.tensors {
		p.printTensors(views)
	} else {
		p.printTypes(views)
	}
	p.printTypeSums(d.Types, f.encode)
	if f.chunks {
		p.printCuts(d.Files)
	}
}

// printTypeSums says what the distinct chunks hold, and what they take encoded.
func (p *program) printTypeSums(sums []typeSum, encoded bool) {
	t := table{titles: []string{"CHUNKS OF", ">CHUNKS", ">SIZE"}}
	if encoded {
		t.titles = append(t.titles, ">ENCODED", ">RATIO")
	}
	for _, s := range sums {
		t.add(s.Type, digits(s.Chunks), size(s.Bytes), size(s.Encoded), percent(s.Encoded, s.Bytes))
	}
	p.printSection(t)
}

func (p *program) printCuts(files []inspectedFile) {
	t := table{titles: []string{">OFFSET", ">LENGTH", "TYPE", "DIGEST", "FILE"}}
	for _, f := range files {
		for _, c := range f.Cuts {
			t.add(digits(int(c.Offset)), digits(c.Length), c.Type, c.Digest, shown(f.Path))
		}
	}
	p.printSection(t)
}

// view describes a file as a manifest does.
func view(f *client.LocalFile) manifest.FileView {
	v := manifest.FileView{Path: f.Path, Size: uint64(f.Size), Format: f.Format, Tensors: []manifest.TensorView{}}
	for _, t := range f.Tensors {
		dims := t.Shape
		if dims == nil {
			dims = []uint64{}
		}
		v.Tensors = append(v.Tensors, manifest.TensorView{
			Name: t.Name, DType: t.DType, Shape: dims, Offset: uint64(t.Offset), Length: uint64(t.Length),
		})
	}
	return v
}
