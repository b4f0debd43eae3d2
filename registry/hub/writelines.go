package hub

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

const (
	// maxLine bounds a line without contents, and maxLines all of them, in bytes: paths
	// as long as there are, and as many as a version has.
	maxLine  = 64 << 10
	maxLines = 64 << 20
)

var errLines = badRequest("the commit has longer lines than any commit needs")

// lines reads documents of JSON, one a line, without holding the contents of files:
// the text of a string under the key "content" is given away as it comes, and stands
// as "" in the line.
type lines struct {
	r     *bufio.Reader
	line  []byte
	most  int // bytes of all lines together
	total int
	count int // lines
}

func newLines(r io.Reader) *lines { return &lines{r: bufio.NewReaderSize(r, 64<<10), most: maxLines} }

// next returns the next line that is not empty; it is good until the next call.
// content gets the text of contents, of which it need not read all. It returns io.EOF
// when there are no more lines.
func (l *lines) next(content func(io.Reader) error) ([]byte, error) {
	for {
		l.line = l.line[:0]
		err := l.read(content)
		l.count++
		l.line = bytes.TrimSpace(l.line)
		if errors.Is(err, io.EOF) && len(l.line) > 0 {
			return l.line, nil // the next read is at the end again
		}
		if err != nil || len(l.line) > 0 {
			return l.line, err
		}
	}
}

// read reads to the end of the line.
func (l *lines) read(content func(io.Reader) error) error {
	key, inKey := "", false // the last string, and whether a colon follows it
	for {
		b, err := l.r.ReadByte()
		if err != nil {
			return err
		}
		switch {
		case b == '\n':
			return nil
		case b == '"' && inKey && key == "content":
			if err := l.giveAway(content); err != nil {
				return err
			}
			key, inKey = "", false
			continue
		case b == '"':
			if key, err = l.text(); err != nil {
				return err
			}
			inKey = false
			continue
		case b == ':':
			inKey = true
		case b != ' ' && b != '\t' && b != '\r':
			key, inKey = "", false
		}
		if err := l.put(b); err != nil {
			return err
		}
	}
}

// put adds a byte to the line.
func (l *lines) put(b byte) error {
	if len(l.line) == maxLine || l.total == l.most {
		return errLines
	}
	l.line = append(l.line, b)
	l.total++
	return nil
}

// text copies a string, whose first quote was read, and returns it as it is spelt.
func (l *lines) text() (string, error) {
	start := len(l.line) + 1
	for b, escaped := byte('"'), false; ; {
		if err := l.put(b); err != nil {
			return "", err
		}
		var err error
		if b, err = l.r.ReadByte(); err != nil {
			return "", cutOff(err)
		}
		if b == '"' && !escaped {
			text := string(l.line[start:])
			return text, l.put(b)
		}
		escaped = b == '\\' && !escaped
	}
}

// giveAway has content read a string, whose first quote was read, and passes over
// what it leaves.
func (l *lines) giveAway(content func(io.Reader) error) error {
	s := &stringReader{r: l.r}
	if err := content(s); err != nil {
		if s.err != nil && !errors.Is(s.err, io.EOF) {
			return s.err // it was not the content's fault
		}
		return err
	}
	if _, err := io.Copy(io.Discard, s); err != nil {
		return err
	}
	for range 2 {
		if err := l.put('"'); err != nil {
			return err
		}
	}
	return nil
}

// stringReader reads the text of a string of base64, to the quote behind it.
type stringReader struct {
	r   *bufio.Reader
	err error
}

// Read implements io.Reader.
func (s *stringReader) Read(p []byte) (n int, err error) {
	for n < len(p) && s.err == nil {
		var b byte
		if b, s.err = s.r.ReadByte(); s.err != nil {
			s.err = cutOff(s.err)
			break
		}
		if b == '\\' { // base64 needs no escapes, but some write "/" with one
			if b, s.err = s.r.ReadByte(); s.err != nil {
				s.err = cutOff(s.err)
				break
			}
			if b != '/' {
				s.err = badRequest("content of a file: it is not base64")
				break
			}
		} else if b == '"' {
			s.err = io.EOF
			break
		}
		p[n] = b
		n++
	}
	if n > 0 {
		return n, nil
	}
	return 0, s.err
}

// cutOff is what a body is that ends inside a string.
func cutOff(err error) error {
	if errors.Is(err, io.EOF) {
		return badRequest("the commit ends in the middle of a line")
	}
	return err
}
