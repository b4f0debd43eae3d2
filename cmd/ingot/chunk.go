package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/codec"
	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/openapi"
)

// dump is the JSON document of chunk dump.
type dump struct {
	From    string      `json:"from"`
	Layout  string      `json:"layout"`
	Plain   int         `json:"bytes"`
	Encoded int         `json:"bytes_encoded"`
	Base    string      `json:"base,omitempty"`
	Planes  []dumpPlane `json:"planes"`
	Digest  string      `json:"digest,omitempty"`
	Problem string      `json:"problem,omitempty"`
}

// dumpPlane is one plane of an encoded chunk.
type dumpPlane struct {
	Mode    string `json:"mode"`
	Plain   int    `json:"bytes"`
	Encoded int    `json:"bytes_encoded"`
}

func (p *program) chunkCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "chunk",
		Short: "Look at one chunk as it is stored",
		Long: `Chunk looks at one chunk as the store and the wire have it: encoded. "ingot
inspect --chunks" lists those of files.`,
		Args: unknownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(p.chunkDumpCommand())
	return cmd
}

// dumpFlags say where the bytes go. "-" is standard output.
type dumpFlags struct{ plain, encoded string }

func (p *program) chunkDumpCommand() *cobra.Command {
	var f dumpFlags
	cmd := &cobra.Command{
		Use:   "dump FILE | REF INDEX",
		Short: "Say how a chunk is encoded, and whether it is sound",
		Long: `Dump reads an encoded chunk and says how it is laid out and whether it is sound:
from FILE, or the chunk with that INDEX, from 0 on, in the list of the version
that REF names. It is exit code 5 when the chunk is damaged.

With --plain or --encoded it also writes the bytes to a file, or to standard
output instead of the report.

With --json it prints:
  from           where the chunk came from
  layout         how its numbers are split into planes
  bytes          plain
  bytes_encoded  all of the chunk, headers included
  base           digest of the chunk that this one is a difference from
  planes         mode, bytes, bytes_encoded of each, the lowest byte first
  digest         BLAKE3 of the plain bytes
  problem        what is wrong with it, if something is`,
		Example: `  ingot chunk dump acme/llama 0
  ingot chunk dump acme/llama 0 --encoded first.chunk
  ingot chunk dump first.chunk`,
		ValidArgsFunction: arguments(p.aRefOrFile),
		Args:              want(1, 2),
		RunE:              func(cmd *cobra.Command, args []string) error { return p.dump(cmd.Context(), args, f) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.plain, "plain", "", "write the plain bytes to `FILE`, or to standard output for -")
	flags.StringVar(&f.encoded, "encoded", "", "write the encoded bytes to `FILE`, or to standard output for -")
	return cmd
}

// found is an encoded chunk and what is known of it beside its bytes.
type found struct {
	from   string
	enc    []byte
	digest chunker.Digest // that a version gives it; zero when none does
}

func (p *program) dump(ctx context.Context, args []string, f dumpFlags) error {
	if err := p.checkOutputs(f); err != nil {
		return err
	}
	chunk, err := p.findChunk(ctx, args)
	if err != nil {
		return err
	}
	d, plain, bad := describe(chunk)
	if f.plain != "-" && f.encoded != "-" {
		if err := p.printDump(d); err != nil {
			return err
		}
	}
	// Damaged bytes are worth having, too.
	if err := p.save(f.encoded, chunk.enc); err != nil {
		return err
	}
	if bad != nil {
		return bad
	}
	return p.save(f.plain, plain)
}

// checkOutputs refuses to write chunks where they would do harm.
func (p *program) checkOutputs(f dumpFlags) error {
	if f.plain != "-" && f.encoded != "-" {
		return nil
	}
	if f.plain == f.encoded {
		return usagef("dump: only one of --plain and --encoded can be standard output")
	}
	if a, ok := p.stdout.(*answer); ok && terminal(a.Writer) {
		return usagef("dump: a terminal cannot show the bytes of a chunk: name a file, or pipe them on")
	}
	return nil
}

// findChunk reads a chunk from a file or a registry.
func (p *program) findChunk(ctx context.Context, args []string) (found, error) {
	if len(args) == 1 {
		return readChunk(args[0])
	}
	ref, err := parseRef(args[0])
	if err != nil {
		return found{}, err
	}
	index, err := strconv.ParseUint(args[1], 10, 32)
	if err != nil {
		return found{}, usagef("dump: INDEX %.40q: want a number from 0 on", args[1])
	}
	r, err := p.connect()
	if err != nil {
		return found{}, err
	}
	m, digest, err := r.Manifest(ctx, ref)
	if err != nil {
		return found{}, err
	}
	if index >= uint64(len(m.Chunks)) {
		return found{}, openapi.Errorf(openapi.CodeNotFound, "%s has %s: INDEX is from 0 to %d", ref, count(len(m.Chunks), "chunk"), len(m.Chunks)-1)
	}
	enc, err := r.Chunk(ctx, ref.Repo, digest, uint32(index))
	return found{fmt.Sprintf("%s, chunk %d", ref, index), enc, m.Chunks[index].Digest}, err
}

// readChunk reads a chunk from a file. What starts like something else is refused
// as input, before it is called damaged.
func readChunk(path string) (found, error) {
	file, err := os.Open(path)
	if err != nil {
		return found{}, inputf("dump: %v", err)
	}
	most := codec.MaxEncoded(chunker.MaxSize)
	enc, err := io.ReadAll(io.LimitReader(file, int64(most)+1))
	if err = errors.Join(err, file.Close()); err != nil {
		return found{}, inputf("dump: %v", err)
	}
	if _, err := codec.PlainLen(enc[:min(len(enc), codec.HeaderLen)]); len(enc) > most || errors.Is(err, codec.ErrCorrupt) {
		return found{}, inputf("dump: %s is not an encoded chunk: \"ingot chunk dump REF INDEX\" gets one from the registry, \"ingot inspect\" looks into models", path)
	}
	return found{from: path, enc: enc}, nil
}

// describe takes a chunk apart. The error says what is wrong with it; the
// description is as good as the bytes let it be.
func describe(chunk found) (d dump, plain []byte, err error) {
	d = dump{From: chunk.from, Encoded: len(chunk.enc), Planes: []dumpPlane{}}
	if info, ierr := codec.Inspect(chunk.enc); ierr == nil {
		d.Layout, d.Plain = layoutName(info.Layout), info.RawLen
		if info.Delta {
			d.Base = info.Base.String()
		}
		for _, plane := range info.Planes {
			d.Planes = append(d.Planes, dumpPlane{modeName(plane.Mode), info.RawLen / len(info.Planes), plane.EncLen})
		}
	}
	plain, err = codec.Decode(nil, chunk.enc)
	if err == nil {
		digest := chunker.Sum(plain)
		d.Digest = digest.String()
		if !chunk.digest.IsZero() && digest != chunk.digest {
			err = fmt.Errorf("its bytes are those of %s, want %s: %w", digest.Short(), chunk.digest.Short(), client.ErrCorrupt)
		}
	}
	if err != nil {
		d.Problem = oneLine(err.Error())
		err = fmt.Errorf("%s: %w", chunk.from, err)
	}
	return d, plain, err
}

func (p *program) printDump(d dump) error {
	if p.json {
		return p.printJSON(d)
	}
	p.printf("%s\n", shown(d.From))
	p.printf("layout   %s\n", cmp.Or(d.Layout, "unknown"))
	if d.Plain > 0 {
		p.printf("plain    %s\n", exactly(d.Plain))
	}
	p.printf("encoded  %s, %s of plain\n", exactly(d.Encoded), percent(int64(d.Encoded), int64(d.Plain)))
	if d.Base != "" {
		p.printf("base     %s\n", d.Base)
	}
	p.printf("digest   %s\n", cmp.Or(d.Digest, "unknown"))
	p.printf("state    %s\n", cmp.Or(d.Problem, "sound: checksum and planes are right"))
	t := table{titles: []string{">PLANE", "MODE", ">PLAIN", ">ENCODED", ">RATIO"}}
	for i, plane := range d.Planes {
		t.add(digits(i), plane.Mode, digits(plane.Plain), digits(plane.Encoded), percent(int64(plane.Encoded), int64(plane.Plain)))
	}
	p.printSection(t)
	return nil
}

// save writes bytes where a flag says; nowhere when it is not given.
func (p *program) save(where string, b []byte) error {
	switch where {
	case "":
		return nil
	case "-":
		_, err := p.stdout.Write(b)
		return err
	}
	if err := os.WriteFile(where, b, 0o666); err != nil {
		return fmt.Errorf("dump: %w", err)
	}
	return nil
}
