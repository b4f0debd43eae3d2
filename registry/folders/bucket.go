package folders

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/ingot-ml/ingot/registry/internal/s3"
)

// OpenBucket opens s3://BUCKET[/PREFIX] in the store that the environment names, as
// for a registry's own. What lies directly below the prefix in folders are models.
func OpenBucket(ctx context.Context, url string) (Root, error) {
	loc, err := s3.Parse(url)
	if err != nil {
		return nil, err
	}
	objects, err := s3.OpenObjects(ctx, loc)
	if err != nil {
		return nil, err
	}
	return &bucket{objects}, nil
}

type bucket struct{ objects *s3.Objects }

// Close implements Root.
func (b *bucket) Close() error { return b.objects.Close() }

// Models implements Root.
func (b *bucket) Models(ctx context.Context) ([]string, error) {
	names, err := b.objects.Folders(ctx, maxModels)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSource, err)
	}
	return slices.DeleteFunc(names, hidden), nil
}

// Files implements Root.
func (b *bucket) Files(ctx context.Context, model string) ([]File, error) {
	if hidden(model) || strings.Contains(model, "/") {
		return nil, nil
	}
	var files []File
	for o, err := range b.objects.List(ctx, model+"/") {
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrSource, err)
		}
		p := strings.TrimPrefix(o.Name, model+"/")
		if p == "" || strings.HasSuffix(p, "/") || hidden(p) || strings.Contains(p, "/.") {
			continue // marks of folders, and what is not shown
		}
		if files = append(files, File{Path: p, Size: o.Size, Mark: o.ETag, Modified: o.Modified}); len(files) > maxFiles {
			return nil, fmt.Errorf("%w: folder %.80q has more than %d files", ErrSource, model, maxFiles)
		}
	}
	return files, nil
}

// Open implements Root. The store itself compares the ETag.
func (b *bucket) Open(ctx context.Context, model string, f File, offset, n int64) (io.ReadCloser, error) {
	r, err := b.objects.Open(ctx, model+"/"+f.Path, f.Mark, offset, n)
	if errors.Is(err, s3.ErrObjectChanged) {
		return nil, fmt.Errorf("%s/%s: %w", model, f.Path, ErrChanged)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSource, err)
	}
	return r, nil
}
