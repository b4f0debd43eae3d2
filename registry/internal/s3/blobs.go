package s3

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/ingot-ml/ingot/registry/internal/blobs"
)

// Blobs is a blobs.Store and a blobs.Sweeper. A blob is one object of its name, in
// one of the buckets.
type Blobs struct{ space *Space }

// Put implements blobs.Store. A name is taken by one conditional PUT; when its answer
// is lost, what is there is compared with what should be.
func (s *Blobs) Put(ctx context.Context, name string, parts ...[]byte) error {
	if err := s.check(ctx, name); err != nil {
		return fmt.Errorf("put blob: %w", err)
	}
	b := s.space.order(name)[0]
	if err := b.make(ctx, s.space.root+name, parts); err != nil {
		return fmt.Errorf("put blob %s: %w", name, b.explain(err))
	}
	return nil
}

// make makes an object, in as many tries as it takes.
func (b bucket) make(ctx context.Context, key string, parts [][]byte) error {
	pauses := b.pauses()
	var lost error // the last outcome that nobody knows
	for try := 1; ; try++ {
		_, err := b.put(ctx, key, condition{}, "", parts...)
		resp, answered := response(err)
		taken := resp.StatusCode == http.StatusPreconditionFailed
		switch {
		case err == nil:
			return nil
		case taken && lost == nil:
			return blobs.ErrExists
		case !taken && refused(err) && !transient(err), noSpace(resp):
			return err
		case !taken:
			lost = err
		}
		// A store may refuse a large body by a reset, so what is there is looked at before
		// everything is sent again.
		if taken || !answered && !unsent(err) {
			err := b.settle(ctx, key, parts)
			if err == nil || errors.Is(err, blobs.ErrExists) {
				return err
			}
			if !errors.Is(err, errAbsent) {
				return fmt.Errorf("%w, after: %w", err, lost)
			}
		}
		if try == tries || !wait(ctx, pauses) {
			return errors.Join(lost, ctx.Err())
		}
	}
}

// settle finds out what became of a PUT: nil if the object is there with these
// bytes, ErrExists if it has others, errAbsent if there is none yet.
func (b bucket) settle(ctx context.Context, key string, parts [][]byte) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	r, err := b.reader(ctx, key, span{0, -1})
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }() // it was only read
	want := newPayload(parts)
	if r.rest.n != want.size {
		return blobs.ErrExists
	}
	same, err := equal(r, want)
	if err == nil && !same {
		err = blobs.ErrExists
	}
	return err
}

// equal reports whether both readers, of the same length, yield the same bytes.
func equal(a, b io.Reader) (bool, error) {
	var x, y [32 << 10]byte
	for {
		n, err := io.ReadFull(a, x[:])
		if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
			return false, err
		}
		if _, errB := io.ReadFull(b, y[:n]); errB != nil {
			return false, errB
		}
		if !bytes.Equal(x[:n], y[:n]) {
			return false, nil
		}
		if err != nil {
			return true, nil
		}
	}
}

// Open implements blobs.Store.
func (s *Blobs) Open(ctx context.Context, name string, off, n int64) (io.ReadCloser, error) {
	if err := s.check(ctx, name); err != nil {
		return nil, fmt.Errorf("open blob: %w", err)
	}
	if off < 0 || n == 0 || n > 0 && off+n < 0 {
		return s.openNothing(ctx, name, off, n)
	}
	var r *reader
	err := s.space.find(ctx, name, func(b bucket) (err error) {
		r, err = b.reader(ctx, s.space.root+name, span{off, n})
		return err
	})
	if resp, _ := response(err); resp.StatusCode == http.StatusRequestedRangeNotSatisfiable {
		return s.openNothing(ctx, name, off, n)
	}
	if err != nil {
		return nil, fmt.Errorf("open blob %s: %w", name, err)
	}
	return r, nil
}

// openNothing opens a range without bytes, which no request can ask for, or says
// that the range leaves the blob.
func (s *Blobs) openNothing(ctx context.Context, name string, off, n int64) (io.ReadCloser, error) {
	info, err := s.Stat(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("open blob: %w", err)
	}
	left, err := blobs.Span(info.Size, off, n)
	if err != nil {
		return nil, fmt.Errorf("open blob %s: %w", name, err)
	}
	if left > 0 {
		return nil, fmt.Errorf("open blob %s: the store has no bytes %d+%d of %d: %w", name, off, n, info.Size, ErrAnswer)
	}
	return http.NoBody, nil
}

// Stat implements blobs.Store.
func (s *Blobs) Stat(ctx context.Context, name string) (blobs.Info, error) {
	if err := s.check(ctx, name); err != nil {
		return blobs.Info{}, fmt.Errorf("stat blob: %w", err)
	}
	var info minio.ObjectInfo
	err := s.space.find(ctx, name, func(b bucket) (err error) {
		info, err = b.head(ctx, s.space.root+name)
		return err
	})
	if err != nil {
		return blobs.Info{}, fmt.Errorf("stat blob %s: %w", name, err)
	}
	return blobs.Info{Name: name, Size: info.Size, Modified: info.LastModified}, nil
}

// PresignGet returns a URL by which anybody can read the blob for that long.
func (s *Blobs) PresignGet(ctx context.Context, name string, ttl time.Duration) (string, error) {
	if err := s.check(ctx, name); err != nil {
		return "", fmt.Errorf("presign blob: %w", err)
	}
	b := s.space.order(name)[0]
	if len(s.space.buckets()) > 1 {
		err := s.space.find(ctx, name, func(at bucket) error {
			b = at
			_, err := at.head(ctx, s.space.root+name)
			return err
		})
		if err != nil {
			return "", fmt.Errorf("presign blob %s: %w", name, err)
		}
	}
	url, err := b.core.PresignedGetObject(ctx, b.name, s.space.root+name, ttl, nil)
	if err != nil {
		return "", fmt.Errorf("presign blob %s: %w", name, b.explain(err))
	}
	return url.String(), nil
}

// check is what every call that takes a name begins with. Names of our own are not
// names of blobs.
func (s *Blobs) check(ctx context.Context, name string) error {
	if err := blobs.CheckName(name); err != nil {
		return err
	}
	if reserved(name) {
		return fmt.Errorf("blob %.80q: the name is the store's own: %w", name, blobs.ErrName)
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}
