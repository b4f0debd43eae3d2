package archive_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/codec"
	"github.com/ingot-ml/ingot/client/internal/archive"
	"github.com/ingot-ml/ingot/registry/manifest"
	"github.com/ingot-ml/ingot/registry/name"
)

var update = flag.Bool("update", false, "write the golden file")

// store has the encoded chunks of versions.
type store map[chunker.Digest][]byte

// version makes a version with one file of the chunks.
func (s store) version(t testing.TB, repo, tag string, chunks ...string) *archive.Version {
	t.Helper()
	f := manifest.File{Path: "model.bin", Format: "opaque"}
	var refs []chunker.Ref
	for _, plain := range chunks {
		d := chunker.Sum([]byte(plain))
		s[d] = codec.Append(nil, []byte(plain), chunker.Opaque)
		refs = append(refs, chunker.Ref{Digest: d, Size: uint32(len(plain))})
		f.Size += uint64(len(plain))
	}
	b := manifest.NewBuilder()
	b.Add(f, refs)
	m, err := b.Build(chunker.Digest{}, map[string]string{"tag": tag})
	if err != nil {
		t.Fatal(err)
	}
	doc, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	r, err := name.ParseRepo(repo)
	if err != nil {
		t.Fatal(err)
	}
	return &archive.Version{Repo: r, Tag: tag, Digest: manifest.Name(doc), Document: doc, Manifest: m}
}

// some are versions that share chunks, one of which has no tag and one no chunks.
func some(t testing.TB) (store, []*archive.Version) {
	t.Helper()
	s := store{}
	large := strings.Repeat("large and dull ", 20000)
	return s, []*archive.Version{
		s.version(t, "acme/base", "main", "one", "two", large, "two"),
		s.version(t, "acme/tuned", "v1.0", "one", "other", large),
		s.version(t, "acme/tuned", "", "two", "one"),
		s.version(t, "acme/empty", "main"),
	}
}

// write writes versions with w, all of whose chunks s has.
func (s store) write(t testing.TB, w *archive.Writer, versions []*archive.Version) error {
	t.Helper()
	for _, v := range versions {
		wanted, err := w.Begin(v)
		if err != nil {
			return err
		}
		for _, c := range wanted {
			if err := w.Chunk(s[v.Manifest.Chunks[c].Digest]); err != nil {
				return err
			}
		}
	}
	return w.Close()
}

func (s store) archive(t testing.TB, versions []*archive.Version) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := archive.NewWriter(&b, len(versions), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.write(t, w, versions); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// readAll reads an archive to its end, and checks what it says.
func readAll(from io.Reader) (versions []*archive.Version, chunks []chunker.Digest, err error) {
	r, err := archive.NewReader(from)
	if err != nil {
		return nil, nil, err
	}
	for {
		v, err := r.Next()
		if errors.Is(err, io.EOF) {
			return versions, chunks, nil
		}
		if err != nil {
			return versions, chunks, err
		}
		versions = append(versions, v)
		for {
			c, enc, err := r.Chunk(nil)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return versions, chunks, err
			}
			plain, err := codec.Decode(nil, enc)
			if err != nil {
				return versions, chunks, err
			}
			d := chunker.Sum(plain)
			if want := v.Manifest.Chunks[c]; int(want.Size) != len(plain) {
				return versions, chunks, fmt.Errorf("chunk %d of %d bytes, want %d", c, len(plain), want.Size)
			}
			chunks = append(chunks, d)
		}
	}
}

