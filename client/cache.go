package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/chunkdir"
)

const (
	// touchEvery is how exact the times of use are. More would write to the disk at
	// every read; trimming looks at days.
	touchEvery = time.Hour
	// trimShare is the part of the limit, one of so many, that may be added before
	// the cache is trimmed again: listing it is not free.
	trimShare = 8
)

// Cache keeps the plain bytes of chunks by digest on the local disk. They take
// half as much room again as encoded ones would, and a pull that finds them has
// no more to do than to read, hash and write them: decoding costs twice that.
//
// A Cache is safe for concurrent use, and several processes may share its folder.
// What it gives is not verified, and nothing depends on it being there.
type Cache struct {
	dir   *chunkdir.Dir
	limit int64
	now   func() time.Time

	mu    sync.Mutex // protects added
	added int64      // bytes since the last trim
}

// OpenCache opens the cache in the folder dir, which it creates. The cache takes
// about limit bytes: an eighth more between two trims. The caller must Close it, unless
// it is only read.
func OpenCache(dir string, limit int64) (*Cache, error) {
	if limit < 0 {
		return nil, fmt.Errorf("open cache %s: limit of %d bytes", dir, limit)
	}
	d, err := chunkdir.Open(dir, chunkdir.Options{})
	if err != nil {
		return nil, fmt.Errorf("open cache: %w", err)
	}
	return &Cache{dir: d, limit: limit, now: time.Now}, nil
}

// Close trims the cache to its limit.
func (c *Cache) Close() error {
	if err := c.trim(context.Background()); err != nil {
		return fmt.Errorf("trim cache: %w", err)
	}
	return nil
}

func cacheName(d chunker.Digest) string {
	text := d.String()
	return text[:2] + "/" + text
}

// get reads the chunk d into buf[:0], whose capacity it does not exceed.
func (c *Cache) get(d chunker.Digest, buf []byte) ([]byte, bool) {
	f, err := c.dir.Open(cacheName(d))
	if err != nil {
		return nil, false
	}
	defer func() { _ = f.Close() }() // it is only read
	info, err := f.Stat()
	if err != nil || info.Size() > int64(cap(buf)) {
		return nil, false
	}
	buf = buf[:info.Size()]
	if _, err := io.ReadFull(f, buf); err != nil {
		return nil, false
	}
	if now := c.now(); now.Sub(info.ModTime()) > touchEvery {
		_ = c.dir.Touch(cacheName(d), now) // it is trimmed too early, at worst
	}
	return buf, true
}

// has reports whether get would probably find the chunk d.
func (c *Cache) has(d chunker.Digest) bool {
	_, err := c.dir.Stat(cacheName(d))
	return err == nil
}

// put keeps a chunk if it can: a full disk is no failure of a pull.
func (c *Cache) put(ctx context.Context, d chunker.Digest, plain []byte) {
	if c.dir.Put(ctx, cacheName(d), plain) != nil {
		return
	}
	c.mu.Lock()
	c.added += int64(len(plain))
	due := c.added > c.limit/trimShare
	if due {
		c.added = 0
	}
	c.mu.Unlock()
	if due {
		_ = c.trim(ctx) // Close tells
	}
}

// remove forgets a chunk that was damaged.
func (c *Cache) remove(d chunker.Digest) {
	_ = c.dir.Remove(cacheName(d)) // another process was faster, or the next put finds it taken
}

// trim removes the chunks that were not used for the longest time until the rest
// is within the limit. Other processes may do the same.
func (c *Cache) trim(ctx context.Context) error {
	var files []chunkdir.Info
	var total int64
	for info, err := range c.dir.List(ctx, "", "") {
		if err != nil {
			return err
		}
		files = append(files, info)
		total += info.Size
	}
	slices.SortFunc(files, func(a, b chunkdir.Info) int {
		return cmp.Or(a.ModTime.Compare(b.ModTime), cmp.Compare(a.Name, b.Name))
	})
	for _, f := range files {
		if total <= c.limit {
			return nil
		}
		if err := c.dir.Remove(f.Name); err != nil && !errors.Is(err, chunkdir.ErrNotFound) {
			return err
		}
		total -= f.Size
	}
	return nil
}
