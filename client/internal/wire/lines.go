package wire

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
)

// MaxLine bounds a line of Lines in bytes.
const MaxLine = 64 << 20

// ErrLine reports a line of more than MaxLine bytes.
var ErrLine = errors.New("line too long")

// Lines yields the lines of a stream until it ends, and then why it did: io.EOF
// behind a whole line is a stream that was ended in order. A line is valid until the
// next; empty ones are left out.
func Lines(r io.Reader) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		buffered := bufio.NewReader(r)
		var line []byte
		for {
			part, err := buffered.ReadSlice('\n')
			line = append(line, part...)
			switch {
			case len(line) > MaxLine:
				yield(nil, fmt.Errorf("%w: more than %d bytes", ErrLine, MaxLine))
				return
			case errors.Is(err, bufio.ErrBufferFull):
				continue
			case errors.Is(err, io.EOF) && len(line) > 0:
				err = io.ErrUnexpectedEOF
			}
			if err != nil {
				yield(nil, err)
				return
			}
			if line = bytes.TrimSpace(line); len(line) > 0 && !yield(line, nil) {
				return
			}
			line = line[:0]
		}
	}
}
