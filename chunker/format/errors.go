package format

import (
	"errors"
	"fmt"
)

// ErrMalformed reports a file that is not what its name claims. It is permanent.
var ErrMalformed = errors.New("malformed file")

// errBeyond reports a legal file that is more than this package or a manifest
// describes.
var errBeyond = errors.New("file beyond what is described")

// malformed is an ErrMalformed that says only what is wrong, since the file's
// name in front of it makes a whole sentence.
type malformed string

func malformedf(format string, args ...any) error {
	return malformed(fmt.Sprintf(format, args...))
}

func (m malformed) Error() string { return string(m) }

func (m malformed) Unwrap() error { return ErrMalformed }
