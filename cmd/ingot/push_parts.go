package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/registry/manifest"
	"github.com/ingot-ml/ingot/registry/name"
)

// partsHelp explains how several processes push one version.
const partsHelp = `Several processes, on one machine or many, can push one version together:
  ingot push --begin REF                      prints the ID of a push
  ingot push PATH REF --part-of ID --fragment FILE
                                              each: stores its files, writes FILE
  ingot push --commit ID REF --fragment FILE  one: makes a version of all fragments
A push that begins and is never committed goes by itself.`

// partFlags are what push is told when a version comes in parts.
type partFlags struct {
	begin     bool
	partOf    string
	commit    string
	fragments []string
}

// begun is the JSON document of push --begin.
type begun struct {
	Push string `json:"push"`
	Ref  string `json:"ref"`
}

// check judges the flags together, and the number of arguments.
func (f *partFlags) check(args int, usage string) error {
	ways := 0
	for _, given := range []bool{f.begin, f.partOf != "", f.commit != ""} {
		if given {
			ways++
		}
	}
	wanted := 2
	if f.begin || f.commit != "" {
		wanted = 1
	}
	switch {
	case ways > 1:
		return usagef("push: --begin, --part-of and --commit exclude each other")
	case args != wanted:
		return usagef("push: %s; usage: %s", count(args, "argument"), usage)
	case f.partOf != "" && len(f.fragments) != 1:
		return usagef("push: --part-of wants one --fragment, the file to write")
	case f.commit != "" && len(f.fragments) == 0:
		return usagef("push: --commit wants the --fragment of every part")
	case f.partOf == "" && f.commit == "" && len(f.fragments) > 0:
		return usagef("push: --fragment goes with --part-of or --commit")
	}
	return nil
}

// beginParts starts a push of parts.
func (p *program) beginParts(ctx context.Context, ref name.Ref) error {
	r, err := p.connectLong(ctx)
	if err != nil {
		return err
	}
	id, err := r.StartPush(ctx, ref.Repo)
	if err != nil {
		return err
	}
	if p.json {
		return p.printJSON(begun{id, ref.String()})
	}
	p.printf("%s\n", id)
	return nil
}

// pushPart stores one part, and writes its fragment.
func (p *program) pushPart(ctx context.Context, r *client.Registry, path string, ref name.Ref, f partFlags, o client.PushOptions) error {
	var fragment []byte
	var got client.Receipt
	err := p.watch("pushing a part of "+ref.String(), func(progress client.Progress) (err error) {
		o.Progress = progress
		fragment, got, err = r.UploadPart(ctx, f.partOf, path, ref, o)
		return err
	})
	if err != nil {
		return err
	}
	if err := os.WriteFile(f.fragments[0], fragment, 0o666); err != nil {
		return fmt.Errorf("write the fragment: %w", err)
	}
	return p.printPush(got)
}

// commitParts makes a version of the parts.
func (p *program) commitParts(ctx context.Context, r *client.Registry, ref name.Ref, f partFlags, o client.PushOptions) error {
	fragments := make([][]byte, len(f.fragments))
	for i, path := range f.fragments {
		var err error
		if fragments[i], err = readFragment(path); err != nil {
			return err
		}
	}
	got, err := r.CommitParts(ctx, f.commit, ref, fragments, o)
	if err != nil {
		return err
	}
	return p.printPush(got)
}

// readFragment reads a fragment, which is no longer than a manifest.
func readFragment(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read the fragment: %w: %w", err, client.ErrInput)
	}
	defer func() { _ = file.Close() }() // it is only read
	b, err := io.ReadAll(io.LimitReader(file, manifest.MaxSize+1))
	if err == nil && len(b) > manifest.MaxSize {
		err = inputf("%s is longer than any fragment", path)
	}
	if err != nil {
		return nil, fmt.Errorf("read the fragment: %w", err)
	}
	return b, nil
}
