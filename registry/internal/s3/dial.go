package s3

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/url"
	"slices"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/s3utils"
)

// Dial connects to a store as the environment says: AWS_ENDPOINT_URL_S3 or
// AWS_ENDPOINT_URL, AWS_REGION or AWS_DEFAULT_REGION, and credentials from AWS_*
// variables, the files of AWS_PROFILE, a web identity, or the machine's role. It
// fails when a bucket cannot be listed.
func Dial(ctx context.Context, loc Location, opts Options) (*Space, error) {
	names, err := checkBuckets(loc, opts.Buckets)
	if err != nil {
		return nil, err
	}
	s, err := connect(ctx, opts)
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", loc, err)
	}
	var t *turns
	if opts.Alone {
		t = newTurns()
	}
	space := newSpace(s, loc, names, t)
	for _, b := range space.buckets() {
		if err := b.reach(ctx, space.root); err != nil {
			return nil, fmt.Errorf("open store %s: %w", loc, b.explain(err))
		}
	}
	return space, nil
}

// checkBuckets returns the names of all buckets, that of the location first.
func checkBuckets(loc Location, more []string) ([]string, error) {
	if err := loc.check(); err != nil {
		return nil, err
	}
	names := []string{loc.Bucket}
	for _, name := range more {
		if err := checkBucket(name); err != nil {
			return nil, err
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names, nil
}

// connect returns a store with credentials.
func connect(ctx context.Context, opts Options) (*store, error) {
	set, err := readSettings()
	if err != nil {
		return nil, err
	}
	creds, err := credentialsOf(ctx, set)
	if err != nil {
		return nil, err
	}
	transport := opts.Transport
	if transport == nil {
		if transport, err = NewTransport(); err != nil {
			return nil, err
		}
	}
	lookup := minio.BucketLookupPath
	if s3utils.IsAmazonEndpoint(*set.endpoint) {
		lookup = minio.BucketLookupAuto
	}
	core, err := minio.NewCore(set.endpoint.Host, &minio.Options{
		Creds:        creds,
		Secure:       set.endpoint.Scheme == "https",
		Transport:    guarded{transport},
		Region:       set.region,
		BucketLookup: lookup,
		MaxRetries:   1, // minio-go repeats writes whose answer was lost
	})
	if err != nil {
		return nil, fmt.Errorf("endpoint %s: %w", set.endpoint.Redacted(), err)
	}
	s := &store{core: core, endpoint: set.endpoint.Redacted(), rand: opts.Rand, logger: opts.Logger, transport: transport, pause: firstPause}
	if s.rand == nil {
		s.rand = rand.Reader
	}
	s.logger = cmp.Or(s.logger, slog.New(slog.DiscardHandler))
	return s, nil
}

// reach lists one object, which finds out whether the bucket is there and whether
// the store takes our credentials and our clock.
func (b bucket) reach(ctx context.Context, root string) error {
	return b.again(ctx, func() error {
		for object := range b.core.ListObjectsIter(ctx, b.name, minio.ListObjectsOptions{Prefix: root, Recursive: true, MaxKeys: 1}) {
			if unsent(object.Err) {
				return b.explain(object.Err)
			}
			return object.Err
		}
		return ctx.Err()
	})
}

// endpointOf reads the address of a store.
func endpointOf(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.Path != "" && u.Path != "/" || u.User != nil || u.RawQuery != "" {
		return nil, fmt.Errorf("AWS_ENDPOINT_URL is %.200q, want http://HOST:PORT or https://HOST", plainText(text))
	}
	return u, nil
}
