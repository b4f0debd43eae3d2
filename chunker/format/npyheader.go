package format

import (
	"bytes"
	"strconv"
	"strings"
)

// numpyHeader is what stands in front of an array. In which order it lies makes
// no difference to its bytes.
type numpyHeader struct {
	descr string
	shape []uint64
}

// literal reads the few Python literals that a header of NumPy has. All its
// errors wrap ErrMalformed or errBeyond.
type literal struct {
	rest []byte
}

// parseNumPyHeader reads a dict of exactly descr, fortran_order and shape, in any
// order, and white space behind it.
func parseNumPyHeader(header []byte) (numpyHeader, error) {
	l := literal{header}
	h, err := l.dict()
	if err != nil {
		return numpyHeader{}, err
	}
	if l.space(); len(l.rest) > 0 {
		return numpyHeader{}, malformedf("header goes on after its dict with %.20q", l.rest)
	}
	return h, nil
}

func (l *literal) dict() (h numpyHeader, err error) {
	if len(l.rest) == 0 || l.rest[0] != '{' { // Python takes no space here
		return h, malformedf("header starts with %.20q, want {", l.rest)
	}
	seen := make(map[string]bool)
	err = l.list('{', '}', func() error {
		key, err := l.text()
		if err != nil {
			return err
		}
		if seen[key] {
			return malformedf("key %.120q is there twice", key)
		}
		seen[key] = true
		if err := l.want(':'); err != nil {
			return err
		}
		return l.field(&h, key)
	})
	if err == nil && len(seen) != 3 {
		err = malformedf("want descr, fortran_order and shape")
	}
	return h, err
}

// field reads the value of one key.
func (l *literal) field(h *numpyHeader, key string) (err error) {
	switch key {
	case "descr":
		if l.peek() == '[' || l.peek() == '(' {
			return errBeyond // elements of many fields
		}
		h.descr, err = l.text()
	case "fortran_order":
		err = l.boolean()
	case "shape":
		h.shape, err = l.tuple()
	default:
		return malformedf("key %.120q is not known", key)
	}
	return err
}

// list reads items between open and end, with commas between them and maybe one
// behind the last.
func (l *literal) list(open, end byte, item func() error) error {
	if err := l.want(open); err != nil {
		return err
	}
	for l.peek() != end {
		if err := item(); err != nil {
			return err
		}
		if l.peek() == end {
			break
		}
		if err := l.want(','); err != nil {
			return err
		}
	}
	return l.want(end)
}

// tuple reads a tuple of integers.
func (l *literal) tuple() ([]uint64, error) {
	numbers := []uint64{}
	before := l.rest
	err := l.list('(', ')', func() error {
		n, err := l.integer()
		numbers = append(numbers, n)
		return err
	})
	if text := before[:len(before)-len(l.rest)]; err == nil && len(numbers) == 1 && bytes.IndexByte(text, ',') < 0 {
		return nil, malformedf("shape %s is a number, want a tuple", text)
	}
	return numbers, err
}

// integer reads an integer as Python writes it: without zeros in front, and in
// version 2 with an L behind.
func (l *literal) integer() (uint64, error) {
	l.space()
	text := l.take("+-0123456789")
	if bytes.HasPrefix(l.rest, []byte("L")) {
		l.rest = l.rest[1:]
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || text != strconv.FormatUint(n, 10) {
		return 0, malformedf("shape: %.40q is not an integer of 0 to 2^64-1", text)
	}
	return n, nil
}

func (l *literal) boolean() error {
	l.space()
	const letters = "aeflrstuFT"
	if word := l.take(letters); word != "True" && word != "False" {
		return malformedf("fortran_order: %.40q is neither True nor False", word)
	}
	return nil
}

// text reads a string without escapes, which no type needs.
func (l *literal) text() (string, error) {
	quote := l.peek()
	if quote != '\'' && quote != '"' {
		return "", malformedf("header at %.20q: want a string", l.rest)
	}
	end := bytes.IndexByte(l.rest[1:], quote)
	if end < 0 {
		return "", malformedf("header ends inside a string")
	}
	text := string(l.rest[1 : 1+end])
	if strings.ContainsAny(text, "\\\n\r\x00") {
		return "", malformedf("header has %.120q, want a plain string", text)
	}
	l.rest = l.rest[end+2:]
	return text, nil
}

// take returns the bytes in front that are in set.
func (l *literal) take(set string) string {
	rest := bytes.TrimLeft(l.rest, set)
	text := string(l.rest[:len(l.rest)-len(rest)])
	l.rest = rest
	return text
}

// want reads one byte.
func (l *literal) want(b byte) error {
	if l.peek() != b {
		return malformedf("header at %.20q: want %c", l.rest, b)
	}
	l.rest = l.rest[1:]
	return nil
}

// peek returns the next byte behind white space, 0 at the end.
func (l *literal) peek() byte {
	if l.space(); len(l.rest) == 0 {
		return 0
	}
	return l.rest[0]
}

func (l *literal) space() { l.take(" \t\r\n") }
