package disk_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/codec"
	"github.com/ingot-ml/ingot/nodecache/internal/disk"
	"github.com/ingot-ml/ingot/nodecache/internal/tier"
)

const mebi = 1 << 20

func config(dir string) disk.Config {
	return disk.Config{Dir: dir, Budget: 64 * mebi, Logger: slog.New(slog.DiscardHandler)}
}

func open(t testing.TB, c disk.Config) *disk.Store {
	t.Helper()
	s, err := disk.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Crash() }) // closed already, or nobody minds
	return s
}

// sample is a chunk of so many bytes, BF16 weights to an encoder.
type sample struct {
	ref        chunker.Ref
	plain, enc []byte
}

func newSample(seed uint64, size int) sample {
	rnd := rand.New(rand.NewPCG(seed, 0))
	plain := make([]byte, size)
	for i := range plain {
		if plain[i] = byte(rnd.Uint32()); i%2 == 1 {
			plain[i] = 60 + plain[i]%4
		}
	}
	return sample{chunker.Ref{Digest: chunker.Sum(plain), Size: uint32(size)}, plain, codec.Append(nil, plain, chunker.BF16)}
}

func put(t testing.TB, s *disk.Store, c sample) {
	t.Helper()
	if err := s.Put(t.Context(), c.ref, c.plain, c.enc); err != nil {
		t.Fatal(err)
	}
}

func read(s *disk.Store, c sample) ([]byte, error) {
	return s.Read(context.Background(), c.ref, make([]byte, 0, c.ref.Size))
}

// want checks that a chunk is what it was.
func want(t testing.TB, s *disk.Store, c sample) {
	t.Helper()
	if got, err := read(s, c); err != nil || !bytes.Equal(got, c.plain) || !s.Has(c.ref.Digest) {
		t.Fatalf("read %d bytes, %v", len(got), err)
	}
}

