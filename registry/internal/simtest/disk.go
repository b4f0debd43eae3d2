package simtest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/registry/internal/blobs"
	"github.com/ingot-ml/ingot/registry/internal/registers"
	"github.com/ingot-ml/ingot/registry/internal/versions"
)

// disk is what registers and store hold, and what no replica can lose.
type disk struct {
	keys  []string // ascending
	vals  map[string]value
	seq   uint64
	names []string // ascending
	blobs map[string]blob
}

type value struct {
	val     []byte
	version registers.Version
}

type blob struct {
	bytes []byte
	at    time.Time
}

func newDisk() *disk { return &disk{vals: map[string]value{}, blobs: map[string]blob{}} }

// answers of effects.
type (
	got struct {
		val     []byte
		version registers.Version
		err     error
	}
	opened struct {
		bytes []byte
		cut   bool
		err   error
	}
)

// engine is the registers as one replica sees them.
type engine struct {
	*sim
	proc *proc
}

var _ registers.Engine = engine{}

// Get implements registers.Engine.
func (e engine) Get(ctx context.Context, key string) ([]byte, registers.Version, error) {
	if err := registers.CheckKey(key); err != nil {
		return nil, registers.Absent, err
	}
	a, err := e.do(ctx, e.proc, get, key, func() any {
		v, ok := e.disk.vals[key]
		if !ok {
			return got{err: fmt.Errorf("get register %q: %w", key, registers.ErrNotFound)}
		}
		return got{val: bytes.Clone(v.val), version: v.version}
	})
	if err != nil {
		return nil, registers.Absent, err
	}
	g := a.(got)
	return g.val, g.version, g.err
}

// CAS implements registers.Engine.
func (e engine) CAS(ctx context.Context, key string, want registers.Version, val []byte) (registers.Version, error) {
	if err := registers.CheckWrite(key, val); err != nil {
		return registers.Absent, err
	}
	val = bytes.Clone(val)
	a, err := e.do(ctx, e.proc, cas, key, func() any { return e.swap(key, want, val) })
	if err != nil {
		return registers.Absent, err
	}
	return a.(got).version, a.(got).err
}

func (s *sim) swap(key string, want registers.Version, val []byte) got {
	d := s.disk
	old, ok := d.vals[key]
	if old.version != want {
		return got{err: fmt.Errorf("write register %q: %w", key, registers.ErrConflict)}
	}
	if !ok {
		at, _ := slices.BinarySearch(d.keys, key)
		d.keys = slices.Insert(d.keys, at, key)
	}
	d.seq++
	d.vals[key] = value{val, registers.Version(strconv.FormatUint(d.seq, 10))}
	s.judge.wrote(key, old.val, d.vals[key])
	return got{version: d.vals[key].version}
}

// List implements registers.Engine. What is written while the answer is under way
// is in it or is not.
func (e engine) List(ctx context.Context, prefix, after string, n int) ([]registers.Entry, error) {
	if err := registers.CheckList(n); err != nil {
		return nil, err
	}
	a, err := e.do(ctx, e.proc, list, prefix, func() any {
		var page []registers.Entry
		for _, key := range span(e.disk.keys, prefix, after, n) {
			page = append(page, registers.Entry{Key: key, Version: e.disk.vals[key].version})
		}
		return page
	})
	if err != nil {
		return nil, err
	}
	return a.([]registers.Entry), nil
}

// span returns up to n of the sorted names that start with prefix and are greater
// than after.
func span(names []string, prefix, after string, n int) []string {
	from, found := slices.BinarySearch(names, max(prefix, after))
	if found && after >= prefix {
		from++
	}
	to := from
	for to < len(names) && to-from < n && strings.HasPrefix(names[to], prefix) {
		to++
	}
	return names[from:to]
}

// store is the blobs as one replica sees them.
type store struct {
	*sim
	proc *proc
}

var (
	_ blobs.Store   = store{}
	_ blobs.Sweeper = store{}
)

// Put implements blobs.Store.
func (s store) Put(ctx context.Context, name string, parts ...[]byte) error {
	if err := blobs.CheckName(name); err != nil {
		return err
	}
	whole := slices.Concat(parts...)
	a, err := s.do(ctx, s.proc, put, name, func() any {
		if _, taken := s.disk.blobs[name]; taken {
			return fmt.Errorf("put blob %s: %w", name, blobs.ErrExists)
		}
		at, _ := slices.BinarySearch(s.disk.names, name)
		s.disk.names = slices.Insert(s.disk.names, at, name)
		s.disk.blobs[name] = blob{whole, s.now}
		s.judge.made(name, whole)
		return nil
	})
	return cmpErr(a, err)
}

func cmpErr(a any, err error) error {
	if err == nil && a != nil {
		return a.(error)
	}
	return err
}

