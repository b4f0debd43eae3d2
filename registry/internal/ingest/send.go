package ingest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/codec"
	"github.com/ingot-ml/ingot/chunker/format"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/versions"
	"github.com/ingot-ml/ingot/registry/manifest"
)

// Bounds of a batch: chunks that are hashed, asked for, encoded and stored together.
const (
	batchBytes  = 4 * chunker.MaxSize
	batchChunks = 256
	// batchMemory is what the plain and the encoded bytes take.
	batchMemory = 2 * (batchBytes + chunker.MaxSize)
)

// Input is a file whose chunks are to be sent.
type Input struct {
	Path    string // its base name tells which format it claims
	Content io.ReaderAt
	Size    int64
	SHA256  string // for the Object
}

// piece is a chunk on its way.
type piece struct {
	from   io.ReaderAt
	cut    chunker.Cut
	digest chunker.Digest
}

// buffers is the memory of one batch.
type buffers struct{ plain, encoded []byte }

// Send gets those chunks of files into an open push which that lacks, and returns
// what the files are. again is for a push that some of it was sent to before.
func (s *Store) Send(ctx context.Context, p access.Principal, push string, again bool, files []Input) ([]Object, error) {
	to := &sending{Store: s, principal: p, push: push, missing: s.versions.MissingFresh}
	if again {
		to.missing = s.versions.Missing
	}
	group, ctx := errgroup.WithContext(ctx)
	objects := make([]Object, len(files))
	pieces := make([][]*piece, len(files))
	var b batch
	var err error
	for i := range files {
		if objects[i], pieces[i], err = to.file(ctx, group, &b, &files[i]); err != nil {
			break
		}
	}
	if err == nil {
		err = to.flush(ctx, group, &b)
	}
	// The first failure of a batch ends the context, and so what is said here.
	if gerr := group.Wait(); gerr != nil {
		err = gerr
	}
	if err != nil {
		return nil, err
	}
	for i := range objects {
		for _, pc := range pieces[i] {
			objects[i].Refs = append(objects[i].Refs, chunker.Ref{Digest: pc.digest, Size: uint32(pc.cut.Length)})
		}
	}
	return objects, nil
}

// sending is one Send.
type sending struct {
	*Store
	principal access.Principal
	push      string
	missing   func(context.Context, access.Principal, string, []chunker.Digest) ([]bool, error)
}

// batch gathers pieces.
type batch struct {
	pieces []*piece
	bytes  int
}

// file cuts a file and sends off the batches that become full.
func (s *sending) file(ctx context.Context, group *errgroup.Group, b *batch, in *Input) (Object, []*piece, error) {
	f, err := structure(in)
	if err != nil {
		return Object{}, nil, err
	}
	var pieces []*piece
	for cut, err := range f.Cuts(in.Content) {
		if err != nil {
			return Object{}, nil, fmt.Errorf("cut %.120q: %w", in.Path, err)
		}
		if b.bytes+cut.Length > batchBytes || len(b.pieces) == batchChunks {
			if err := s.flush(ctx, group, b); err != nil {
				return Object{}, nil, err
			}
		}
		// A batch that waits for bytes to come would keep others from working.
		if in, ok := in.Content.(*inflow); ok {
			if err := in.await(cut.Offset + int64(cut.Length)); err != nil {
				return Object{}, nil, err
			}
		}
		pc := &piece{from: in.Content, cut: cut}
		pieces = append(pieces, pc)
		b.pieces = append(b.pieces, pc)
		b.bytes += cut.Length
	}
	o := Object{SHA256: in.SHA256, Size: in.Size, File: manifest.File{Size: uint64(in.Size), Format: f.Format}}
	for _, t := range f.Tensors {
		o.File.Tensors = append(o.File.Tensors, manifest.Tensor{
			Name: t.Name, DType: t.DType, Shape: t.Shape, Offset: uint64(t.Offset), Length: uint64(t.Length),
		})
	}
	return o, pieces, nil
}

// structure reads what a file is. One that is not what its name claims is opaque:
// who uploads it here wants it kept as it is.
func structure(in *Input) (*format.File, error) {
	f, err := format.Open(path.Base(in.Path), in.Content, in.Size)
	if errors.Is(err, format.ErrMalformed) {
		return &format.File{Format: format.Opaque, Size: in.Size}, nil
	}
	return f, err
}

// flush has a batch worked on, once there is memory for it.
func (s *sending) flush(ctx context.Context, group *errgroup.Group, b *batch) error {
	if len(b.pieces) == 0 {
		return nil
	}
	if err := s.working.Acquire(ctx, 1); err != nil {
		return err
	}
	pieces := b.pieces
	*b = batch{}
	group.Go(func() error {
		defer s.working.Release(1)
		return s.send(ctx, pieces)
	})
	return nil
}

// send stores what the push lacks of a batch.
func (s *sending) send(ctx context.Context, pieces []*piece) error {
	buf := s.buffers.Get().(*buffers)
	defer s.buffers.Put(buf)
	buf.plain = slices.Grow(buf.plain[:0], lengthOf(pieces))
	plain := make([][]byte, len(pieces))
	digests := make([]chunker.Digest, len(pieces))
	for i, pc := range pieces {
		at := len(buf.plain)
		buf.plain = buf.plain[:at+pc.cut.Length]
		plain[i] = buf.plain[at:]
		if err := readFull(pc.from, plain[i], pc.cut.Offset); err != nil {
			return fmt.Errorf("read a file that arrived: %w", err)
		}
		pc.digest = chunker.Sum(plain[i])
		digests[i] = pc.digest
	}
	missing, err := s.missing(ctx, s.principal, s.push, digests)
	if err != nil {
		return err
	}
	return s.store(ctx, buf, pieces, plain, missing)
}

// lengthOf returns the plain bytes of pieces.
func lengthOf(pieces []*piece) (n int) {
	for _, pc := range pieces {
		n += pc.cut.Length
	}
	return n
}

func (s *sending) store(ctx context.Context, buf *buffers, pieces []*piece, plain [][]byte, missing []bool) error {
	buf.encoded = slices.Grow(buf.encoded[:0], len(buf.plain)+len(pieces)*codec.MaxEncoded(0))
	var chunks []versions.Encoded
	for i, pc := range pieces {
		if missing[i] && ctx.Err() == nil {
			at := len(buf.encoded)
			buf.encoded = codec.Append(buf.encoded, plain[i], pc.cut.DType)
			chunks = append(chunks, versions.Encoded{Digest: pc.digest, Bytes: buf.encoded[at:]})
		}
	}
	if len(chunks) == 0 || ctx.Err() != nil {
		return ctx.Err()
	}
	_, err := s.versions.PutBatch(ctx, s.principal, s.push, chunks)
	return err
}

// readFull reads len(p) bytes; the last of a file may come with io.EOF.
func readFull(r io.ReaderAt, p []byte, offset int64) error {
	n, err := r.ReadAt(p, offset)
	if n == len(p) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return err
}
