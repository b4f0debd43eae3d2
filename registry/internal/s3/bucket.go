package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"strconv"
	"strings"

	"github.com/minio/minio-go/v7"
)

// bucket is one bucket of a store, and what we ask of it. Keys are whole: nothing
// here knows of prefixes. Errors are those of minio-go; explain makes them readable.
type bucket struct {
	*store
	name string
}

// condition is what a PUT wants to find. The zero value wants nothing to be there.
type condition struct {
	etag string // of the object that is there
}

// put is one try to write an object, and returns its new ETag. hash is the sha256 of
// the bytes in hex; without one their CRC32C is sent. It never repeats a request:
// who repeats a write must know of it.
func (b bucket) put(ctx context.Context, key string, want condition, hash string, parts ...[]byte) (string, error) {
	opts := minio.PutObjectOptions{DisableMultipart: true, DisableContentSha256: true, ContentType: "application/octet-stream"}
	if want.etag == "" {
		opts.SetMatchETagExcept("*")
	} else {
		opts.SetMatchETag(want.etag)
	}
	if hash == "" {
		opts.UserMetadata = map[string]string{"x-amz-checksum-crc32c": crc32c(parts)}
	}
	body := newPayload(parts)
	defer body.end()
	info, err := b.core.PutObject(ctx, b.name, key, body, body.size, "", hash, opts)
	if err != nil {
		return "", err
	}
	if !validETag(info.ETag) {
		return "", fmt.Errorf("put %s: ETag %.80q: %w", key, info.ETag, ErrAnswer)
	}
	return info.ETag, nil
}

// validETag reports whether an ETag is one that a later request can carry.
func validETag(etag string) bool {
	for i := range len(etag) {
		if etag[i] <= ' ' || etag[i] >= 0x7f || etag[i] == '"' {
			return false
		}
	}
	return etag != "" && len(etag) <= maxETag
}

const maxETag = 256 // bytes

// head returns what the store knows of an object. Here and below, one that is not
// there is errAbsent.
func (b bucket) head(ctx context.Context, key string) (info minio.ObjectInfo, err error) {
	err = b.again(ctx, func() error {
		info, err = b.core.StatObject(ctx, b.name, key, minio.StatObjectOptions{})
		if resp, ok := response(err); ok && resp.StatusCode == http.StatusNotFound {
			return errAbsent // an answer without a body, so this is all there is to know
		}
		return err
	})
	return info, err
}

// span is a part of an object; n < 0 means all that follow off.
type span struct{ off, n int64 }

func (s span) whole() bool { return s.off == 0 && s.n < 0 }

// header returns the span as a Range has it. It has at least one byte.
func (s span) header() string {
	if s.n < 0 {
		return "bytes=" + strconv.FormatInt(s.off, 10) + "-"
	}
	return "bytes=" + strconv.FormatInt(s.off, 10) + "-" + strconv.FormatInt(s.off+s.n-1, 10)
}

// get is one try to read a part of an object, of that ETag unless it is "". The
// reader yields info.Size bytes, if the store keeps its word.
func (b bucket) get(ctx context.Context, key string, part span, etag string) (io.ReadCloser, minio.ObjectInfo, error) {
	var opts minio.GetObjectOptions
	if !part.whole() {
		opts.Set("Range", part.header())
	}
	if etag != "" {
		opts.Set("If-Match", strconv.Quote(etag))
	}
	body, info, header, err := b.core.GetObject(ctx, b.name, key, opts)
	if absent(err) {
		return nil, info, errAbsent
	}
	if err != nil {
		return nil, info, err
	}
	if err := checkPart(part, info, header); err != nil {
		return nil, info, errors.Join(fmt.Errorf("get %s: %w", key, err), body.Close())
	}
	return body, info, nil
}

// errRange reports a range that leaves the object.
var errRange = fmt.Errorf("range leaves the object: %w", io.ErrUnexpectedEOF)

// checkPart holds an answer to what was asked for: a store that knows no ranges
// answers with the whole, and one beyond whose end a range goes with less.
func checkPart(part span, info minio.ObjectInfo, header http.Header) error {
	if info.Size < 0 {
		return fmt.Errorf("no length: %w", ErrAnswer)
	}
	if part.whole() {
		return nil
	}
	var first, last, size int64
	got := header.Get("Content-Range")
	if _, err := fmt.Sscanf(got, "bytes %d-%d/%d", &first, &last, &size); err != nil || first != part.off || last-first+1 != info.Size {
		return fmt.Errorf("%s is answered with %.80q: %w", part.header(), got, ErrAnswer)
	}
	if part.n >= 0 && info.Size < part.n || part.n < 0 && last != size-1 {
		return fmt.Errorf("%s of %d bytes: %w", part.header(), size, errRange)
	}
	if part.n >= 0 && info.Size > part.n {
		return fmt.Errorf("%s is answered with %.80q: %w", part.header(), got, ErrAnswer)
	}
	return nil
}