func TestRoundTrip(t *testing.T) {
	s, want := some(t)
	b := s.archive(t, want)
	for what, from := range map[string]io.Reader{
		"whole": bytes.NewReader(b), "by the byte": iotest.OneByteReader(bytes.NewReader(b)), "with the end": iotest.DataErrReader(bytes.NewReader(b)),
	} {
		got, chunks, err := readAll(from)
		if err != nil || len(got) != len(want) {
			t.Fatalf("%s: %d versions, %v", what, len(got), err)
		}
		for i, v := range got {
			if v.Repo != want[i].Repo || v.Tag != want[i].Tag || v.Digest != want[i].Digest || !bytes.Equal(v.Document, want[i].Document) {
				t.Errorf("%s: version %d is %s:%s, want %s:%s", what, i, v.Repo, v.Tag, want[i].Repo, want[i].Tag)
			}
		}
		if len(chunks) != len(s) { // each once
			t.Errorf("%s: %d chunks, want %d", what, len(chunks), len(s))
		}
		for d := range s {
			if !slices.Contains(chunks, d) {
				t.Errorf("%s: no chunk %s", what, d.Short())
			}
		}
	}
}

// TestGolden holds the bytes of version 1: the file is never changed.
func TestGolden(t *testing.T) {
	const golden = "testdata/v1.ingot"
	s, versions := some(t)
	if *update {
		if err := os.WriteFile(golden, s.archive(t, versions), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	got, chunks, err := readAll(bytes.NewReader(want))
	if err != nil || len(got) != len(versions) || len(chunks) != len(s) {
		t.Fatalf("%d versions, %d chunks, %v", len(got), len(chunks), err)
	}
	for i, v := range got {
		if v.Digest != versions[i].Digest {
			t.Errorf("version %d is %s, want %s", i, v.Digest.Short(), versions[i].Digest.Short())
		}
	}
	// The encoding of chunks may change; with that of the file the archive may not.
	r, err := archive.NewReader(bytes.NewReader(want))
	if err != nil {
		t.Fatal(err)
	}
	for range versions {
		v, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		for c, enc, err := r.Chunk(nil); !errors.Is(err, io.EOF); c, enc, err = r.Chunk(nil) {
			if err != nil {
				t.Fatal(err)
			}
			s[v.Manifest.Chunks[c].Digest] = enc
		}
	}
	if again := s.archive(t, versions); !bytes.Equal(again, want) {
		t.Error("the same versions make another archive")
	}
}

// TestDamage cuts an archive everywhere and changes every byte of it: no version or
// chunk comes out that did not go in.
func TestDamage(t *testing.T) {
	s, versions := some(t)
	b := s.archive(t, versions[1:])
	known := map[string]bool{}
	for _, v := range versions {
		known[v.Repo.String()+":"+v.Tag+v.Digest.String()] = true
	}
	check := func(what string, b []byte) {
		t.Helper()
		got, chunks, err := readAll(bytes.NewReader(b))
		ours := errors.Is(err, archive.ErrDamaged) || errors.Is(err, archive.ErrNone) || errors.Is(err, archive.ErrVersion)
		if !ours {
			t.Fatalf("%s: %v", what, err)
		}
		for _, v := range got {
			if !known[v.Repo.String()+":"+v.Tag+v.Digest.String()] {
				t.Fatalf("%s: version %s:%s", what, v.Repo, v.Tag)
			}
		}
		for _, d := range chunks {
			if s[d] == nil {
				t.Fatalf("%s: chunk %s", what, d.Short())
			}
		}
	}
	for n := range b {
		check(fmt.Sprintf("cut at %d", n), b[:n])
		changed := bytes.Clone(b)
		changed[n] ^= 1 << (n % 8)
		check(fmt.Sprintf("bit of byte %d", n), changed)
	}
	check("one byte more", append(bytes.Clone(b), 0))
}

// file is an archive that is being written.
type file struct {
	begun *bytes.Reader // what was there
	bytes.Buffer
	cuts int
}

func newFile(begun []byte) *file {
	f := &file{begun: bytes.NewReader(begun)}
	_, _ = f.Write(begun)
	return f
}

func (f *file) cut(offset int64) error {
	f.cuts++
	f.Truncate(int(offset))
	return nil
}

// TestGoesOn interrupts a Writer after every byte: the next one writes the rest, and no
// chunk twice.
func TestGoesOn(t *testing.T) {
	s, versions := some(t)
	want := s.archive(t, versions)
	for n := range len(want) + 1 {
		f := newFile(want[:n])
		w, err := archive.NewWriter(f, len(versions), f.begun, f.cut)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.write(t, w, versions); err != nil {
			t.Fatalf("after %d bytes: %v", n, err)
		}
		if !bytes.Equal(f.Bytes(), want) || f.cuts != 1 {
			t.Fatalf("after %d bytes: %d bytes, want %d; cut %d times", n, f.Len(), len(want), f.cuts)
		}
		if most := int64(len(want) - n + 1000 + len(s[versions[0].Manifest.Chunks[2].Digest])); w.Written() > most {
			t.Errorf("after %d bytes: %d were written again, of %d", n, w.Written(), len(want))
		}
	}
	// What had been begun was something else, damaged, or longer.
	damaged := bytes.Clone(want)
	damaged[len(want)/2] ^= 1
	for what, begun := range map[string][]byte{
		"others": s.archive(t, []*archive.Version{versions[0], versions[2], versions[1], versions[3]}), "fewer": s.archive(t, versions[:3]),
		"none": []byte("a text"), "damaged": damaged, "longer": append(bytes.Clone(want), "more"...), "empty": nil,
	} {
		f := newFile(begun)
		w, err := archive.NewWriter(f, len(versions), f.begun, f.cut)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.write(t, w, versions); err != nil || !bytes.Equal(f.Bytes(), want) {
			t.Errorf("%s: %d bytes, want %d; %v", what, f.Len(), len(want), err)
		}
	}
}

func TestAgain(t *testing.T) {
	s, versions := some(t)
	b := s.archive(t, versions)
	for _, back := range []bool{true, false} {
		var from io.Reader = bytes.NewReader(b)
		if !back {
			from = io.MultiReader(from) // a stream
		}
		r, err := archive.NewReader(from)
		if err != nil {
			t.Fatal(err)
		}
		v, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		want := v.Manifest.Chunks[0]
		if _, err := r.Again(want, nil); !errors.Is(err, archive.ErrBehind) {
			t.Errorf("a chunk that is still to come: %v", err)
		}
		_, enc, err := r.Chunk(nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := r.Again(want, nil)
		if back && (err != nil || !bytes.Equal(got, enc)) {
			t.Errorf("%v", err)
		}
		if !back && !errors.Is(err, archive.ErrBehind) {
			t.Errorf("of a stream: %v", err)
		}
		if _, err := r.Next(); err == nil {
			t.Error("the next version came before the chunks of this one were read")
		}
	}
}

func TestWriterRefuses(t *testing.T) {
	s, versions := some(t)
	if _, err := archive.NewWriter(io.Discard, 0, nil, nil); err == nil {
		t.Error("no versions")
	}
	w, err := archive.NewWriter(io.Discard, 2, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Chunk(nil); err == nil {
		t.Error("a chunk before a version")
	}
	if _, err := w.Begin(versions[0]); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Begin(versions[1]); err == nil {
		t.Error("a version before the chunks of the one before")
	}
	if err := w.Close(); err == nil {
		t.Error("an archive that lacks something")
	}
	if err := w.Chunk(s[versions[0].Manifest.Chunks[2].Digest]); err == nil {
		t.Error("another chunk than the next")
	}
}

func FuzzReader(f *testing.F) {
	s, versions := some(f)
	whole := s.archive(f, versions)
	f.Add(whole)
	f.Add(s.archive(f, versions[2:]))
	f.Add(whole[:len(whole)/2])
	f.Add(archive.Header(1))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, chunks, err := readAll(bytes.NewReader(b))
		if err != nil {
			return
		}
		// What reads to its end is an archive that a Writer would write.
		read := store{}
		r, err := archive.NewReader(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		for range got {
			v, err := r.Next()
			if err != nil {
				t.Fatal(err)
			}
			for c, enc, err := r.Chunk(nil); err == nil; c, enc, err = r.Chunk(nil) {
				read[v.Manifest.Chunks[c].Digest] = enc
			}
		}
		if again := read.archive(t, got); !bytes.Equal(again, b) {
			t.Errorf("%d versions and %d chunks make another archive", len(got), len(chunks))
		}
	})
}
