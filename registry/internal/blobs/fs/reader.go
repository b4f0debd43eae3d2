package fs

import (
	"fmt"
	"io"
	"os"
)

// reader reads a range of a blob's file, which it owns.
type reader struct {
	file *os.File
	left io.LimitedReader // over file
}

// Read implements io.Reader. A file that ends before its range does fails.
func (r *reader) Read(p []byte) (int, error) {
	n, err := r.left.Read(p)
	if err == io.EOF {
		err = r.short(io.EOF)
	}
	return n, err
}

// WriteTo implements io.WriterTo. A network connection finds a file behind a
// limit, which is what it has sendfile for.
func (r *reader) WriteTo(w io.Writer) (int64, error) {
	n, err := io.Copy(w, &r.left)
	if err == nil {
		err = r.short(nil)
	}
	return n, err
}

// short returns end, if all bytes of the range were read.
func (r *reader) short(end error) error {
	if r.left.N > 0 {
		return fmt.Errorf("read blob file %s: %d bytes are missing: %w", r.file.Name(), r.left.N, io.ErrUnexpectedEOF)
	}
	return end
}

// Close closes the file.
func (r *reader) Close() error { return r.file.Close() }
