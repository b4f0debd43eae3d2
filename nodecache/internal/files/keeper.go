package files

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/nodecache/hfcache"
	"github.com/ingot-ml/ingot/nodecache/internal/bell"
	"github.com/ingot-ml/ingot/nodecache/internal/ledger"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/catalog"
	"github.com/ingot-ml/ingot/registry/name"
)

// Node is what a Keeper needs of a node; *node.Node is one.
type Node interface {
	Where(ctx context.Context, ref name.Ref) (chunker.Digest, error)
	KeepHashes(d chunker.Digest, sums map[string]string)
	AdmitFiles(ctx context.Context, k ledger.Key, parts []chunker.Ref) error
	KeepFiles(k ledger.Key, parts []chunker.Ref) error
	ReleaseFiles(k ledger.Key)
	RemoveFiles(k ledger.Key) (freed int64, err error)
}

// Source is where versions and their bytes come from. To read them does not make the
// node keep them in another form too.
type Source interface {
	hfcache.Source
	Revision(ctx context.Context, repo name.Repo, revision string) (*catalog.Revision, error)
}

// Store keeps small documents.
type Store interface {
	State(name string) ([]byte, error)
	SaveState(name string, doc []byte) error
}

// Model is a reference that is kept as files.
type Model struct {
	Ref   name.Ref
	Watch bool // it is followed; otherwise it is looked up once
}

// Config is what a Keeper works with.
type Config struct {
	Dir    string
	Node   Node
	Source Source
	Store  Store
	Models []Model
	Now    func() time.Time
	Logger *slog.Logger
}

// Keeper keeps versions as files. It is safe for concurrent use.
type Keeper struct {
	config Config
	tree   *hfcache.Tree
	making singleflight.Group
	moved  bell.Bell
	work   sync.WaitGroup  // what goes on behind the calls
	ctx    context.Context // of that
	stop   context.CancelFunc

	mu   sync.Mutex // protects what follows
	kept map[ledger.Key]*kept
	done map[name.Ref]chunker.Digest // of the models: what they were last made
}

// kept is a version of which files are there, whole when all are.
type kept struct {
	commit string
	bytes  int64 // of all files
	parts  []chunker.Ref
	tag    string // by which it was asked for last; empty for by digest
	made   time.Time
	whole  bool
}

