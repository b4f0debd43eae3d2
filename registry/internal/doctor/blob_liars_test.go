package doctor_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/registry/internal/blobs"
	"github.com/ingot-ml/ingot/registry/internal/doctor"
)

// blobLiar is a store that answers as its functions say, and as the store behind
// it where it has none.
type blobLiar struct {
	blobs.Store
	put    func(ctx context.Context, name string, parts ...[]byte) error
	open   func(ctx context.Context, name string, off, n int64) (io.ReadCloser, error)
	stat   func(ctx context.Context, name string) (blobs.Info, error)
	list   func(ctx context.Context, prefix, after string) iter.Seq2[blobs.Info, error]
	delete func(ctx context.Context, names []string) error
}

func (l *blobLiar) Put(ctx context.Context, name string, parts ...[]byte) error {
	if l.put != nil {
		return l.put(ctx, name, parts...)
	}
	return l.Store.Put(ctx, name, parts...)
}

func (l *blobLiar) Open(ctx context.Context, name string, off, n int64) (io.ReadCloser, error) {
	if l.open != nil {
		return l.open(ctx, name, off, n)
	}
	return l.Store.Open(ctx, name, off, n)
}

func (l *blobLiar) Stat(ctx context.Context, name string) (blobs.Info, error) {
	if l.stat != nil {
		return l.stat(ctx, name)
	}
	return l.Store.Stat(ctx, name)
}

func (l *blobLiar) List(ctx context.Context, prefix, after string) iter.Seq2[blobs.Info, error] {
	if l.list != nil {
		return l.list(ctx, prefix, after)
	}
	return l.Store.List(ctx, prefix, after)
}

func (l *blobLiar) Delete(ctx context.Context, names []string) error {
	if l.delete != nil {
		return l.delete(ctx, names)
	}
	return l.Store.(blobs.Sweeper).Delete(ctx, names)
}

// listed yields what f makes of the honest list.
func listed(s blobs.Store, f func([]blobs.Info) []blobs.Info) func(context.Context, string, string) iter.Seq2[blobs.Info, error] {
	return func(ctx context.Context, prefix, after string) iter.Seq2[blobs.Info, error] {
		return func(yield func(blobs.Info, error) bool) {
			var all []blobs.Info
			for info, err := range s.List(ctx, prefix, after) {
				if err != nil {
					yield(info, err)
					return
				}
				all = append(all, info)
			}
			for _, info := range f(all) {
				if !yield(info, nil) {
					return
				}
			}
		}
	}
}

// replace writes over a blob.
func replace(ctx context.Context, s blobs.Store, name string, parts ...[]byte) error {
	return errors.Join(s.(blobs.Sweeper).Delete(ctx, []string{name}), s.Put(ctx, name, parts...))
}

