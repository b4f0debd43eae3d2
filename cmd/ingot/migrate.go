package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/ingot-ml/ingot/registry"
)

func (p *program) migrateCommand() *cobra.Command {
	var c registry.MigrateConfig
	cmd := &cobra.Command{
		Use:        "migrate --from STORE --to STORE",
		SuggestFor: []string{"copy", "move", "backup", "restore"},
		Short:      "Copy a whole registry to another disk or store, or back",
		Long: `Migrate copies all versions, tags and pushes of a registry, byte for byte, and
compares what arrived. A STORE is the folder of a registry's data or a place in a
store, s3://BUCKET or s3://BUCKET/PREFIX; the destination has to be empty. So it moves
a registry from a disk to a store and back, and makes a backup and restores it.

The source is only read. Serve it with --read-only meanwhile, or not at all: when it
was written to, the migration ends with exit code 6 and says so. A folder that is
served for writing cannot be opened; a store can, and a first run while it is in use
leaves little for the last one to copy.

A migration that was interrupted is gone on with by the same command. Until it has
ended the destination is not served.

With --json it prints:
  from, to        the places
  blobs_copied, bytes_copied
                  what was copied, and compared
  blobs_found, bytes_found
                  what an earlier run had copied
  blobs_left_over what an earlier run had copied and the source has no longer: a
                  collection frees it
  registers       tags, versions and the like
  seconds         how long it took`,
		Example: `  ingot migrate --from /srv/ingot --to s3://models/ingot
  ingot migrate --from s3://models/ingot --to /backup/2027-01-31`,
		Args: want(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if c.From == "" || c.To == "" {
				return usagef("migrate: name the source with --from and the destination with --to")
			}
			return p.migrate(cmd.Context(), c)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&c.From, "from", "", "copy from this `STORE`: DIR, s3://BUCKET or s3://BUCKET/PREFIX")
	flags.StringVar(&c.To, "to", "", "copy to this `STORE`, which has to be empty")
	flags.StringSliceVar(&c.Buckets, "bucket", nil, "further `BUCKET` of the destination, for chunks; may be given again")
	return cmd
}

func (p *program) migrate(ctx context.Context, c registry.MigrateConfig) error {
	line := p.line("copying")
	c.Progress = func(at registry.MigrateProgress) { line.show(at.Phase, at.Done, 0) }
	got, err := registry.Migrate(ctx, c)
	line.clear()
	if err != nil {
		return err
	}
	if p.json {
		return p.printJSON(got)
	}
	p.printf("%s is copied to %s and compared\n", shown(got.From), shown(got.To))
	p.printf("%s blobs, %s, and %s registers, %s\n", thousands(got.BlobsCopied), size(got.BytesCopied), thousands(got.Registers), seconds(got.Seconds))
	if got.BlobsFound > 0 {
		p.printf("%s more blobs, %s, were there from an earlier run\n", thousands(got.BlobsFound), size(got.BytesFound))
	}
	if got.BlobsLeftOver > 0 {
		p.printf("%s blobs of an earlier run are not in the source any more; a collection frees them\n", thousands(got.BlobsLeftOver))
	}
	return nil
}
