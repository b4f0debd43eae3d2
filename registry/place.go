package registry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/ingot-ml/ingot/registry/internal/blobs"
	"github.com/ingot-ml/ingot/registry/internal/blobs/fs"
	"github.com/ingot-ml/ingot/registry/internal/bolt"
	"github.com/ingot-ml/ingot/registry/internal/migrate"
	"github.com/ingot-ml/ingot/registry/internal/placement"
	"github.com/ingot-ml/ingot/registry/internal/registers"
	"github.com/ingot-ml/ingot/registry/internal/s3"
	"github.com/ingot-ml/ingot/registry/internal/versions"
)

// place is where a registry keeps everything.
type place struct {
	registers registers.Engine
	blobs     blobs.Store
	sweeper   blobs.Sweeper
	index     *bolt.Index  // nil where nothing is written
	failed    <-chan error // gets the error of registers that failed; nil if they cannot
	space     *s3.Space    // nil for a directory
	reserve   int64        // bytes of the disk that stay free; of a directory
	folder    string       // on this machine, for what is only needed here; empty where nothing is written
	closers   []func() error
}

// close closes what was opened, the last first.
func (p *place) close() (err error) {
	for i := len(p.closers) - 1; i >= 0; i-- {
		err = errors.Join(err, p.closers[i]())
	}
	return err
}

// shared reports whether other replicas may work on the same registers.
func (p *place) shared() bool { return p.space != nil }

func openPlace(ctx context.Context, c Config) (*place, error) {
	p := &place{}
	open := p.openFolder
	if c.Store != "" {
		open = p.openStore
	}
	if err := open(ctx, c); err != nil {
		return nil, errors.Join(err, p.close())
	}
	if err := migrate.Check(ctx, p.registers); err != nil {
		return nil, errors.Join(err, p.close())
	}
	if c.ReadOnly {
		p.registers, p.blobs, p.sweeper = frozenRegisters{p.registers}, frozenBlobs{p.blobs}, frozenBlobs{p.blobs}
	}
	return p, nil
}

// openFolder opens a data directory, alone or, to read, with others who read.
func (p *place) openFolder(_ context.Context, c Config) error {
	if err := prepare(c.Data, c.ReadOnly); err != nil {
		return err
	}
	openRegisters := bolt.OpenRegisters
	if c.ReadOnly {
		openRegisters = bolt.OpenReadOnly
	}
	reserve, err := reserveOf(c.Data, c.Reserve)
	if err != nil {
		return err
	}
	p.reserve = reserve
	ballast := fs.Ballast{Path: filepath.Join(c.Data, "ballast"), Size: ballastOf(reserve, c.ReadOnly)}
	if err := makeRoom(ballast, c.Logger); err != nil {
		return err
	}
	r, err := openRegisters(filepath.Join(c.Data, "meta.db"))
	if err != nil {
		return err
	}
	p.registers, p.failed = r, r.Failed()
	p.closers = append(p.closers, r.Close)
	if !c.ReadOnly {
		p.folder = c.Data
		if err := p.openIndex(filepath.Join(c.Data, "index.db")); err != nil {
			return err
		}
	}
	store, err := fs.Open(filepath.Join(c.Data, "blobs"), fs.Options{
		Reserve: reserve, Exempt: placement.Lists.Prefix(), Ballast: ballast,
	})
	if err != nil {
		return err
	}
	p.blobs, p.sweeper = store, store
	return nil
}

// makeRoom gives the ballast away when the disk is so full that registers could not
// even be opened.
func makeRoom(ballast fs.Ballast, log *slog.Logger) error {
	made, err := ballast.MakeRoom()
	if made {
		log.Warn("the disk is full: what was set aside is given away, so that versions can be removed and collected", "file", ballast.Path)
	}
	return err
}

func (p *place) openIndex(path string) error {
	index, err := bolt.OpenIndex(path)
	if err != nil {
		return err
	}
	p.index = index
	p.closers = append(p.closers, index.Close)
	return nil
}

// openStore joins the registry that is kept in a bucket. Whoever may write there
// beside others finds out first whether the store is fit for that.
func (p *place) openStore(ctx context.Context, c Config) error {
	loc, err := s3.Parse(c.Store)
	if err != nil {
		return err
	}
	space, err := s3.Dial(ctx, loc, optionsOf(c))
	if err != nil {
		return err
	}
	p.space = space
	p.closers = append(p.closers, space.Close)
	cluster, err := p.join(ctx, c)
	if err != nil {
		return err
	}
	p.registers, p.blobs, p.sweeper = space.Registers(), space.Blobs(), space.Blobs()
	if c.ReadOnly {
		return nil
	}
	return p.openCache(c.Data, cluster)
}

func optionsOf(c Config) s3.Options {
	return s3.Options{Buckets: c.Buckets, Alone: c.Alone, Logger: c.Logger}
}

func (p *place) join(ctx context.Context, c Config) (s3.Cluster, error) {
	if c.ReadOnly {
		return p.space.Look(ctx)
	}
	// First whose the prefix is: an examination writes below it.
	cluster, err := p.space.Join(ctx)
	f := fitness{Address: p.space.Address(), Program: c.Version}
	if err != nil || c.Alone || f.known(ctx, p.space) {
		return cluster, err
	}
	began := time.Now()
	if err := probe(ctx, p.space, optionsOf(c)); err != nil {
		return s3.Cluster{}, fmt.Errorf("%s: %w", c.Store, err)
	}
	c.Logger.Info("the store is fit for several replicas", "store", c.Store, "seconds", time.Since(began).Seconds())
	f.note(ctx, p.space, c.Logger)
	return cluster, nil
}

// replicas is how many processes of one machine find a folder for their caches by
// themselves.
const replicas = 64

// openCache opens the index of a replica in its own folder: the one it is given, or
// the first one below the user's caches that no other replica uses.
func (p *place) openCache(data string, cluster s3.Cluster) error {
	if data != "" {
		return p.openCacheIn(data, cluster)
	}
	caches, err := os.UserCacheDir()
	if err != nil {
		return fmt.Errorf("find a folder for caches: %w; name one as the data folder", err)
	}
	for n := range replicas {
		folder := filepath.Join(caches, "ingot", "replicas", cluster.ID, fmt.Sprint(n))
		err = p.openCacheIn(folder, cluster)
		if !errors.Is(err, bolt.ErrInUse) {
			return err
		}
	}
	return err
}

func (p *place) openCacheIn(folder string, cluster s3.Cluster) error {
	if err := prepareCache(folder, cluster.ID); err != nil {
		return err
	}
	p.folder = folder
	return p.openIndex(filepath.Join(folder, "index.db"))
}

// presign returns where a caller may read a chunk for a while.
func (p *place) presign(ttl time.Duration) func(context.Context, versions.Located) (string, bool, error) {
	if p.space == nil || ttl <= 0 {
		return nil
	}
	return func(ctx context.Context, l versions.Located) (string, bool, error) {
		object, whole := l.Object()
		if !whole {
			return "", false, nil
		}
		url, err := p.space.Blobs().PresignGet(ctx, object, ttl)
		return url, err == nil, err
	}
}

// foreign returns what finds objects that are none of the registry's; nil where
// there is nothing beside the blobs.
func (p *place) foreign() func(context.Context, int) ([]string, error) {
	if p.space == nil {
		return nil
	}
	return p.space.Foreign
}

// rules returns what tells of rules of the store that endanger objects, if it can
// have any.
func (p *place) rules() func(context.Context) ([]string, error) {
	if p.space == nil {
		return nil
	}
	return p.space.DangerousRules
}
