package registry

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/ingot-ml/ingot/registry/internal/blobs/fs"
	"github.com/ingot-ml/ingot/registry/internal/bolt"
	"github.com/ingot-ml/ingot/registry/internal/migrate"
	"github.com/ingot-ml/ingot/registry/internal/s3"
)

// Errors of a migration.
var (
	// ErrMigrating reports a registry that a migration has not finished to fill: it
	// is not served.
	ErrMigrating = migrate.ErrUnderWay
	// ErrDestination reports a destination that holds something else.
	ErrDestination = migrate.ErrTaken
	// ErrSourceWritten reports a source that was written to during its migration.
	ErrSourceWritten = migrate.ErrWritten
	// ErrCopyDiffers reports a destination that has other bytes than the source.
	ErrCopyDiffers = migrate.ErrDiffers
)

// MigrateConfig says what is copied where. From and To are a data directory or
// s3://BUCKET[/PREFIX].
type MigrateConfig struct {
	From, To string
	// Buckets are further buckets of To, for blobs. Those of From are known there.
	Buckets  []string
	Progress func(MigrateProgress) // may be nil; calls do not overlap
}

// MigrateProgress says how far a migration is: with how many blobs or registers of
// its phase.
type MigrateProgress struct {
	Phase string
	Done  int64
}

// Migration is what a migration did.
type Migration struct {
	From          string  `json:"from"`
	To            string  `json:"to"`
	BlobsCopied   int64   `json:"blobs_copied"`
	BytesCopied   int64   `json:"bytes_copied"`
	BlobsFound    int64   `json:"blobs_found"` // copied by an earlier run
	BytesFound    int64   `json:"bytes_found"`
	BlobsLeftOver int64   `json:"blobs_left_over"` // of an earlier run, which the source has no longer
	Registers     int64   `json:"registers"`
	Seconds       float64 `json:"seconds"`
}

// Migrate copies a whole registry, byte for byte, and compares what arrived. The
// source is only read, and may be served read-only meanwhile; the destination is
// served when Migrate has succeeded. Who calls it again after it was interrupted
// goes on with it.
func Migrate(ctx context.Context, c MigrateConfig) (Migration, error) {
	began := time.Now()
	done := Migration{From: c.From, To: c.To}
	report, err := copyRegistry(ctx, c)
	done.BlobsCopied, done.BytesCopied = report.Copied, report.CopiedBytes
	done.BlobsFound, done.BytesFound = report.Found, report.FoundBytes
	done.BlobsLeftOver, done.Registers = report.Left, report.Registers
	done.Seconds = time.Since(began).Seconds()
	return done, err
}

func copyRegistry(ctx context.Context, c MigrateConfig) (report migrate.Report, err error) {
	if err := apart(c.From, c.To); err != nil {
		return report, err
	}
	from, identity, err := openSource(ctx, c.From)
	if err != nil {
		return report, fmt.Errorf("open the source: %w", err)
	}
	defer func() { err = errors.Join(err, from.close()) }()
	to, err := openDestination(ctx, c)
	if err != nil {
		return report, fmt.Errorf("open the destination: %w", err)
	}
	defer func() { err = errors.Join(err, to.close()) }()
	return migrate.Run(ctx, migrate.Config{
		From:     migrate.Side{Registers: from.registers, Blobs: from.blobs},
		To:       migrate.Side{Registers: to.registers, Blobs: to.blobs},
		Source:   c.From,
		Identity: identity,
		Progress: func(p migrate.Progress) {
			if c.Progress != nil {
				c.Progress(MigrateProgress(p))
			}
		},
		Now:  time.Now,
		Rand: rand.Reader,
	})
}

// inStore reports whether a text names a place in a store, and not a folder.
func inStore(text string) bool { return strings.Contains(text, "://") }

