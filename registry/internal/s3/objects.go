package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
)

// ErrObjectChanged reports an object that is not there any more as it was listed.
var ErrObjectChanged = errors.New("the object has changed since it was listed")

// Objects are objects that others keep below a location, which are only read. It is
// safe for concurrent use.
type Objects struct {
	space *Space
}

// Object is what a list says of one.
type Object struct {
	Name     string // below the location
	Size     int64  // bytes
	ETag     string
	Modified time.Time
}

// OpenObjects connects to a store as Dial does.
func OpenObjects(ctx context.Context, loc Location) (*Objects, error) {
	space, err := Dial(ctx, loc, Options{})
	if err != nil {
		return nil, err
	}
	return &Objects{space}, nil
}

// Close ends the connections that nobody uses.
func (o *Objects) Close() error { return o.space.Close() }

// Folders lists what lies directly below the location and has a slash behind its
// name, at most most of them.
func (o *Objects) Folders(ctx context.Context, most int) (names []string, err error) {
	b := o.space.home()
	err = b.again(ctx, func() error {
		names = nil
		ctx, cancel := context.WithCancel(ctx) // ends a list that is not read to its end
		defer cancel()
		opts := minio.ListObjectsOptions{Prefix: o.space.root, MaxKeys: pageSize, FetchOwner: new(bool)}
		for object := range b.core.ListObjectsIter(ctx, b.name, opts) {
			if object.Err != nil {
				return object.Err
			}
			name, isFolder := strings.CutSuffix(strings.TrimPrefix(object.Key, o.space.root), "/")
			if !isFolder || name == "" || strings.Contains(name, "/") {
				continue
			}
			if names = append(names, name); len(names) == most {
				return nil
			}
		}
		return ctx.Err()
	})
	if err != nil {
		return nil, b.explain(err)
	}
	return names, nil
}

// List yields the objects whose names start with prefix, in byte order.
func (o *Objects) List(ctx context.Context, prefix string) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		b, root := o.space.home(), o.space.root
		for object, err := range b.list(ctx, root+prefix, "", pageSize) {
			if err != nil {
				yield(Object{}, b.explain(err))
				return
			}
			name := strings.TrimPrefix(object.Key, root)
			if object.Size < 0 || !validETag(object.ETag) {
				yield(Object{}, fmt.Errorf("list %.80q: %.120q has %d bytes and the ETag %.80q: %w", prefix, name, object.Size, object.ETag, ErrAnswer))
				return
			}
			if !yield(Object{name, object.Size, object.ETag, object.LastModified}, nil) {
				return
			}
		}
	}
}

// Open opens n bytes of an object from offset on, if it has that ETag.
func (o *Objects) Open(ctx context.Context, name, etag string, offset, n int64) (io.ReadCloser, error) {
	b := o.space.home()
	r, err := b.readerOf(ctx, o.space.root+name, span{offset, n}, etag)
	if resp, ok := response(err); errors.Is(err, errAbsent) || ok && resp.StatusCode == http.StatusPreconditionFailed {
		return nil, fmt.Errorf("object %.200q: %w", name, ErrObjectChanged)
	}
	if err != nil {
		return nil, b.explain(err)
	}
	return r, nil
}
