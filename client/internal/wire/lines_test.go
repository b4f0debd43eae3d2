package wire_test

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/client/internal/wire"
)

// readLines returns the lines of a stream, and why it ended.
func readLines(r io.Reader) (lines []string, end error) {
	for line, err := range wire.Lines(r) {
		if err != nil {
			return lines, err
		}
		lines = append(lines, string(line))
	}
	return lines, nil
}

func TestLines(t *testing.T) {
	long := strings.Repeat("x", 100_000)
	for text, want := range map[string][]string{
		"":                           nil,
		"a\n\n b \r\n" + long + "\n": {"a", "b", long},
	} {
		if got, err := readLines(strings.NewReader(text)); !slices.Equal(got, want) || !errors.Is(err, io.EOF) {
			t.Errorf("%.20q: %.40q, %v", text, got, err)
		}
	}
	if got, err := readLines(strings.NewReader("a\nb")); len(got) != 1 || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a line cut short: %q, %v", got, err)
	}
	if got, err := readLines(endless{}); len(got) != 0 || !errors.Is(err, wire.ErrLine) {
		t.Errorf("a line without end: %d lines, %v", len(got), err)
	}
}

// endless is a line that does not end.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}
