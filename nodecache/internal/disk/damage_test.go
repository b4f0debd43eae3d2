package disk_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/nodecache/internal/disk"
	"github.com/ingot-ml/ingot/nodecache/internal/tier"
)

// damages are what can happen to a chunk's file.
var damages = map[string]func(b []byte) []byte{
	"first bit": func(b []byte) []byte { b[0] ^= 1; return b },
	"middle":    func(b []byte) []byte { b[len(b)/2] ^= 0x80; return b },
	"last bit":  func(b []byte) []byte { b[len(b)-1] ^= 1; return b },
	"tail":      func(b []byte) []byte { b[len(b)-8] ^= 1; return b },
	"short":     func(b []byte) []byte { return b[:len(b)-1] },
	"empty":     func([]byte) []byte { return nil },
	"zeros":     func(b []byte) []byte { clear(b); return b },
	"gone":      nil,
}

// damage changes the file of a chunk.
func damage(t testing.TB, file string, how func([]byte) []byte) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err == nil && how != nil {
		err = os.WriteFile(file, how(b), 0o666)
	} else if err == nil {
		err = os.Remove(file)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestDamage(t *testing.T) {
	for _, form := range []disk.Form{disk.Plain, disk.Encoded} {
		for name, how := range damages {
			t.Run(fmt.Sprint(form, " ", name), func(t *testing.T) {
				c := config(t.TempDir())
				c.Form = form
				var told []chunker.Digest
				c.Damaged = func(d chunker.Digest) { told = append(told, d) }
				s := open(t, c)
				one := newSample(1, 10_000)
				put(t, s, one)
				damage(t, path(t, c.Dir, one.ref.Digest), how)
				if _, err := read(s, one); !errors.Is(err, tier.ErrDamaged) {
					t.Fatalf("%v, want ErrDamaged", err)
				}
				if _, err := read(s, one); !errors.Is(err, tier.ErrAbsent) {
					t.Fatalf("then %v, want ErrAbsent", err)
				}
				if s.Used() != 0 || taken(t, c.Dir, "chunks") != 0 || s.Stats().Damaged != 1 || len(told) != 1 || told[0] != one.ref.Digest {
					t.Errorf("%d bytes are used, %+v, told %v", s.Used(), s.Stats(), told)
				}
				put(t, s, one)
				want(t, s, one)
			})
		}
	}
}

// A disk that fails to read is damage, a process without descriptors is not.
func TestReadFails(t *testing.T) {
	s := open(t, config(t.TempDir()))
	one := newSample(1, 10_000)
	put(t, s, one)
	for _, err := range []error{syscall.ENOMEM, syscall.EIO} {
		s.SetRead(func(*os.File, int64, []byte) error { return err })
		_, got := read(s, one)
		if errors.Is(got, tier.ErrDamaged) != (err == syscall.EIO) || s.Has(one.ref.Digest) != (err != syscall.EIO) {
			t.Errorf("%v: %v", err, got)
		}
	}
}

// Of many who read a damaged chunk one counts it.
func TestDamageOnce(t *testing.T) {
	c := config(t.TempDir())
	var told atomic.Int32
	c.Damaged = func(chunker.Digest) { told.Add(1) }
	s := open(t, c)
	one := newSample(1, 10_000)
	put(t, s, one)
	damage(t, path(t, c.Dir, one.ref.Digest), damages["middle"])
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if _, err := read(s, one); !errors.Is(err, tier.ErrDamaged) && !errors.Is(err, tier.ErrAbsent) {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if told.Load() != 1 || s.Stats().Damaged != 1 {
		t.Errorf("told %d times, %+v", told.Load(), s.Stats())
	}
}

// swap gives two chunks of one length each other's file: right checksums, wrong
// bytes.
func swap(t *testing.T, dir string, a, b sample) {
	t.Helper()
	one, two, temp := path(t, dir, a.ref.Digest), path(t, dir, b.ref.Digest), filepath.Join(dir, "temp")
	if err := errors.Join(os.Rename(one, temp), os.Rename(two, one), os.Rename(temp, two)); err != nil {
		t.Fatal(err)
	}
}

// After a crash a chunk is checked by its name once, even if that is only after
// another start.
func TestCrash(t *testing.T) {
	for _, form := range []disk.Form{disk.Plain, disk.Encoded} {
		c := config(t.TempDir())
		c.Form = form
		s := open(t, c)
		a, b, good, later := newSample(1, 10_000), newSample(2, 10_000), newSample(3, 10_000), newSample(4, 10_000)
		for _, one := range []sample{a, b, good, later} {
			put(t, s, one)
		}
		if err := s.Crash(); err != nil {
			t.Fatal(err)
		}
		swap(t, c.Dir, a, b)
		s = open(t, c)
		if n := s.Stats(); n.Chunks != 4 || n.Suspect != 4 {
			t.Errorf("after the crash: %+v", n)
		}
		want(t, s, good)
		if _, err := read(s, a); !errors.Is(err, tier.ErrDamaged) {
			t.Errorf("%v, want ErrDamaged", err)
		}
		put(t, s, a) // what is new is right
		if n := s.Stats(); n.Suspect != 2 {
			t.Errorf("after two reads: %+v", n)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = open(t, c)
		if n := s.Stats(); n.Chunks != 4 || n.Suspect != 2 {
			t.Errorf("after a start in order: %+v", n)
		}
		if _, err := read(s, b); !errors.Is(err, tier.ErrDamaged) {
			t.Errorf("%v, want ErrDamaged", err)
		}
		want(t, s, later)
		if n := s.Stats(); n.Suspect != 0 {
			t.Errorf("in the end: %+v", n)
		}
	}
}

// A seal counts once: a crash after it is a crash.
func TestSealOnce(t *testing.T) {
	c := config(t.TempDir())
	s := open(t, c)
	put(t, s, newSample(1, 10))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := open(t, c).Crash(); err != nil {
		t.Fatal(err)
	}
	if n := open(t, c).Stats(); n.Suspect != 1 {
		t.Errorf("%+v", n)
	}
}

// A seal with anything wrong is none.
func TestSealDamaged(t *testing.T) {
	c := config(t.TempDir())
	s := open(t, c)
	put(t, s, newSample(1, 10))
	if err := s.Crash(); err != nil {
		t.Fatal(err)
	}
	if err := open(t, c).Close(); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(filepath.Join(c.Dir, "clean"))
	if err != nil {
		t.Fatal(err)
	}
	if sealed, chunks := disk.ParseSeal(good); !sealed || chunks != 1 {
		t.Fatalf("sealed %t, %d chunks", sealed, chunks)
	}
	for i := range good {
		bad := append([]byte(nil), good...)
		bad[i] ^= 4
		if sealed, _ := disk.ParseSeal(bad); sealed {
			t.Errorf("byte %d is wrong, and it is a seal", i)
		}
		if sealed, _ := disk.ParseSeal(good[:i]); sealed {
			t.Errorf("the first %d bytes are a seal", i)
		}
	}
}

// What is no whole chunk goes when the folder is opened, and a chunk that is there
// in two forms is there in one.
func TestListing(t *testing.T) {
	c := config(t.TempDir())
	s := open(t, c)
	short, twice, sound := newSample(1, 10_000), newSample(2, 10_000), newSample(3, 10_000)
	for _, one := range []sample{short, twice, sound} {
		put(t, s, one)
	}
	damage(t, path(t, c.Dir, short.ref.Digest), damages["short"])
	folder := filepath.Join(c.Dir, "chunks", twice.ref.Digest.String()[:2])
	files := map[string][]byte{
		twice.ref.Digest.String() + ".e10000": twice.enc,
		sound.ref.Digest.String() + ".p10000": sound.plain, // in another's folder
		"notes.txt":                           nil,
		twice.ref.Digest.String() + ".p0":     make([]byte, 8),
		twice.ref.Digest.String() + ".x2":     make([]byte, 10),
		twice.ref.Digest.String() + ".p02":    make([]byte, 10),
	}
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(folder, name), b, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, c)
	if n := s.Stats(); n.Chunks != 2 || s.Used() != taken(t, c.Dir, "chunks") {
		t.Errorf("%+v, %d bytes are used, %d are taken", n, s.Used(), taken(t, c.Dir, "chunks"))
	}
	want(t, s, twice)
	want(t, s, sound)
}

// A file that is in the way of a chunk, and is in no index, is not believed.
func TestLeftover(t *testing.T) {
	c := config(t.TempDir())
	s := open(t, c)
	one := newSample(1, 10_000)
	put(t, s, one)
	file := path(t, c.Dir, one.ref.Digest)
	s.Drop(one.ref.Digest)
	if err := os.WriteFile(file, []byte("anything"), 0o666); err != nil {
		t.Fatal(err)
	}
	put(t, s, one)
	want(t, s, one)
}

// Nothing is called sound before it is on the disk, or where nobody can tell.
func TestSealNeedsSync(t *testing.T) {
	c := config(t.TempDir())
	seal := filepath.Join(c.Dir, "clean")
	for _, fail := range []error{syscall.EIO, errors.ErrUnsupported, nil} {
		s := open(t, c)
		s.SetSync(func(string) error {
			if _, err := os.Stat(seal); err == nil {
				t.Error("the seal is there before its time")
			}
			return fail
		})
		if err := s.Close(); (err != nil) != (fail == syscall.EIO) {
			t.Errorf("sync: %v; close: %v", fail, err)
		}
		if _, err := os.Stat(seal); (err == nil) != (fail == nil) {
			t.Errorf("sync: %v; the seal: %v", fail, err)
		}
	}
}
