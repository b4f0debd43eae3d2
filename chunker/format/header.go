package format

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"unicode/utf8"
)

// maxDepth bounds the nesting of values that the header's reader skips.
const maxDepth = 64

// headerReader reads the JSON of a safetensors header by its tokens, because
// encoding/json alone keeps the last of two equal keys in silence, and another
// reader may keep the first. All its errors wrap ErrMalformed or errBeyond.
type headerReader struct {
	dec *json.Decoder
}

// parseHeader returns the tensors of a header in its order, with offsets that
// count from the start of the data. Each tensor's range fits its shape; where
// the tensors lie together is not checked.
func parseHeader(header []byte) ([]Tensor, error) {
	if !utf8.Valid(header) {
		return nil, malformedf("header is not UTF-8")
	}
	h := headerReader{json.NewDecoder(bytes.NewReader(header))}
	h.dec.UseNumber()
	var tensors []Tensor
	err := h.object(func(key string) error {
		if key == "__metadata__" {
			return h.metadata()
		}
		t, err := h.tensor(key)
		if err != nil {
			return fmt.Errorf("tensor %.120q: %w", key, err)
		}
		tensors = append(tensors, t)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if _, err := h.dec.Token(); !errors.Is(err, io.EOF) {
		return nil, malformedf("header goes on after its object")
	}
	return tensors, nil
}

// metadata reads an object of texts. It says nothing about the tensors.
func (h *headerReader) metadata() error {
	err := h.object(func(string) error {
		_, err := h.text()
		return err
	})
	if err != nil {
		return fmt.Errorf("__metadata__: %w", err)
	}
	return nil
}

// tensor reads the object of one tensor. Fields that it does not know are legal
// and skipped, as the reference implementation does.
func (h *headerReader) tensor(name string) (Tensor, error) {
	t := Tensor{Name: name}
	var offsets []uint64
	have := 0
	err := h.object(func(key string) (err error) {
		have++
		switch key {
		case "dtype":
			t.DType, err = h.text()
		case "shape":
			t.Shape, err = h.integers()
		case "data_offsets":
			offsets, err = h.integers()
		default:
			have--
			err = h.skip(maxDepth)
		}
		if err != nil {
			return fmt.Errorf("%.120q: %w", key, err)
		}
		return nil
	})
	if err != nil {
		return Tensor{}, err
	}
	if have != 3 {
		return Tensor{}, malformedf("want dtype, shape and data_offsets")
	}
	return t, t.place(offsets)
}

// place sets where t lies, and its element type, after it checked them against
// its shape.
func (t *Tensor) place(offsets []uint64) error {
	if len(t.Name) > maxName || len(t.DType) > maxDType || len(t.Shape) > maxRank {
		return errBeyond
	}
	if len(offsets) != 2 {
		return malformedf("data_offsets of %d numbers, want 2", len(offsets))
	}
	begin, end := offsets[0], offsets[1]
	if begin > end || end > math.MaxInt64 {
		return malformedf("data_offsets %d..%d", begin, end)
	}
	if t.DType == "" {
		return malformedf("dtype is empty")
	}
	elem, width := element(t.DType)
	if width > 0 {
		if err := checkShape(t.Shape, width, end-begin); err != nil {
			return err
		}
	}
	t.Elem, t.Offset, t.Length = elem, int64(begin), int64(end-begin)
	return nil
}

// token returns the next token.
func (h *headerReader) token() (json.Token, error) {
	tok, err := h.dec.Token()
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, malformedf("header ends inside its JSON")
	}
	if err != nil {
		return nil, malformedf("header at byte %d: %v", h.dec.InputOffset(), err)
	}
	return tok, nil
}

// object reads an object. field is called after each key, to read its value.
func (h *headerReader) object(field func(key string) error) error {
	if err := h.delim('{'); err != nil {
		return err
	}
	return h.members(field)
}

// members reads an object behind its opening brace.
func (h *headerReader) members(field func(key string) error) error {
	seen := make(map[string]struct{})
	for h.dec.More() {
		key, err := h.text()
		if err != nil {
			return err
		}
		if _, twice := seen[key]; twice {
			return malformedf("key %.120q is there twice", key)
		}
		seen[key] = struct{}{}
		if err := field(key); err != nil {
			return err
		}
	}
	return h.delim('}')
}

func (h *headerReader) delim(want json.Delim) error {
	tok, err := h.token()
	if err != nil {
		return err
	}
	if tok != want {
		return malformedf("header at byte %d: want %v", h.dec.InputOffset(), want)
	}
	return nil
}

func (h *headerReader) text() (string, error) {
	tok, err := h.token()
	if err != nil {
		return "", err
	}
	s, ok := tok.(string)
	if !ok {
		return "", malformedf("header at byte %d: want a string", h.dec.InputOffset())
	}
	return s, nil
}

// integers reads an array of numbers that fit 64 bits, written with digits only.
func (h *headerReader) integers() ([]uint64, error) {
	if err := h.delim('['); err != nil {
		return nil, err
	}
	numbers := []uint64{}
	for h.dec.More() {
		tok, err := h.token()
		if err != nil {
			return nil, err
		}
		text, _ := tok.(json.Number)
		n, err := strconv.ParseUint(text.String(), 10, 64)
		if err != nil {
			return nil, malformedf("%.40q is not an integer of 0 to 2^64-1", fmt.Sprint(tok))
		}
		numbers = append(numbers, n)
	}
	return numbers, h.delim(']')
}

// skip reads any value of at most depth levels.
func (h *headerReader) skip(depth int) error {
	if depth == 0 {
		return malformedf("nested more than %d deep", maxDepth)
	}
	tok, err := h.token()
	if err != nil {
		return err
	}
	switch tok {
	case json.Delim('{'):
		return h.members(func(string) error { return h.skip(depth - 1) })
	case json.Delim('['):
		for h.dec.More() {
			if err := h.skip(depth - 1); err != nil {
				return err
			}
		}
		return h.delim(']')
	}
	return nil
}
