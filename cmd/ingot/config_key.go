package main

import (
	"errors"
	"slices"
	"strings"
)

// key is one of the things that a command can be told. It implements pflag.Value.
type key struct {
	name     string
	variable string // its name in the environment
	kind     string // of value, in one word
	want     string // what a value has to be, for whoever gave another
	usage    string
	source   string            // of the value
	set      func(string) bool // false, and nothing set, when the text is not what is wanted
	get      func() string     // spells the value so that set takes it, exactly
}

// The kinds of value that are not, or not always, a text in the file.
const (
	kindBool  = "bool"
	kindSize  = "SIZE"
	kindCount = "N"
	kindMode  = "MODE"
	kindNames = "NAME" // several, as a flag given again or separated by commas

	kindBudgets = "SIZE|UUID=SIZE" // several too, as are those below
	kindHubs    = "URL|NAMESPACE=URL"
	kindFiles   = "FILE|NAMESPACE=FILE"
	kindHosts   = "HOST"

	kindNetworks = "NETWORK"

	kindPatterns = "PATTERN"
)

// several are the kinds of which each flag adds to what was given before.
var several = []string{kindNames, kindBudgets, kindHubs, kindFiles, kindHosts, kindPatterns, kindNetworks}

// numbers are the kinds that a number in a file can be.
var numbers = []string{kindSize, kindCount, kindMode, kindBudgets}

// byDefault is the source of what nobody has set.
const byDefault = "default"

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
		name: name, kind: kind, want: want, usage: usage, source: byDefault,
		set: set, get: func() string { return spell(*to) },
	}
}

// called returns the key's name as a flag and in the file.
func (k *key) called() string { return k.name }

// given reports whether somebody has set the value.
func (k *key) given() bool { return k.source != byDefault }

// give sets the value from a source. The error says what is wanted.
func (k *key) give(text, source string) error {
	if !k.set(text) {
		return errors.New("want " + k.want)
	}
	k.source = source
	return nil
}

// empty reports whether the value says that something is not wanted.
func (k *key) empty() bool {
	value := k.get()
	return value == none || value == "" || k.kind == kindBool && value == "false"
}

// Set implements pflag.Value.
func (k *key) Set(text string) error {
	if slices.Contains(several, k.kind) && k.given() && !k.empty() {
		text = k.get() + "," + text
	}
	return k.give(text, "flag --"+k.name)
}

// String implements pflag.Value.
func (k *key) String() string { return k.get() }

// Type implements pflag.Value.
func (k *key) Type() string { return k.kind }

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
