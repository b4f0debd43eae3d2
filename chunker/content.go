package chunker

import (
	"fmt"
	"io"
	"iter"
	"sync"

	cdc "github.com/PlakarKorp/go-cdc-chunkers"
	_ "github.com/PlakarKorp/go-cdc-chunkers/chunkers/fastcdc" // the algorithm named below
)

// The parameters of content-defined cutting. As with MaxSize, they are part of
// the format; docs/formats/chunking.md has the algorithm they go with.
const (
	contentAlgorithm = "fastcdc-v1.0.0"
	contentMin       = 256 << 10
	contentNormal    = 1 << 20
)

// scanBuffers lends the windows that contents are cut in. A model has dozens of
// small files, and each would zero megabytes to cut a few.
var scanBuffers = sync.Pool{New: func() any { return new([2 * MaxSize]byte) }}

// CutContent cuts bytes of unknown structure where their content says so, by
// FastCDC: chunks of 256 KiB to 2 MiB, 1 MiB normally; the last may be shorter.
// At most 256 KiB make one chunk, no bytes make none. All cuts are Opaque.
//
// It reads r once, ahead of the cuts by at most 4 MiB, and ends with the first
// error, which wraps that of r.
func CutContent(r io.Reader) iter.Seq2[Cut, error] {
	return func(yield func(Cut, error) bool) {
		buf := scanBuffers.Get().(*[2 * MaxSize]byte)
		defer scanBuffers.Put(buf)
		chunks, err := cdc.NewChunkerBuffer(contentAlgorithm, r, contentOptions(), buf[:])
		if err != nil {
			yield(Cut{}, fmt.Errorf("cut content: %w", err))
			return
		}
		var offset int64
		for {
			chunk, err := chunks.Next()
			if err != nil && err != io.EOF {
				yield(Cut{}, fmt.Errorf("cut content at byte %d: %w", offset, err))
				return
			}
			// A short last chunk comes together with io.EOF.
			if len(chunk) > 0 && !yield(Cut{Offset: offset, Length: len(chunk)}, nil) {
				return
			}
			if err == io.EOF {
				return
			}
			offset += int64(len(chunk))
		}
	}
}

// contentOptions returns fresh options, since the library keeps and fills in
// those it is given.
func contentOptions() *cdc.ChunkerOpts {
	return &cdc.ChunkerOpts{MinSize: contentMin, NormalSize: contentNormal, MaxSize: MaxSize}
}
