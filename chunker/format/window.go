package format

import "io"

// minWindow and maxWindow are how many bytes are read at a time.
const (
	minWindow = 4 << 10
	maxWindow = 64 << 10
)

// window shows a file that may be larger than memory, a few KiB at a time.
type window struct {
	r     io.ReaderAt
	size  int64
	held  []byte // the bytes from start on
	start int64
}

// at returns n bytes of the file, which has them, until the next call. n is at
// most minWindow. It reads few bytes after a jump, more and more while the calls
// go on where the last ones ended.
func (w *window) at(pos, n int64) ([]byte, error) {
	end := w.start + int64(len(w.held))
	if pos < w.start || pos+n > end {
		ahead := int64(minWindow)
		if pos >= w.start && pos <= end {
			ahead = min(max(2*int64(len(w.held)), minWindow), maxWindow)
		}
		if w.held == nil {
			w.held = make([]byte, 0, min(w.size, maxWindow))
		}
		w.held = w.held[:min(ahead, w.size-pos)]
		w.start = pos
		if err := readFull(w.r, w.held, pos); err != nil {
			w.held = w.held[:0]
			return nil, err
		}
	}
	return w.held[pos-w.start:][:n], nil
}
