package main

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"
)

// key is one of the things that serve can be told. It implements pflag.Value.
type key struct {
	name   string
	kind   string // of value, in one word
	want   string // what a value has to be, for whoever gave another
	usage  string
	source string            // of the value
	set    func(string) bool // false, and nothing set, when the text is not what is wanted
	get    func() string     // spells the value so that set takes it, exactly
}

// The kinds of value that are not, or not always, a text in the file.
const (
	kindBool = "bool"
	kindSize = "SIZE"
)

// newKey returns a key with its value at to.
func newKey[T any](name, kind, want string, to *T, parse func(string) (T, bool), spell func(T) string, usage string) *key {
	set := func(text string) bool {
		value, ok := parse(text)
		if ok {
			*to = value
		}
		return ok
	}
	return &key{
		name: name, kind: kind, want: want, usage: usage, source: "default",
		set: set, get: func() string { return spell(*to) },
	}
}

// called returns the key's name as a flag and in the file.
func (k *key) called() string { return k.name }

// variable returns the key's name in the environment.
func (k *key) variable() string {
	return serveVariables + strings.ToUpper(strings.ReplaceAll(k.name, "-", "_"))
}

// give sets the value from a source. The error says what is wanted.
func (k *key) give(text, source string) error {
	if !k.set(text) {
		return errors.New("want " + k.want)
	}
	k.source = source
	return nil
}

// Set implements pflag.Value.
func (k *key) Set(text string) error { return k.give(text, "flag --"+k.name) }

// String implements pflag.Value.
func (k *key) String() string { return k.get() }

// Type implements pflag.Value.
func (k *key) Type() string { return k.kind }

func asIs(text string) string { return text }

// parsePath refuses what only a shell can read: outside of one, ~ would be a folder
// of that name.
func parsePath(text string) (string, bool) {
	return text, text != "" && !strings.HasPrefix(text, "~") && !strings.ContainsRune(text, 0)
}

func parseAddress(text string) (string, bool) {
	_, port, err := net.SplitHostPort(text)
	if err != nil {
		return "", false
	}
	_, err = strconv.ParseUint(port, 10, 16)
	return text, err == nil
}

func parseBool(text string) (yes, ok bool) {
	yes, err := strconv.ParseBool(text)
	return yes, err == nil
}

func spellBool(yes bool) string { return strconv.FormatBool(yes) }

// parseWord reads one of the words, in any case.
func parseWord(words []string) func(string) (string, bool) {
	return func(text string) (string, bool) {
		word := strings.ToLower(text)
		return word, slices.Contains(words, word)
	}
}

// oneOf spells a choice.
func oneOf(words []string) string {
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// atLeast reads as parse does, and refuses what is less.
func atLeast[T cmp.Ordered](least T, parse func(string) (T, bool)) func(string) (T, bool) {
	return func(text string) (T, bool) {
		value, ok := parse(text)
		return value, ok && value >= least
	}
}

func parseSize(text string) (int64, bool) {
	var size bytesValue
	err := size.Set(text)
	return int64(size), err == nil
}

// spellSize spells a size in the largest unit that leaves no rest.
func spellSize(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}
	for n != 0 && n%1024 == 0 && len(units) > 1 {
		n, units = n/1024, units[1:]
	}
	return strconv.FormatInt(n, 10) + units[0]
}

// parseReserve reads registry.Config's Reserve.
func parseReserve(text string) (int64, bool) {
	switch text {
	case "auto":
		return 0, true
	case "none":
		return -1, true
	}
	return parseSize(text)
}

func spellReserve(reserve int64) string {
	switch {
	case reserve == 0:
		return "auto"
	case reserve < 0:
		return "none"
	}
	return spellSize(reserve)
}

const day = 24 * time.Hour

// parseSpan reads a duration that may begin with days, such as 7d or 1d12h.
func parseSpan(text string) (time.Duration, bool) {
	days, rest, found := strings.Cut(text, "d")
	if !found {
		span, err := time.ParseDuration(text)
		return span, err == nil
	}
	n, err := strconv.ParseUint(days, 10, 32)
	if err != nil || n >= uint64(math.MaxInt64/day) {
		return 0, false
	}
	span, err := time.ParseDuration(cmp.Or(rest, "0"))
	return time.Duration(n)*day + span, err == nil && span >= 0 && span < day
}

// spellSpan leaves out what is zero.
func spellSpan(span time.Duration) string {
	days, rest := span/day, (span % day).String()
	if strings.HasSuffix(rest, "m0s") {
		rest = strings.TrimSuffix(rest, "0s")
	}
	if strings.HasSuffix(rest, "h0m") {
		rest = strings.TrimSuffix(rest, "0m")
	}
	switch {
	case days == 0:
		return rest
	case rest == "0s":
		return fmt.Sprintf("%dd", days)
	}
	return fmt.Sprintf("%dd%s", days, rest)
}

// nearest returns the one of the words that name is a misspelling of, or "".
func nearest(name string, words []string) string {
	best, least := "", max(2, len(name)/4)+1
	for _, word := range words {
		if d := distance(strings.ToLower(name), strings.ToLower(word)); d < least {
			best, least = word, d
		}
	}
	return best
}

// distance counts the bytes to insert, remove or replace to make b of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
