package s3

import (
	"errors"
	"fmt"
	"strings"

	"github.com/minio/minio-go/v7/pkg/s3utils"

	"github.com/ingot-ml/ingot/registry/internal/blobs"
)

// ErrLocation reports a text that names no place in a store.
var ErrLocation = errors.New("want s3://BUCKET or s3://BUCKET/PREFIX")

const scheme = "s3://"

// maxPrefix leaves room for the longest name of a blob, and for scratch spaces, in
// a key of 1024 bytes, which is all that stores take.
const maxPrefix = 256

// Location is a place in a store: everything below one prefix of a bucket.
type Location struct {
	Bucket string
	Prefix string // without slashes at its ends; "" is the whole bucket
}

// Parse reads s3://BUCKET[/PREFIX].
func Parse(url string) (Location, error) {
	rest, ok := strings.CutPrefix(url, scheme)
	if !ok {
		return Location{}, fmt.Errorf("store %.200q: %w", url, ErrLocation)
	}
	bucket, prefix, _ := strings.Cut(rest, "/")
	if prefix == "/" {
		return Location{}, fmt.Errorf("store %.200q: %w", url, ErrLocation)
	}
	loc := Location{bucket, strings.TrimSuffix(prefix, "/")}
	return loc, loc.check()
}

// String returns the location as Parse reads it.
func (l Location) String() string {
	if l.Prefix == "" {
		return scheme + l.Bucket
	}
	return scheme + l.Bucket + "/" + l.Prefix
}

func (l Location) check() error {
	if err := checkBucket(l.Bucket); err != nil {
		return err
	}
	if l.Prefix == "" {
		return nil
	}
	if err := blobs.CheckName(l.Prefix); err != nil || len(l.Prefix) > maxPrefix {
		return fmt.Errorf("prefix %.200q: %w: at most %d bytes, in segments of A-Z a-z 0-9 . _ - that start with no dot",
			l.Prefix, ErrLocation, maxPrefix)
	}
	return nil
}

func checkBucket(name string) error {
	if err := s3utils.CheckValidBucketNameStrict(name); err != nil {
		return fmt.Errorf("bucket %.100q: %w: 3 to 63 of a-z 0-9 - and dots between them", name, ErrLocation)
	}
	return nil
}

// root returns what the keys of everything below the location start with.
func (l Location) root() string {
	if l.Prefix == "" {
		return ""
	}
	return l.Prefix + "/"
}
