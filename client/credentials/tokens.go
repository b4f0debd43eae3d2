package credentials

import (
	"context"
	"errors"
	"strings"
)

// Tokens is a file of tokens, one a line: the first is the one that is shown, and
// each of them is good, so that there can be two while one takes the place of the other.
// It is safe for concurrent use.
type Tokens struct{ reader reader[[]string] }

// mostTokens is how many lines such a file may have.
const mostTokens = 16

// OpenTokens returns the file at path, which may not be there yet.
func OpenTokens(path string) *Tokens {
	return &Tokens{reader[[]string]{path: path, most: mostTokens * maxToken, parse: parseTokens}}
}

func parseTokens(b []byte) (list []string, err error) {
	for line := range strings.Lines(string(b)) {
		token := strings.TrimSpace(line)
		if token == "" {
			continue
		}
		if err := Check(token); err != nil {
			return nil, err
		}
		list = append(list, token)
	}
	switch {
	case len(list) == 0:
		return nil, errors.New("there is no token in it")
	case len(list) > mostTokens:
		return nil, errors.New("there are too many tokens in it")
	}
	return list, nil
}

// All returns the tokens.
func (t *Tokens) All() ([]string, error) { return t.reader.read() }

// Token returns the first.
func (t *Tokens) Token(context.Context) (string, error) {
	list, err := t.reader.read()
	if err != nil {
		return "", err
	}
	return list[0], nil
}
