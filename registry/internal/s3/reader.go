package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/cenkalti/backoff/v5"
)

// reader reads a part of a blob. When the connection breaks it goes on with another
// one: a blob's bytes never change.
type reader struct {
	ctx    context.Context
	bucket bucket
	key    string
	etag   string
	rest   span // what was not read yet; n is known
	body   io.ReadCloser
	tries  int
	pauses *backoff.ExponentialBackOff
	failed error // for good
}

func (b bucket) reader(ctx context.Context, key string, part span) (*reader, error) {
	return b.readerOf(ctx, key, part, "")
}

// readerOf is reader for an object of that ETag unless it is "".
func (b bucket) readerOf(ctx context.Context, key string, part span, etag string) (*reader, error) {
	r := &reader{ctx: ctx, bucket: b, key: key, rest: part, tries: 1, pauses: b.pauses()}
	err := b.again(ctx, func() error {
		body, info, err := b.get(ctx, key, part, etag)
		if err == nil {
			r.body, r.etag, r.rest.n = body, info.ETag, info.Size
		}
		return err
	})
	return r, err
}

// Read implements io.Reader. Bytes that do not come are an error, never an end.
func (r *reader) Read(p []byte) (int, error) {
	for r.failed == nil {
		if r.rest.n == 0 {
			return 0, io.EOF
		}
		n, err := r.body.Read(p[:min(int64(len(p)), r.rest.n)])
		r.rest.off += int64(n)
		r.rest.n -= int64(n)
		if n > 0 || err == nil {
			return n, nil
		}
		r.resume(err)
	}
	return 0, r.failed
}

// resume opens what is left anew, or gives up.
func (r *reader) resume(err error) {
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	_ = r.body.Close() // it is broken
	r.body = http.NoBody
	for r.tries < tries && transient(err) && wait(r.ctx, r.pauses) {
		r.tries++
		var body io.ReadCloser
		if body, _, err = r.bucket.get(r.ctx, r.key, r.rest, r.etag); err == nil {
			r.body = body
			return
		}
	}
	if cause := r.ctx.Err(); cause != nil {
		err = cause
	} else if !errors.Is(err, io.ErrUnexpectedEOF) {
		err = fmt.Errorf("%w: %w", io.ErrUnexpectedEOF, r.bucket.explain(err))
	}
	r.failed = fmt.Errorf("read object %s: %d bytes are missing: %w", r.key, r.rest.n, err)
}

// Close lets the connection go. One with bytes on it that nobody has read is closed.
func (r *reader) Close() error { return r.body.Close() }