var blobLiars = []struct {
	finds string
	lie   string
	tell  func(s blobs.Store, l *blobLiar)
}{
	{"blob-read-after-write", "the first look at a blob does not find it", func(s blobs.Store, l *blobLiar) {
		var looked sync.Map
		l.open = func(ctx context.Context, name string, off, n int64) (io.ReadCloser, error) {
			if _, there := s.Stat(ctx, name); there == nil {
				if _, again := looked.LoadOrStore(name, true); !again {
					return nil, blobs.ErrNotFound
				}
			}
			return s.Open(ctx, name, off, n)
		}
	}},
	{"blob-read-after-write", "sizes are of what a disk would take", func(s blobs.Store, l *blobLiar) {
		l.stat = func(ctx context.Context, name string) (blobs.Info, error) {
			info, err := s.Stat(ctx, name)
			info.Size = (info.Size + 4095) / 4096 * 4096
			return info, err
		}
	}},
	{"blob-kept", "a second write replaces the first", func(s blobs.Store, l *blobLiar) {
		l.put = func(ctx context.Context, name string, parts ...[]byte) error {
			return replace(ctx, s, name, parts...)
		}
	}},
	{"blob-kept", "a refused write of a large blob has happened", func(s blobs.Store, l *blobLiar) {
		l.put = func(ctx context.Context, name string, parts ...[]byte) error {
			err := s.Put(ctx, name, parts...)
			if errors.Is(err, blobs.ErrExists) && len(parts[0]) > 1<<20 {
				return errors.Join(replace(ctx, s, name, parts...), err)
			}
			return err
		}
	}},
	{"blob-kept", "a write that did nothing is acknowledged", func(s blobs.Store, l *blobLiar) {
		l.put = func(ctx context.Context, name string, parts ...[]byte) error {
			if err := s.Put(ctx, name, parts...); !errors.Is(err, blobs.ErrExists) {
				return err
			}
			return nil
		}
	}},
	{"blob-create-atomic", "creation looks and writes in two steps", func(s blobs.Store, l *blobLiar) {
		l.put = func(ctx context.Context, name string, parts ...[]byte) error {
			if _, err := s.Stat(ctx, name); err == nil {
				return blobs.ErrExists
			}
			time.Sleep(time.Millisecond)
			for {
				err := replace(ctx, s, name, parts...)
				if !errors.Is(err, blobs.ErrExists) {
					return err
				}
			}
		}
	}},
	{"blob-ranges", "a range that leaves the blob is what there is", func(s blobs.Store, l *blobLiar) {
		l.open = func(ctx context.Context, name string, off, n int64) (io.ReadCloser, error) {
			r, err := s.Open(ctx, name, off, n)
			if errors.Is(err, io.ErrUnexpectedEOF) {
				return s.Open(ctx, name, off, -1)
			}
			return r, err
		}
	}},
	{"blob-ranges", "a range is answered with the whole", func(s blobs.Store, l *blobLiar) {
		l.open = func(ctx context.Context, name string, off, n int64) (io.ReadCloser, error) {
			return s.Open(ctx, name, 0, -1)
		}
	}},
	{"blob-large", "bytes behind the eighth mebibyte are lost", func(s blobs.Store, l *blobLiar) {
		l.put = func(ctx context.Context, name string, parts ...[]byte) error {
			whole := bytes.Join(parts, nil)
			return s.Put(ctx, name, whole[:min(len(whole), 8<<20)])
		}
	}},
	{"blob-large", "one byte of a large blob differs", func(s blobs.Store, l *blobLiar) {
		l.put = func(ctx context.Context, name string, parts ...[]byte) error {
			whole := bytes.Join(parts, nil)
			if len(whole) > 5<<20 {
				whole[5<<20] ^= 1
			}
			return s.Put(ctx, name, whole)
		}
	}},
	{"blob-names", "long names are refused", func(s blobs.Store, l *blobLiar) {
		l.put = func(ctx context.Context, name string, parts ...[]byte) error {
			if len(name) > 255 {
				return blobs.ErrName
			}
			return s.Put(ctx, name, parts...)
		}
	}},
	{"blob-list", "lists miss what was made last", func(s blobs.Store, l *blobLiar) {
		var last atomic.Value
		l.put = func(ctx context.Context, name string, parts ...[]byte) error {
			err := s.Put(ctx, name, parts...)
			if err == nil {
				last.Store(name)
			}
			return err
		}
		l.list = listed(s, func(all []blobs.Info) []blobs.Info {
			return slices.DeleteFunc(all, func(i blobs.Info) bool { return i.Name == last.Load() })
		})
	}},
	{"blob-list", "lists are in no order", func(s blobs.Store, l *blobLiar) {
		l.list = listed(s, func(all []blobs.Info) []blobs.Info { slices.Reverse(all); return all })
	}},
	{"blob-list", "lists end early", func(s blobs.Store, l *blobLiar) {
		l.list = listed(s, func(all []blobs.Info) []blobs.Info { return all[:min(len(all), 50)] })
	}},
	{"blob-list", "lists know no sizes", func(s blobs.Store, l *blobLiar) {
		l.list = listed(s, func(all []blobs.Info) []blobs.Info {
			for i := range all {
				all[i].Size = 0
			}
			return all
		})
	}},
	{"blob-delete", "deletions are acknowledged and not made", func(s blobs.Store, l *blobLiar) {
		l.delete = func(context.Context, []string) error { return nil }
	}},
	{"blob-delete", "deletions are refused", func(s blobs.Store, l *blobLiar) {
		l.delete = func(context.Context, []string) error { return errors.New("access denied") }
	}},
	{"blob-delete", "what was deleted is still listed", func(s blobs.Store, l *blobLiar) {
		var mu sync.Mutex
		ghosts := map[string]blobs.Info{}
		l.delete = func(ctx context.Context, names []string) error {
			mu.Lock()
			defer mu.Unlock()
			for _, name := range names {
				if info, err := s.Stat(ctx, name); err == nil {
					ghosts[name] = info
				}
			}
			return s.(blobs.Sweeper).Delete(ctx, names)
		}
		l.list = func(ctx context.Context, prefix, after string) iter.Seq2[blobs.Info, error] {
			return listed(s, func(all []blobs.Info) []blobs.Info {
				mu.Lock()
				defer mu.Unlock()
				for name, info := range ghosts {
					if strings.HasPrefix(name, prefix) && name > after {
						all = append(all, info)
					}
				}
				slices.SortFunc(all, func(a, b blobs.Info) int { return strings.Compare(a.Name, b.Name) })
				return all
			})(ctx, prefix, after)
		}
	}},
	{"blob-delete-again", "deleting what is not there fails", func(s blobs.Store, l *blobLiar) {
		l.delete = func(ctx context.Context, names []string) error {
			for _, name := range names {
				if _, err := s.Stat(ctx, name); err != nil {
					return err
				}
			}
			return s.(blobs.Sweeper).Delete(ctx, names)
		}
	}},
	{"blob-delete-again", "deleting ends silently at what is not there", func(s blobs.Store, l *blobLiar) {
		l.delete = func(ctx context.Context, names []string) error {
			for i, name := range names {
				if _, err := s.Stat(ctx, name); err != nil {
					names = names[:i]
					break
				}
			}
			return s.(blobs.Sweeper).Delete(ctx, names)
		}
	}},
	{"clock", "nothing has a time", func(s blobs.Store, l *blobLiar) {
		l.list = listed(s, func(all []blobs.Info) []blobs.Info {
			for i := range all {
				all[i].Modified = time.Time{}
			}
			return all
		})
	}},
}

