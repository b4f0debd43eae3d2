package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/registry/name"
)

func (p *program) verifyCommand() *cobra.Command {
	var all, shallow bool
	cmd := &cobra.Command{
		Use:        "verify REF [DIR] | --all",
		SuggestFor: []string{"check"},
		Short:      "Compare every byte of a version, of a folder, or of all that a registry keeps",
		Long: `Verify reads every chunk of a version from the registry and compares it with its
name. With DIR it compares the files of that folder with the version instead, and
changes nothing. Bad chunks and differing or missing files are exit code 5; other
files in DIR are listed and no failure.

With --all the registry reads everything that it keeps, from the chunks up, where it
lies. What is bad or missing is told with the versions that need it; where there are
any, that is exit code 5. It is taken out of use, so that the next push of the same
bytes stores them again, and replaced where another version has them. What is not the registry's, and what the
store has been told that endangers what is, is listed too. With --shallow nothing is
read: objects only have to be there, and as long as they should be.

With --json it prints:
  ref, digest     what was verified
  chunks, bytes   distinct chunks that were read, and their plain bytes
  bytes_received  encoded bytes that came over the wire
  bad, first_bad  how many chunks are bad, and the first of them
  seconds         how long it took
and with DIR:
  ref, digest     what DIR was compared with
  files, bytes    files that are equal, and the bytes that were compared
  missing, differing, extra
                  paths, relative to DIR
  seconds         how long it took
and with --all:
  versions, chunks, objects, bytes
                  what was looked at, and compared
  bad, missing    objects that are not what they should be, or not there; of each:
                  object, digest, reason, versions
  foreign         what is not the registry's, and what endangers what is
  healed          how many of the bad and missing ones were replaced
  seconds         how long it took`,
		Example: `  ingot verify acme/llama
  ingot verify acme/llama ./llama
  ingot verify --all`,
		ValidArgsFunction: arguments(p.aRef, aFolder),
		Args: func(cmd *cobra.Command, args []string) error {
			switch {
			case all:
				return want(0, 0)(cmd, args)
			case shallow:
				return usagef("verify: --shallow is for --all: a version is always read")
			}
			return want(1, 2)(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if all {
				r, err := p.connectLong(cmd.Context())
				if err != nil {
					return err
				}
				return p.verifyAll(cmd.Context(), r, !shallow)
			}
			ref, err := parseRef(args[0])
			if err != nil {
				return err
			}
			r, err := p.connectLong(cmd.Context())
			if err != nil {
				return err
			}
			if len(args) == 2 {
				return p.verifyFolder(cmd.Context(), r, ref, args[1])
			}
			return p.verify(cmd.Context(), r, ref)
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "have the registry compare everything that it keeps")
	cmd.Flags().BoolVar(&shallow, "shallow", false, "with --all, only look whether everything is there")
	return cmd
}

func (p *program) verify(ctx context.Context, r *client.Registry, ref name.Ref) error {
	var got client.VerifyReceipt
	failed := p.watch("verifying "+ref.String(), func(progress client.Progress) (err error) {
		got, err = r.Verify(ctx, ref, client.VerifyOptions{Progress: progress})
		return err
	})
	if failed != nil && got.Bad == 0 {
		return failed
	}
	if p.json {
		if err := p.printJSON(got); err != nil {
			return err
		}
		return failed
	}
	for _, bad := range got.First {
		p.printf("bad chunk %s in %s: %s\n", short(bad.Digest), shownList(bad.Files), oneLine(bad.Problem))
	}
	if failed == nil {
		p.printf("verified %s  %s\n", got.Ref, short(got.Digest))
		p.printf("%s, %s, all what their names say, %s\n", count(got.Chunks, "chunk"), size(got.Bytes), seconds(got.Seconds))
	}
	return failed
}

func (p *program) verifyFolder(ctx context.Context, r *client.Registry, ref name.Ref, dir string) error {
	var got client.FolderReceipt
	err := p.watch("comparing "+ref.String(), func(progress client.Progress) (err error) {
		got, err = r.VerifyDir(ctx, ref, dir, client.VerifyOptions{Progress: progress})
		return err
	})
	if err != nil {
		return err
	}
	if err := p.printFolder(got, dir); err != nil {
		return err
	}
	if len(got.Missing)+len(got.Differing) > 0 {
		return fmt.Errorf("%s: %d missing and %d differing of the files of %s; \"ingot pull %s %s\" repairs them: %w",
			dir, len(got.Missing), len(got.Differing), ref, ref, dir, client.ErrCorrupt)
	}
	return nil
}

func (p *program) printFolder(got client.FolderReceipt, dir string) error {
	if p.json {
		return p.printJSON(got)
	}
	for _, list := range []struct {
		what  string
		paths []string
	}{{"missing", got.Missing}, {"differs", got.Differing}, {"extra", got.Extra}} {
		for _, path := range list.paths {
			p.printf("%-8s %s\n", list.what, shown(path))
		}
	}
	p.printf("%s of %s equal to %s  %s: %s, %s\n", count(got.Files, "file"), shown(dir), got.Ref, short(got.Digest), size(got.Bytes), seconds(got.Seconds))
	return nil
}

// shownList spells paths that came from a manifest.
func shownList(paths []string) string {
	list := make([]string, len(paths))
	for i, path := range paths {
		list[i] = shown(path)
	}
	return strings.Join(list, ", ")
}
