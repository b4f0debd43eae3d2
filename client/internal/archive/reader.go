package archive

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/codec"
	"github.com/ingot-ml/ingot/registry/manifest"
	"github.com/ingot-ml/ingot/registry/name"
)

// Reader reads an archive from its start to its end. Errors of the archive are
// ErrNone, ErrVersion or ErrDamaged; others are those of what is read.
type Reader struct {
	in   *bufio.Reader
	back io.ReaderAt // nil for a stream
	at   int64       // bytes that were read

	versions int // in the archive
	read     int // versions of them
	seen     seen
	now      *Version // whose chunks come next
	next     int      // of now.New
}

// NewReader reads the start of an archive. If from is an io.ReaderAt too, at whose
// start the archive begins, chunks can be read again.
func NewReader(from io.Reader) (*Reader, error) {
	r := &Reader{in: bufio.NewReaderSize(from, 256<<10), seen: seen{}}
	if back, ok := from.(io.ReaderAt); ok {
		r.back = back
	}
	b := make([]byte, headerLen)
	n, err := io.ReadFull(r.in, b)
	if err != nil && !ends(err) {
		return nil, err
	}
	if n < len(Magic) || string(b[:len(Magic)]) != Magic {
		return nil, ErrNone
	}
	if err != nil {
		return nil, damaged("it ends after %d bytes", n)
	}
	if v := order.Uint16(b[len(Magic):]); v != version {
		return nil, fmt.Errorf("version %d, this build knows %d: %w", v, version, ErrVersion)
	}
	r.versions = int(order.Uint32(b[len(Magic)+2:]))
	if r.versions == 0 || r.versions > MaxVersions {
		return nil, damaged("%d versions, want 1 to %d", r.versions, MaxVersions)
	}
	r.at = int64(n)
	return r, nil
}

func ends(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }

func damaged(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrDamaged}, args...)...)
}

// Versions returns how many versions are in the archive.
func (r *Reader) Versions() int { return r.versions }

// Offset returns how many bytes were read.
func (r *Reader) Offset() int64 { return r.at }

// Next returns the next version, after all chunks of the one before were read. After
// the last it returns io.EOF, if the archive ends there.
func (r *Reader) Next() (*Version, error) {
	if r.now != nil && r.next < len(r.now.New) {
		return nil, fmt.Errorf("%d chunks of %s were not read", len(r.now.New)-r.next, r.now.Digest.Short())
	}
	if r.read == r.versions {
		return nil, r.end()
	}
	v, err := r.version()
	if err != nil {
		return nil, fmt.Errorf("version %d of %d in the archive: %w", r.read+1, r.versions, err)
	}
	r.read++
	r.now, r.next = v, 0
	return v, nil
}

func (r *Reader) end() error {
	_, err := r.in.ReadByte()
	if err == nil {
		return damaged("more follows the last version, at byte %d", r.at)
	}
	return err // io.EOF if it ends
}

// version reads the record of a version.
func (r *Reader) version() (*Version, error) {
	sum := crc32.New(castagnoli)
	repo, err := r.text(sum)
	if err != nil {
		return nil, err
	}
	tag, err := r.text(sum)
	if err != nil {
		return nil, err
	}
	length, err := r.number(sum)
	if err != nil {
		return nil, err
	}
	if length > manifest.MaxSize {
		return nil, damaged("a manifest of %d bytes, at most %d allowed", length, manifest.MaxSize)
	}
	doc, err := r.bytes(int64(length), sum)
	if err != nil {
		return nil, err
	}
	want := sum.Sum32()
	if got, err := r.number(io.Discard); err != nil {
		return nil, err
	} else if got != want {
		return nil, damaged("checksum %08x, want %08x", got, want)
	}
	return r.parse(repo, tag, doc)
}

func (r *Reader) parse(repo, tag string, doc []byte) (*Version, error) {
	v := &Version{Tag: tag, Document: doc, Digest: manifest.Name(doc)}
	var err error
	if v.Repo, err = name.ParseRepo(repo); err != nil {
		return nil, damaged("%v", err)
	}
	if tag != "" {
		if err := name.CheckTag(tag); err != nil {
			return nil, damaged("%v", err)
		}
	}
	v.Manifest, err = manifest.Parse(doc)
	if errors.Is(err, manifest.ErrVersion) {
		return nil, fmt.Errorf("%w: %w", err, ErrVersion)
	}
	if err != nil {
		return nil, damaged("%v", err)
	}
	if v.New, err = r.seen.unseen(v.Manifest); err != nil {
		return nil, damaged("%v", err)
	}
	return v, nil
}

