package artifact

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/registry/manifest"
)

// mostUnpacked is how many times its length a layer may take when it is unpacked, and
// leastUnpacked what any may: what compresses better is no model, but an attack.
const (
	mostUnpacked  = 1100
	leastUnpacked = 1 << 20
)

// nameOf returns a file name for a path of any kind.
func nameOf(p string) string {
	h := sha256.Sum256([]byte(p))
	return hex.EncodeToString(h[:8])
}

// makeFolders makes the folders above a path.
func makeFolders(files *os.Root, p string) error {
	return files.MkdirAll(filepath.Dir(filepath.FromSlash(p)), 0o777)
}

// unpack makes the files of a layer that is a tar.
func (l *layer) unpack(ctx context.Context, part string, files *os.Root) error {
	f, err := os.Open(part)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // it was only read
	var in io.Reader = bufio.NewReaderSize(&reading{ctx, f}, 1<<20)
	if l.packed == gzipped {
		if in, err = gzip.NewReader(in); err != nil {
			return fmt.Errorf("%w: %w", err, client.ErrInput)
		}
	}
	left := l.Size*mostUnpacked + leastUnpacked
	for t := tar.NewReader(in); ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = entry(h, t, files, &left)
		}
		if err != nil && ctx.Err() == nil {
			return fmt.Errorf("%w: %w", err, client.ErrInput)
		}
		if err != nil {
			return err
		}
	}
}

// entry makes what one entry of a tar is.
func entry(h *tar.Header, content io.Reader, files *os.Root, left *int64) error {
	switch h.Typeflag {
	case tar.TypeDir, tar.TypeXGlobalHeader:
		return nil // folders are made for files
	case tar.TypeReg:
	default:
		return fmt.Errorf("%.200q is neither a file nor a folder", h.Name)
	}
	p := strings.TrimPrefix(h.Name, "./")
	if err := manifest.CheckPath(p); err != nil {
		return err
	}
	if *left -= h.Size; *left < 0 {
		return fmt.Errorf("%.200q of %d bytes is more than a layer of this size can hold", h.Name, h.Size)
	}
	if err := makeFolders(files, p); err != nil {
		return err
	}
	f, err := files.Create(filepath.FromSlash(p))
	if err != nil {
		return err
	}
	_, err = io.Copy(f, content)
	return errors.Join(err, f.Close())
}
