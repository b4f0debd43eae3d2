package blobs

import (
	"context"
	"fmt"
	"io"
)

// Read returns a whole blob of at most limit bytes.
func Read(ctx context.Context, s Store, name string, limit int64) ([]byte, error) {
	info, err := s.Stat(ctx, name)
	if err != nil {
		return nil, err
	}
	if info.Size > limit {
		return nil, fmt.Errorf("read blob %q: %d bytes, at most %d expected", name, info.Size, limit)
	}
	b := make([]byte, info.Size)
	return b, ReadInto(ctx, s, name, 0, b)
}

// ReadInto fills b from the blob, starting at off.
func ReadInto(ctx context.Context, s Store, name string, off int64, b []byte) error {
	r, err := s.Open(ctx, name, off, int64(len(b)))
	if err != nil {
		return err
	}
	defer r.Close()
	if _, err := io.ReadFull(r, b); err != nil {
		return fmt.Errorf("read blob %q: %w", name, err)
	}
	return nil
}