// text reads a text of at most 255 bytes.
func (r *Reader) text(sum io.Writer) (string, error) {
	length, err := r.bytes(1, sum)
	if err != nil {
		return "", err
	}
	b, err := r.bytes(int64(length[0]), sum)
	return string(b), err
}

func (r *Reader) number(sum io.Writer) (uint32, error) {
	b, err := r.bytes(4, sum)
	if err != nil {
		return 0, err
	}
	return order.Uint32(b), nil
}

// bytes reads n bytes, which take memory as they come.
func (r *Reader) bytes(n int64, sum io.Writer) ([]byte, error) {
	var b bytes.Buffer
	got, err := io.CopyN(io.MultiWriter(&b, sum), r.in, n)
	r.at += got
	return b.Bytes(), r.cut(err)
}

// cut says that the archive ends where it should go on.
func (r *Reader) cut(err error) error {
	if err != nil && ends(err) {
		return damaged("it ends at byte %d", r.at)
	}
	return err
}

// Chunk returns the next chunk of the last version, in buf if it is large enough, and
// io.EOF after all. index is that in the manifest's list.
func (r *Reader) Chunk(buf []byte) (index uint32, enc []byte, err error) {
	if r.now == nil || r.next == len(r.now.New) {
		return 0, nil, io.EOF
	}
	index = r.now.New[r.next]
	want := r.now.Manifest.Chunks[index]
	begins := r.at
	enc, err = r.chunk(buf, want)
	if err != nil {
		return 0, nil, fmt.Errorf("chunk %s at byte %d of the archive: %w", want.Digest.Short(), begins, err)
	}
	r.seen[want.Digest] = begins
	r.next++
	return index, enc, nil
}

func (r *Reader) chunk(buf []byte, want chunker.Ref) ([]byte, error) {
	length, err := r.number(io.Discard)
	if err != nil {
		return nil, err
	}
	enc, err := room(buf, length, want)
	if err != nil {
		return nil, err
	}
	n, err := io.ReadFull(r.in, enc)
	r.at += int64(n)
	if err != nil {
		return nil, r.cut(err)
	}
	return enc, check(enc, want)
}

// room returns the memory for an encoded chunk of that length.
func room(buf []byte, length uint32, want chunker.Ref) ([]byte, error) {
	if most := codec.MaxEncoded(int(want.Size)); length == 0 || int64(length) > int64(most) {
		return nil, damaged("%d encoded bytes, want 1 to %d", length, most)
	}
	if cap(buf) < int(length) {
		buf = make([]byte, length)
	}
	return buf[:length], nil
}

// check compares an encoded chunk with what is known of it without decoding.
func check(enc []byte, want chunker.Ref) error {
	if err := codec.Check(enc); err != nil {
		return damaged("%v", err)
	}
	if size, err := codec.PlainLen(enc); err != nil || size != int(want.Size) {
		return damaged("%d plain bytes, want %d", size, want.Size)
	}
	return nil
}

// Again returns a chunk that was read before, in buf if it is large enough: ErrBehind
// if the archive is a stream.
func (r *Reader) Again(want chunker.Ref, buf []byte) ([]byte, error) {
	at, ok := r.seen[want.Digest]
	if !ok || at == unread || r.back == nil {
		return nil, fmt.Errorf("chunk %s: %w", want.Digest.Short(), ErrBehind)
	}
	enc, err := r.again(at, want, buf)
	if err != nil {
		return nil, fmt.Errorf("chunk %s at byte %d of the archive: %w", want.Digest.Short(), at, err)
	}
	return enc, nil
}

func (r *Reader) again(at int64, want chunker.Ref, buf []byte) ([]byte, error) {
	var length [4]byte
	if _, err := r.back.ReadAt(length[:], at); err != nil {
		return nil, err
	}
	enc, err := room(buf, order.Uint32(length[:]), want)
	if err != nil {
		return nil, err
	}
	if _, err := r.back.ReadAt(enc, at+int64(len(length))); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return enc, check(enc, want)
}

// seen are the chunks of all versions so far, and where they lie.
type seen map[chunker.Digest]int64

const unread = -1

// unseen returns the chunks that m has and no version before, and adds them.
func (s seen) unseen(m *manifest.Manifest) (indexes []uint32, err error) {
	for i := range m.Chunks {
		if _, ok := s[m.Chunks[i].Digest]; !ok {
			s[m.Chunks[i].Digest] = unread
			indexes = append(indexes, uint32(i))
		}
	}
	if len(s) > MaxChunks {
		err = fmt.Errorf("more than %d chunks", MaxChunks)
	}
	return indexes, err
}