// Open opens the folder, which it makes if need be, and takes up what a former Keeper
// has left there. The caller closes the Keeper.
func Open(c Config) (*Keeper, error) {
	tree, err := hfcache.Open(c.Dir)
	if err != nil {
		return nil, fmt.Errorf("open the folder of files: %w", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	k := &Keeper{config: c, tree: tree, ctx: ctx, stop: stop, kept: map[ledger.Key]*kept{}, done: map[name.Ref]chunker.Digest{}}
	if err := k.restore(); err != nil {
		stop()
		return nil, errors.Join(fmt.Errorf("open the folder of files: %w", err), tree.Close())
	}
	return k, nil
}

// Close ends what goes on behind the calls, and closes the folder. Nobody may use the
// Keeper any more.
func (k *Keeper) Close() error {
	k.stop()
	k.work.Wait()
	return k.tree.Close()
}

// Dir is the folder.
func (k *Keeper) Dir() string { return k.tree.Dir() }

// Moved has the models looked at: some reference is served from another version. It
// does not wait.
func (k *Keeper) Moved() { k.moved.Ring() }

// How long to wait before a model whose files could not be made is tried again.
const (
	retryFirst = time.Second
	retryMost  = time.Minute
)

// Run keeps the models as files until ctx ends, and returns its error.
func (k *Keeper) Run(ctx context.Context) error {
	pause := retryFirst
	for ctx.Err() == nil {
		rung := k.moved.Next()
		if k.sync(ctx) {
			pause = retryFirst
			wait(ctx, rung, nil)
			continue
		}
		timer := time.NewTimer(pause)
		wait(ctx, rung, timer.C)
		timer.Stop()
		pause = min(2*pause, retryMost)
	}
	return ctx.Err()
}

func wait(ctx context.Context, rung <-chan struct{}, retry <-chan time.Time) {
	select {
	case <-rung:
	case <-retry:
	case <-ctx.Done():
	}
}

// sync makes the files of every model that lacks them, and reports whether all went
// well.
func (k *Keeper) sync(ctx context.Context) bool {
	well := true
	for _, m := range k.config.Models {
		err := k.keep(ctx, m)
		if err != nil && ctx.Err() == nil {
			well = false
			k.config.Logger.WarnContext(ctx, "files could not be made", "ref", m.Ref.String(), "err", err)
		}
	}
	return well
}

// keep makes the files of what a model is now. Those that have left the folder since,
// because the room was needed, stay away until the reference moves.
func (k *Keeper) keep(ctx context.Context, m Model) error {
	k.mu.Lock()
	last, known := k.done[m.Ref]
	k.mu.Unlock()
	if known && !m.Watch {
		return nil
	}
	d, err := k.config.Node.Where(ctx, m.Ref)
	if known && (err != nil || d == last) {
		return nil // a registry that is back tells where the reference is
	}
	if err != nil {
		return err
	}
	if _, err := k.bring(ctx, m.Ref, d); err != nil {
		return err
	}
	k.mu.Lock()
	k.done[m.Ref] = d
	k.mu.Unlock()
	return k.save()
}

// Materialize makes the files of what ref names now. The work goes on when ctx ends,
// for those who ask again.
func (k *Keeper) Materialize(ctx context.Context, ref name.Ref) (openapi.MaterializeReceipt, error) {
	began := k.config.Now()
	d, err := k.config.Node.Where(ctx, ref)
	if err != nil && !errors.Is(err, &openapi.Error{Code: openapi.CodeNotFound}) {
		if last, ok := k.Named(ref); ok {
			d, err = last, nil // without a registry, what is there
		}
	}
	var got hfcache.Receipt
	if err == nil {
		got, err = k.bring(ctx, ref, d)
	}
	if err != nil {
		return openapi.MaterializeReceipt{}, told(ref, err)
	}
	return openapi.MaterializeReceipt{
		Ref: ref.String(), Version: d, Commit: got.Commit, HFCache: k.tree.Dir(), Path: got.Path, Files: got.Files,
		Bytes: got.Bytes, BytesWritten: got.BytesWritten, BytesReused: got.BytesReused,
		Seconds: k.config.Now().Sub(began).Seconds(),
	}, nil
}

// bring makes the files of a version, together with everybody else who wants them, and
// has ref name it.
func (k *Keeper) bring(ctx context.Context, ref name.Ref, d chunker.Digest) (hfcache.Receipt, error) {
	type result struct {
		receipt hfcache.Receipt
		err     error
	}
	came := make(chan result, 1)
	key := ledger.Key{Repo: ref.Repo, Digest: d}
	k.work.Go(func() {
		got, err, _ := k.making.Do(key.String()+d.String(), func() (any, error) { return k.make(k.ctx, key) })
		receipt, _ := got.(hfcache.Receipt)
		came <- result{receipt, err}
	})
	select {
	case r := <-came:
		if r.err == nil {
			r.err = k.name(key, ref.Tag, r.receipt.Commit)
		}
		return r.receipt, r.err
	case <-ctx.Done():
		return hfcache.Receipt{}, ctx.Err()
	}
}

// name has a tag name a version whose files are there.
func (k *Keeper) name(key ledger.Key, tag, commit string) error {
	if tag != "" {
		if err := k.tree.SetRef(key.Repo, tag, commit); err != nil {
			return err
		}
	}
	k.mu.Lock()
	for other, v := range k.kept {
		if other.Repo == key.Repo && tag != "" && v.tag == tag {
			v.tag = ""
		}
	}
	if v := k.kept[key]; v != nil {
		v.tag = tag
	}
	k.mu.Unlock()
	return k.save()
}

// Remove drops the files of a version, if there are any. The bytes are what that
// frees.
func (k *Keeper) Remove(repo name.Repo, d chunker.Digest) (int64, error) {
	return k.config.Node.RemoveFiles(ledger.Key{Repo: repo, Digest: d})
}

// Version is a version that is there as files.
type Version struct {
	openapi.ModelFiles
	Ref   name.Ref // by which it was asked for last
	Made  time.Time
	Shown bool // for the caller to note
}

// Versions returns what is there whole.
func (k *Keeper) Versions() map[ledger.Key]*Version {
	k.mu.Lock()
	defer k.mu.Unlock()
	all := map[ledger.Key]*Version{}
	for key, v := range k.kept {
		if v.whole {
			all[key] = &Version{
				ModelFiles: openapi.ModelFiles{Path: k.tree.Path(key.Repo, v.commit), Commit: v.commit, Bytes: v.bytes},
				Ref:        v.ref(key), Made: v.made,
			}
		}
	}
	return all
}

// ref is by what the version was asked for last.
func (v *kept) ref(key ledger.Key) name.Ref {
	if v.tag == "" {
		return name.Ref{Repo: key.Repo, Digest: key.Digest}
	}
	return name.Ref{Repo: key.Repo, Tag: v.tag}
}

// Named returns the version that a reference was made files of, if those are there.
func (k *Keeper) Named(ref name.Ref) (chunker.Digest, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for key, v := range k.kept {
		if v.whole && key.Repo == ref.Repo && (key.Digest == ref.Digest || ref.Tag != "" && v.tag == ref.Tag) {
			return key.Digest, true
		}
	}
	return chunker.Digest{}, false
}