// Open implements blobs.Store.
func (s store) Open(ctx context.Context, name string, off, n int64) (io.ReadCloser, error) {
	a, err := s.do(ctx, s.proc, open, name, func() any {
		b, ok := s.disk.blobs[name]
		if !ok {
			return opened{err: fmt.Errorf("open blob %s: %w", name, blobs.ErrNotFound)}
		}
		n, err := blobs.Span(int64(len(b.bytes)), off, n)
		if err != nil {
			return opened{err: fmt.Errorf("open blob %s: %w", name, err)}
		}
		return opened{bytes: b.bytes[off : off+n]}
	})
	if err != nil {
		return nil, err
	}
	o := a.(opened)
	if o.err != nil {
		return nil, o.err
	}
	return io.NopCloser(&cutReader{*bytes.NewReader(o.bytes), o.cut}), nil
}

// cutReader ends with an error where a connection was cut.
type cutReader struct {
	bytes.Reader
	cut bool
}

func (r *cutReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err == io.EOF && r.cut {
		err = fmt.Errorf("body cut: %w: %w", io.ErrUnexpectedEOF, errFault)
	}
	return n, err
}

// Stat implements blobs.Store.
func (s store) Stat(ctx context.Context, name string) (blobs.Info, error) {
	a, err := s.do(ctx, s.proc, stat, name, func() any {
		if _, ok := s.disk.blobs[name]; !ok {
			return fmt.Errorf("stat blob %s: %w", name, blobs.ErrNotFound)
		}
		return s.disk.info(name)
	})
	if err != nil {
		return blobs.Info{}, err
	}
	if err, ok := a.(error); ok {
		return blobs.Info{}, err
	}
	return a.(blobs.Info), nil
}

func (d *disk) info(name string) blobs.Info {
	b := d.blobs[name]
	return blobs.Info{Name: name, Size: int64(len(b.bytes)), Modified: b.at}
}

// List implements blobs.Store, a page at a time: what is made or deleted between
// two pages is in the list or is not.
func (s store) List(ctx context.Context, prefix, after string) iter.Seq2[blobs.Info, error] {
	return func(yield func(blobs.Info, error) bool) {
		for {
			a, err := s.do(ctx, s.proc, scan, prefix+" after "+after, func() any {
				var page []blobs.Info
				for _, name := range span(s.disk.names, prefix, after, s.plan.page) {
					page = append(page, s.disk.info(name))
				}
				return page
			})
			if err != nil {
				yield(blobs.Info{}, err)
				return
			}
			page := a.([]blobs.Info)
			for _, info := range page {
				if !yield(info, nil) {
					return
				}
				after = info.Name
			}
			if len(page) < s.plan.page {
				return
			}
		}
	}
}

// Delete implements blobs.Sweeper, one name after the other, so that a failure
// leaves some behind.
func (s store) Delete(ctx context.Context, names []string) error {
	for _, name := range names {
		if err := blobs.CheckName(name); err != nil {
			return err
		}
		if _, err := s.do(ctx, s.proc, remove, name, func() any { s.unlink(name); return nil }); err != nil {
			return err
		}
	}
	return nil
}

func (s *sim) unlink(name string) {
	s.judge.deleted(name)
	if _, ok := s.disk.blobs[name]; !ok {
		return
	}
	delete(s.disk.blobs, name)
	at, _ := slices.BinarySearch(s.disk.names, name)
	s.disk.names = slices.Delete(s.disk.names, at, at+1)
}

// index is a replica's chunk index, which may be lost with it. It is asked like
// the store, so that two requests never ask at once.
type index struct {
	*sim
	proc *proc
	at   map[chunker.Digest][]versions.Source
}

var (
	_ versions.Index = index{}
	_ versions.Known = index{}
)

// Knows implements versions.Known.
func (x index) Knows(ctx context.Context, repo string, version chunker.Digest) (bool, error) {
	a, err := x.do(ctx, x.proc, look, "knows "+repo+"@"+version.Short(), func() any {
		src := versions.Source{Repo: repo, Version: version}
		for _, at := range x.at { // in any order: it is there or not
			if slices.Contains(at, src) {
				return true
			}
		}
		return false
	})
	return err == nil && a.(bool), err
}

// Add implements versions.Index.
func (x index) Add(ctx context.Context, repo string, version chunker.Digest, chunks []chunker.Ref) error {
	_, err := x.do(ctx, x.proc, look, "add", func() any {
		src := versions.Source{Repo: repo, Version: version}
		for _, ref := range chunks {
			if !slices.Contains(x.at[ref.Digest], src) {
				x.at[ref.Digest] = append(x.at[ref.Digest], src)
			}
		}
		return nil
	})
	return err
}

// Lookup implements versions.Index.
func (x index) Lookup(ctx context.Context, digests []chunker.Digest, _ versions.Reach) ([][]versions.Source, error) {
	a, err := x.do(ctx, x.proc, look, "look up", func() any {
		hints := make([][]versions.Source, len(digests))
		for i, d := range digests {
			hints[i] = slices.Clone(x.at[d])
		}
		return hints
	})
	if err != nil {
		return nil, err
	}
	return a.([][]versions.Source), nil
}