// apart refuses a folder inside or around the other. Of two places in a store the
// destination finds out.
func apart(from, to string) error {
	switch {
	case from == "" || to == "":
		return errors.New("a source and a destination are needed")
	case from == to:
		return fmt.Errorf("%s is both the source and the destination", from)
	case inStore(from) || inStore(to):
		return nil
	}
	a, err := realPath(from)
	if err != nil {
		return err
	}
	b, err := realPath(to)
	if err != nil {
		return err
	}
	if a == b || strings.HasPrefix(b, a+string(filepath.Separator)) || strings.HasPrefix(a, b+string(filepath.Separator)) {
		return fmt.Errorf("%s and %s lie in each other", from, to)
	}
	return nil
}

// realPath returns the path of a folder without links, as far as it is there.
func realPath(dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	there, rest := abs, ""
	for {
		real, err := filepath.EvalSymlinks(there)
		if err == nil {
			return filepath.Join(real, rest), nil
		}
		if !errors.Is(err, os.ErrNotExist) || there == filepath.Dir(there) {
			return "", err
		}
		there, rest = filepath.Dir(there), filepath.Join(filepath.Base(there), rest)
	}
}

// openSource opens a registry to be read, and says which one it is.
func openSource(ctx context.Context, from string) (*place, string, error) {
	if inStore(from) {
		p, cluster, err := lookInto(ctx, from)
		return p, "store " + cluster.ID, err
	}
	path, err := realPath(from)
	if err != nil {
		return nil, "", err
	}
	p, err := openPlace(ctx, Config{Data: from, ReadOnly: true})
	if errors.Is(err, bolt.ErrInUse) {
		err = fmt.Errorf("%w: stop it, or serve the directory with --read-only", err)
	}
	return p, "folder " + path, err
}

// lookInto opens the registry that a store has, to be read, with all the buckets
// that it names.
func lookInto(ctx context.Context, store string) (*place, s3.Cluster, error) {
	loc, err := s3.Parse(store)
	if err != nil {
		return nil, s3.Cluster{}, err
	}
	var buckets []string
	for {
		p := &place{}
		space, err := s3.Dial(ctx, loc, s3.Options{Buckets: buckets})
		if err != nil {
			return nil, s3.Cluster{}, err
		}
		p.space, p.closers = space, []func() error{space.Close}
		cluster, err := space.Look(ctx)
		if errors.Is(err, s3.ErrBuckets) && len(buckets) == 0 && len(cluster.Buckets) > 0 && cluster.Buckets[0] == loc.Bucket {
			buckets = cluster.Buckets
			if err := p.close(); err != nil {
				return nil, cluster, err
			}
			continue
		}
		if err != nil {
			return nil, cluster, errors.Join(err, p.close())
		}
		p.registers, p.blobs = frozenRegisters{space.Registers()}, frozenBlobs{space.Blobs()}
		return p, cluster, nil
	}
}

// openDestination opens what is filled. It makes no index: the registry does, when
// it is served.
func openDestination(ctx context.Context, c MigrateConfig) (*place, error) {
	p := &place{}
	open := p.fillFolder
	if inStore(c.To) {
		open = p.fillStore
	}
	if err := open(ctx, c); err != nil {
		return nil, errors.Join(err, p.close())
	}
	return p, nil
}

func (p *place) fillFolder(_ context.Context, c MigrateConfig) error {
	if err := prepare(c.To, false); err != nil {
		return err
	}
	r, err := bolt.OpenRegisters(filepath.Join(c.To, "meta.db"))
	if err != nil {
		return err
	}
	p.registers = r
	p.closers = append(p.closers, r.Close)
	reserve, err := reserveOf(c.To, 0)
	if err != nil {
		return err
	}
	p.blobs, err = fs.Open(filepath.Join(c.To, "blobs"), fs.Options{Reserve: reserve})
	return err
}

func (p *place) fillStore(ctx context.Context, c MigrateConfig) error {
	loc, err := s3.Parse(c.To)
	if err != nil {
		return err
	}
	space, err := s3.Dial(ctx, loc, s3.Options{Buckets: c.Buckets})
	if err != nil {
		return err
	}
	p.space = space
	p.closers = append(p.closers, space.Close)
	p.registers, p.blobs = space.Registers(), space.Blobs()
	_, err = space.Join(ctx)
	return err
}
