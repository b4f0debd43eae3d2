package main

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/registry/name"
)

// defaultCacheSize holds a large model beside a few variants, and leaves room on
// the disk of a laptop.
const defaultCacheSize = 20 << 30

// pullFlags are what pull is told beside REF and DIR.
type pullFlags struct {
	cache   string
	signed  []string // files of public keys
	limit   bytesValue
	noCache bool
	noDelta bool
	sync    bool
	delete  bool
}

func (p *program) pullCommand() *cobra.Command {
	f := pullFlags{limit: defaultCacheSize}
	cmd := &cobra.Command{
		Use:        "pull REF DIR",
		SuggestFor: []string{"download", "get", "fetch", "clone"},
		Short:      "Make the files of a version in a folder, fetching only what is not here",
		Long: `Pull makes the files of a version in DIR. Chunks that DIR or the cache holds are
not fetched again; every chunk is compared with its name. Each file is replaced
at once or not at all, and files that are not part of the version stay unless
--delete is given. A pull that was interrupted goes on when it is run again.

What is nearly the same in another version that DIR, the cache, or a folder of an
earlier push or pull holds comes as the difference from that.

With --signed-by nothing is written unless the version has a signature by one of the
keys, see "ingot sign"; else it ends with exit code 10.

` + receiptHelp,
		Example: `  ingot pull acme/llama ./llama
  ingot pull acme/llama:tuned ./llama --delete
  ingot pull acme/llama:prod ./llama --signed-by release.key.pub`,
		ValidArgsFunction: arguments(p.aRef, aFolder),
		Args:              want(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			ref, err := parseRef(args[0])
			if err != nil {
				return swapped(cmd, args[0], args[1], err)
			}
			return p.pull(cmd.Context(), ref, args[1], f)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.cache, "cache", "", "`DIR` that keeps fetched chunks for later pulls (default ingot/chunks in the user's cache folder)")
	flags.Var(&f.limit, "cache-size", "the most bytes that the cache takes")
	flags.BoolVar(&f.noCache, "no-cache", false, "neither use nor fill the cache")
	flags.BoolVar(&f.noDelta, "no-delta", false, "do not remember, nor look, where files of other versions are")
	flags.StringArrayVar(&f.signed, "signed-by", nil, "pull only what one of the public keys in this `FILE` has signed; may be given more than once")
	flags.BoolVar(&f.sync, "sync", false, "return only when everything is on the disk")
	flags.BoolVar(&f.delete, "delete", false, "remove files of DIR that are not part of the version")
	return cmd
}

func (p *program) pull(ctx context.Context, ref name.Ref, dir string, f pullFlags) (err error) {
	r, err := p.connectLong(ctx)
	if err != nil {
		return err
	}
	o := client.PullOptions{Delete: f.delete, Sync: f.sync}
	if o.Check, err = signedBy(r, f.signed); err != nil {
		return err
	}
	if !f.noDelta {
		o.Places = p.places()
	}
	if o.Cache, err = p.openCache(f); err != nil {
		return err
	}
	if o.Cache != nil {
		defer func() {
			if cerr := o.Cache.Close(); err == nil && cerr != nil {
				err = fmt.Errorf("close the cache: %w", cerr)
			}
		}()
	}
	var got client.Receipt
	err = p.watch("pulling "+ref.String(), func(progress client.Progress) error {
		o.Progress = progress
		got, err = r.Pull(ctx, ref, dir, o)
		return err
	})
	if err != nil {
		return resumable(ctx, err)
	}
	return p.printPull(got, dir)
}

// openCache opens the chunk cache, or returns nil when none is wanted.
func (p *program) openCache(f pullFlags) (*client.Cache, error) {
	if f.noCache && f.cache != "" {
		return nil, usagef("--cache and --no-cache exclude each other")
	}
	if f.noCache {
		return nil, nil
	}
	dir := f.cache
	if dir == "" {
		below, err := p.cacheFolder()
		if err != nil {
			return nil, usagef("no folder for the cache: %v; name one with --cache, or give --no-cache", err)
		}
		dir = filepath.Join(below, "chunks")
	}
	cache, err := client.OpenCache(dir, int64(f.limit))
	if err != nil {
		return nil, advised{fmt.Errorf("%w; name another folder with --cache, or give --no-cache", err)}
	}
	return cache, nil
}

func (p *program) printPull(got client.Receipt, dir string) error {
	if p.json {
		return p.printJSON(got)
	}
	p.printf("pulled %s  %s  into %s\n", got.Ref, short(got.Digest), shown(dir))
	p.printf("%s in %s: received %s%s, found %s here, %s\n", size(got.BytesTotal), count(got.Files, "file"),
		size(got.BytesReceived), asDeltas(got.BytesReceivedDelta), size(got.BytesReused), seconds(got.Seconds))
	return nil
}