// small reads a whole object of at most most bytes, and its ETag.
func (b bucket) small(ctx context.Context, key string, most int64) (val []byte, etag string, err error) {
	err = b.again(ctx, func() error {
		val, etag, err = b.smallOnce(ctx, key, most)
		return err
	})
	return val, etag, err
}

func (b bucket) smallOnce(ctx context.Context, key string, most int64) ([]byte, string, error) {
	body, info, err := b.get(ctx, key, span{0, -1}, "")
	if err != nil {
		return nil, "", err
	}
	defer body.Close()
	if info.Size > most || !validETag(info.ETag) {
		return nil, "", fmt.Errorf("%s has %d bytes and the ETag %.80q, want at most %d bytes: %w", key, info.Size, info.ETag, most, ErrAnswer)
	}
	val := make([]byte, info.Size)
	if _, err := io.ReadFull(body, val); err != nil {
		return nil, "", fmt.Errorf("read %s: %w", key, err)
	}
	return val, info.ETag, nil
}

// list yields the objects whose keys start with prefix and are greater than after,
// in byte order, in pages of size. It goes on where it was when a page fails.
func (b bucket) list(ctx context.Context, prefix, after string, size int) iter.Seq2[minio.ObjectInfo, error] {
	return func(yield func(minio.ObjectInfo, error) bool) {
		if after > prefix && !strings.HasPrefix(after, prefix) {
			return // all of them come before
		}
		// Of a page of one, MinIO gives the object whose key is the prefix, and says that
		// there is no more.
		s := &scan{bucket: b, prefix: prefix, last: after, size: max(size, 2)}
		pauses := b.pauses()
		for try := 1; ; try++ {
			before := s.last
			err := s.run(ctx, yield)
			if err == nil || s.stopped {
				return
			}
			if s.last != before { // it moves on
				try = 1
				pauses.Reset()
			}
			if try == tries || !transient(err) || !wait(ctx, pauses) {
				yield(minio.ObjectInfo{}, err)
				return
			}
		}
	}
}

// scan is a list on its way.
type scan struct {
	bucket
	prefix, last string
	size         int
	stopped      bool // by who reads it
}

// run lists on from where the scan is.
func (s *scan) run(ctx context.Context, yield func(minio.ObjectInfo, error) bool) error {
	from := s.last
	opts := minio.ListObjectsOptions{Prefix: s.prefix, Recursive: true, MaxKeys: s.size, FetchOwner: new(bool)}
	if from > s.prefix { // otherwise it says nothing, and some stores refuse it
		opts.StartAfter = from
	}
	for object := range s.core.ListObjectsIter(ctx, s.name, opts) {
		switch {
		case object.Err != nil:
			return object.Err
		case !strings.HasPrefix(object.Key, s.prefix):
			return fmt.Errorf("list %.80q: %.80q is in it: %w", s.prefix, object.Key, ErrAnswer)
		case object.Key <= from:
			continue
		case object.Key <= s.last:
			return fmt.Errorf("list %.80q: %.80q comes after %.80q: %w", s.prefix, object.Key, s.last, ErrAnswer)
		}
		s.last = object.Key
		if !yield(object, nil) {
			s.stopped = true
			return nil
		}
	}
	return ctx.Err() // for which minio-go just ends
}

// below returns up to a page of what is directly below prefix, in no order: objects,
// and folders, which end in a slash.
func (b bucket) below(ctx context.Context, prefix string) (names []string, err error) {
	err = b.again(ctx, func() error {
		names = nil
		opts := minio.ListObjectsOptions{Prefix: prefix, MaxKeys: pageSize, FetchOwner: new(bool)}
		for object := range b.core.ListObjectsIter(ctx, b.name, opts) {
			if object.Err != nil || len(names) == pageSize {
				return object.Err
			}
			names = append(names, strings.TrimPrefix(object.Key, prefix))
		}
		return ctx.Err()
	})
	return names, err
}

const pageSize = 1000 // keys, the most that stores give
