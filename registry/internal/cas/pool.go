package cas

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/xet"
)

// abandoned is after how long without use a xorb goes that no shard has named.
const abandoned = 24 * time.Hour

// errPoolFull reports that other uploads take all the room there is.
var errPoolFull = openapi.Errorf(openapi.CodeBusy, "too many files arrive at once: try again later")

// pool is the folder of xorbs. It survives the process, so that an upload goes on
// after a restart.
type pool struct {
	dir   string
	limit int64
	now   func() time.Time

	mu    sync.Mutex // protects what follows
	used  int64      // bytes of files, and of the room that is given to those that come
	xorbs map[poolKey]*pooled
}

// poolKey is a xorb that one subject has sent to one namespace.
type poolKey struct {
	sender string // as senderKey gives it
	hash   xet.Hash
}

// pooled is a xorb in the folder.
type pooled struct {
	size  int64 // of the file
	last  time.Time
	users int  // that have it open
	kept  bool // its chunks lie in files of versions too
}

// arriving begins the names of files that are not whole yet.
const arriving = "arriving-"

func openPool(dir string, limit int64, now func() time.Time) (*pool, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	p := &pool{dir: dir, limit: limit, now: now, xorbs: map[poolKey]*pooled{}}
	for _, e := range entries {
		if err := p.adopt(e); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// adopt takes over a file of a process before this one.
func (p *pool) adopt(e fs.DirEntry) error {
	path := filepath.Join(p.dir, e.Name())
	if strings.HasPrefix(e.Name(), arriving) {
		return os.Remove(path)
	}
	key, ok := parsePoolKey(e.Name())
	if !ok {
		return nil // of somebody else
	}
	info, err := e.Info()
	if err != nil {
		return err
	}
	p.xorbs[key] = &pooled{size: info.Size(), last: info.ModTime()}
	p.used += info.Size()
	return nil
}

func (k poolKey) String() string { return k.sender + "-" + k.hash.String() }

func parsePoolKey(s string) (poolKey, bool) {
	sender, hash, ok := strings.Cut(s, "-")
	h, err := xet.ParseHash(hash)
	_, hexErr := hex.DecodeString(sender)
	return poolKey{sender, h}, ok && err == nil && hexErr == nil && sender != ""
}

func (p *pool) path(k poolKey) string { return filepath.Join(p.dir, k.String()) }

// has reports whether a xorb is there, and counts as use.
func (p *pool) has(k poolKey) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	x := p.xorbs[k]
	if x != nil {
		x.last = p.now()
	}
	return x != nil
}

// take takes n bytes of room, for which abandoned xorbs give way.
func (p *pool) take(n int64) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.used+n > p.limit {
		if _, err := p.sweep(); err != nil {
			return err
		}
	}
	if p.used+n > p.limit {
		return errPoolFull
	}
	p.used += n
	return nil
}

// give gives room back.
func (p *pool) give(n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.used -= n
}

// tidy removes xorbs that nobody waits for, and returns how many.
func (p *pool) tidy() (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sweep()
}

// sweep is tidy. The caller holds mu.
func (p *pool) sweep() (n int, err error) {
	for k, x := range p.xorbs {
		if x.users == 0 && (x.kept || p.now().Sub(x.last) >= abandoned) {
			if err := p.drop(k); err != nil {
				return n, err
			}
			n++
		}
	}
	return n, nil
}

// drop removes a xorb. The caller holds mu.
func (p *pool) drop(k poolKey) error {
	if err := os.Remove(p.path(k)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove a xorb: %w", err)
	}
	p.used -= p.xorbs[k].size
	delete(p.xorbs, k)
	return nil
}

// keep removes a xorb whose chunks lie in files too, once nobody has it open.
func (p *pool) keep(k poolKey) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	x := p.xorbs[k]
	if x == nil {
		return nil
	}
	if x.kept = true; x.users > 0 {
		return nil // done sees to it
	}
	return p.drop(k)
}

// add puts a whole file under its name. Its room has been taken.
func (p *pool) add(k poolKey, temporary string, size int64) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := os.Rename(temporary, p.path(k)); err != nil {
		return fmt.Errorf("keep a xorb: %w", err)
	}
	if old := p.xorbs[k]; old != nil { // two came at a time
		p.used -= old.size
		old.size, old.last, old.kept = size, p.now(), false
		return nil
	}
	p.xorbs[k] = &pooled{size: size, last: p.now()}
	return nil
}

// open returns a xorb; nil if it is not there, or is none. The caller closes it.
func (p *pool) open(k poolKey) (*pooledFile, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	x := p.xorbs[k]
	if x == nil {
		return nil, nil
	}
	file, err := os.Open(p.path(k))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, p.drop(k) // somebody tidied up
	}
	if err != nil {
		return nil, fmt.Errorf("open a xorb: %w", err)
	}
	ends, err := readEnds(file, x.size)
	if err != nil {
		return nil, errors.Join(file.Close(), p.drop(k)) // a crash has damaged it
	}
	x.users++
	x.last = p.now()
	return &pooledFile{file: file, ends: ends, done: func() error { return p.done(k, x) }}, nil
}

// done ends a use of a xorb. The caller holds no lock.
func (p *pool) done(k poolKey, x *pooled) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if x.users--; x.users > 0 || !x.kept || p.xorbs[k] != x {
		return nil
	}
	return p.drop(k)
}