func TestBlobLiars(t *testing.T) {
	for _, tt := range blobLiars {
		t.Run(tt.finds+": "+tt.lie, func(t *testing.T) {
			t.Parallel()
			s := honest()
			l := &blobLiar{Store: s.Blobs[0]}
			tt.tell(s.Blobs[0], l)
			s.Blobs, s.Sweeper = []blobs.Store{l, l}, l
			foundOnly(t, s, tt.finds)
		})
	}
}

// TestEveryPropertyHasALiar holds the tables to the properties.
func TestEveryPropertyHasALiar(t *testing.T) {
	found := map[string]bool{}
	for _, l := range registerLiars {
		found[l.finds] = true
	}
	for _, l := range blobLiars {
		found[l.finds] = true
	}
	for _, p := range doctor.Properties() {
		if !found[p.Name] {
			t.Errorf("no liar is found by %s", p.Name)
		}
	}
}

// TestClock has the store's clock go wrong, which is told and fails nothing.
func TestClock(t *testing.T) {
	for _, off := range []time.Duration{0, 4 * time.Minute, -4 * time.Minute, 10 * time.Minute, -10 * time.Minute, 25 * time.Hour, -25 * time.Hour} {
		s := honest()
		s.Now = func() time.Time { return time.Now().Add(off) }
		found, err := doctor.ExamineOne(t.Context(), s, "clock", doctor.Quick)
		if err != nil {
			t.Fatal(err)
		}
		want := doctor.OK
		if off.Abs() > 5*time.Minute {
			want = doctor.Warning
		}
		if found.State != want {
			t.Errorf("a clock that is off by %s: %s, %s; want %s", off, found.State, found.Saw, want)
		}
	}
}
