package archive

import (
	"errors"
	"fmt"
	"io"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/codec"
)

// Writer writes an archive, whose bytes follow from the versions and the encoded
// chunks alone. With the beginning of one that was cut off it goes on behind what is
// sound of that.
type Writer struct {
	out      io.Writer
	begun    *Reader // nil once it has ended
	cut      func(offset int64) error
	versions int // that are still to come
	seen     seen
	left     []chunker.Ref // chunks of the last version that are still to come
	written  int64
}

// NewWriter returns a Writer of so many versions to out.
//
// begun, unless nil, is what an earlier Writer has written: as long as that is what
// this one would write, nothing is. cut is called once, before anything is written, and
// drops what lies behind that offset.
func NewWriter(out io.Writer, versions int, begun io.Reader, cut func(offset int64) error) (*Writer, error) {
	if versions < 1 || versions > MaxVersions {
		return nil, fmt.Errorf("%d versions in an archive, want 1 to %d", versions, MaxVersions)
	}
	w := &Writer{out: out, versions: versions, seen: seen{}, cut: cut}
	if begun != nil {
		r, err := NewReader(begun)
		if err == nil && r.Versions() == versions {
			w.begun = r
			return w, nil
		}
		if err := cut(0); err != nil {
			return nil, err
		}
	}
	return w, w.write(Header(versions))
}

func (w *Writer) write(b []byte) error {
	n, err := w.out.Write(b)
	w.written += int64(n)
	return err
}

// Written returns the bytes that were written, without what had been begun.
func (w *Writer) Written() int64 { return w.written }

// Begin writes a version, and returns which of its chunks have to follow. Those that
// had been written are not among them. It sets v.New.
func (w *Writer) Begin(v *Version) (wanted []uint32, err error) {
	if len(w.left) > 0 || w.versions == 0 {
		return nil, errors.New("begin a version: the archive wants chunks, or nothing")
	}
	w.versions--
	if v.New, err = w.seen.unseen(v.Manifest); err != nil {
		return nil, err
	}
	wanted = v.New
	if w.begun != nil {
		if wanted, err = w.skip(v); err != nil {
			return nil, err
		}
	} else if err := w.write(v.Record()); err != nil {
		return nil, err
	}
	for _, c := range wanted {
		w.left = append(w.left, v.Manifest.Chunks[c])
	}
	return wanted, nil
}

// skip passes over v in what had been begun, and returns the chunks that are not there.
func (w *Writer) skip(v *Version) ([]uint32, error) {
	offset := w.begun.Offset()
	had, err := w.begun.Next()
	if err != nil || had.Digest != v.Digest || had.Repo != v.Repo || had.Tag != v.Tag {
		if err := w.goOn(offset); err != nil {
			return nil, err
		}
		return v.New, w.write(v.Record())
	}
	var buf []byte
	for i := range v.New {
		offset = w.begun.Offset()
		if _, buf, err = w.begun.Chunk(buf); err != nil {
			return v.New[i:], w.goOn(offset)
		}
	}
	return nil, nil
}

// goOn begins to write at an offset.
func (w *Writer) goOn(offset int64) error {
	w.begun = nil
	return w.cut(offset)
}

// Chunk writes the next chunk of the last version.
func (w *Writer) Chunk(enc []byte) error {
	if len(w.left) == 0 {
		return errors.New("write a chunk: the archive wants none")
	}
	want := w.left[0]
	if size, err := codec.PlainLen(enc); err != nil || size != int(want.Size) {
		return fmt.Errorf("write a chunk: %d plain bytes, want %d of %s: %w", size, want.Size, want.Digest.Short(), codec.ErrCorrupt)
	}
	w.left = w.left[1:]
	if err := w.write(Frame(enc)); err != nil {
		return err
	}
	return w.write(enc)
}

// Close ends the archive. It fails if something is still to come.
func (w *Writer) Close() error {
	if w.versions > 0 || len(w.left) > 0 {
		return fmt.Errorf("end an archive: %d versions and %d chunks are still to come", w.versions, len(w.left))
	}
	if w.begun != nil { // all of it was there, and perhaps more
		return w.goOn(w.begun.Offset())
	}
	return nil
}