// taken is the bytes of whole blocks of all files below some folders.
func taken(t testing.TB, dir string, folders ...string) (sum int64) {
	t.Helper()
	for _, folder := range folders {
		err := filepath.WalkDir(filepath.Join(dir, folder), func(_ string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			info, err := e.Info()
			if err == nil {
				sum += (info.Size() + 4095) / 4096 * 4096
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return sum
}

// path is the file of a chunk.
func path(t testing.TB, dir string, d chunker.Digest) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "chunks", d.String()[:2], d.String()+".*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("files %q, %v; want one", files, err)
	}
	return files[0]
}

func TestForms(t *testing.T) {
	dir := t.TempDir()
	samples := map[disk.Form][]sample{}
	for i, form := range []disk.Form{disk.Plain, disk.Encoded} {
		c := config(dir)
		c.Form = form
		s := open(t, c)
		for j, size := range []int{1, 4087, 4088, 4089, mebi, chunker.MaxSize} {
			one := newSample(uint64(10*i+j), size)
			samples[form] = append(samples[form], one)
			before := s.Used()
			put(t, s, one)
			if took := s.Used() - before; took > s.Cost(one.ref.Size) || took < 4096 {
				t.Errorf("%d bytes took %d, more than their cost of %d", size, took, s.Cost(one.ref.Size))
			}
			suffix := filepath.Ext(path(t, dir, one.ref.Digest))
			if plain := strings.HasPrefix(suffix, ".p"); plain != (form == disk.Plain || size == 1) {
				t.Errorf("%d bytes in form %d are a file %s", size, form, suffix)
			}
		}
		for _, of := range samples {
			for _, one := range of {
				want(t, s, one)
			}
		}
		if s.Used() != taken(t, dir, "chunks") {
			t.Errorf("%d bytes are used, %d are taken", s.Used(), taken(t, dir, "chunks"))
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	s := open(t, config(dir))
	if n := s.Stats(); n.Chunks != 12 || n.Suspect != 0 {
		t.Errorf("%+v", n)
	}
	sizes := map[chunker.Digest]uint32{}
	for d, size := range s.Chunks() {
		sizes[d] = size
	}
	for _, of := range samples {
		for _, one := range of {
			if sizes[one.ref.Digest] != one.ref.Size {
				t.Errorf("chunk of %d bytes is listed with %d", one.ref.Size, sizes[one.ref.Digest])
			}
			s.Drop(one.ref.Digest)
			s.Drop(one.ref.Digest)
		}
	}
	if s.Used() != 0 || taken(t, dir, "chunks") != 0 {
		t.Errorf("%d bytes are used of none, %d are taken", s.Used(), taken(t, dir, "chunks"))
	}
}

// Without an encoded form, or where it saves nothing, a chunk is kept plain.
func TestNoEncoded(t *testing.T) {
	c := config(t.TempDir())
	c.Form = disk.Encoded
	s := open(t, c)
	one := newSample(1, 5000)
	if err := s.Put(t.Context(), one.ref, one.plain, nil); err != nil {
		t.Fatal(err)
	}
	want(t, s, one)
	if filepath.Ext(path(t, c.Dir, one.ref.Digest)) != ".p5000" {
		t.Error(path(t, c.Dir, one.ref.Digest))
	}
}

func TestFull(t *testing.T) {
	c := config(t.TempDir())
	c.Budget = 12 << 10
	s := open(t, c)
	small, large := newSample(1, 4000), newSample(2, 9000)
	put(t, s, small)
	err := s.Put(t.Context(), large.ref, large.plain, nil)
	if !errors.Is(err, tier.ErrFull) || s.Has(large.ref.Digest) || s.Used() != 4096 || taken(t, c.Dir, "chunks") != 4096 {
		t.Errorf("%v; %d bytes are used", err, s.Used())
	}
	s.Drop(small.ref.Digest)
	put(t, s, large)
	want(t, s, large)
}

func TestWrongCalls(t *testing.T) {
	s := open(t, config(t.TempDir()))
	one := newSample(1, 5000)
	if _, err := read(s, one); !errors.Is(err, tier.ErrAbsent) {
		t.Errorf("read of nothing: %v", err)
	}
	if err := s.Put(t.Context(), one.ref, one.plain[1:], nil); err == nil || s.Has(one.ref.Digest) {
		t.Error("bytes of another length are kept")
	}
	put(t, s, one)
	if _, err := s.Read(t.Context(), one.ref, make([]byte, 10)); err == nil {
		t.Error("the bytes fit where there is no room")
	}
	other := one
	other.ref.Size--
	if _, err := read(s, other); !errors.Is(err, tier.ErrAbsent) {
		t.Errorf("read of another length: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Read(ctx, one.ref, make([]byte, 5000)); !errors.Is(err, context.Canceled) {
		t.Errorf("read: %v", err)
	}
	two := newSample(2, 5000)
	if err := s.Put(ctx, two.ref, two.plain, nil); !errors.Is(err, context.Canceled) || s.Used() != 8192 {
		t.Errorf("put: %v, %d bytes are used", err, s.Used())
	}
	want(t, s, one)
}

func TestInUse(t *testing.T) {
	c := config(t.TempDir())
	s := open(t, c)
	if _, err := disk.Open(c); !errors.Is(err, disk.ErrInUse) || !strings.Contains(err.Error(), "(process ") {
		t.Errorf("a second Store: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, c)
}

func TestFormat(t *testing.T) {
	newer, foreign := t.TempDir(), t.TempDir()
	if err := errors.Join(os.WriteFile(filepath.Join(newer, "FORMAT"), []byte("ingot node 2\n"), 0o666),
		os.Mkdir(filepath.Join(foreign, "chunks"), 0o777)); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{newer, foreign} {
		if _, err := disk.Open(config(dir)); !errors.Is(err, disk.ErrFormat) {
			t.Errorf("%v, want ErrFormat", err)
		}
		if _, err := os.Stat(filepath.Join(dir, "manifests")); err == nil {
			t.Error("a folder that is not ours was changed")
		}
	}
}
