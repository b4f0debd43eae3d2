package faultproxy

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// Call is what a proxy knows of a request.
type Call struct {
	// Method is the one of the wire, but LIST for a list of a store, and DELETE for
	// its POST that deletes many.
	Method string
	// Kind is what the request is about: of a store, the first part of the key, or
	// for registers the first two.
	Kind string
	Path string // decoded, without the query
	// Conditional says that the request is a write that depends on what is there.
	Conditional bool
}

// String returns the method and the kind.
func (c Call) String() string { return strings.TrimSpace(c.Method + " " + c.Kind) }

// Write tells a request that changes something.
func (c Call) Write() bool {
	return c.Method == http.MethodPut || c.Method == http.MethodPost || c.Method == http.MethodDelete
}

// S3 describes requests to a store whose buckets are parts of the path, below the
// prefix of keys "BUCKET/PREFIX".
func S3(prefix string) func(*http.Request) Call {
	return func(q *http.Request) Call {
		c := Call{Method: q.Method, Path: q.URL.Path}
		c.Conditional = c.Write() && (q.Header.Get("If-Match") != "" || q.Header.Get("If-None-Match") != "")
		query := q.URL.Query()
		bucket, below, _ := strings.Cut(strings.TrimPrefix(q.URL.Path, "/"), "/")
		_, within, _ := strings.Cut(prefix, "/")
		switch {
		case below != "":
		case q.Method == http.MethodPost && query.Has("delete"):
			c.Method, c.Kind = http.MethodDelete, "many"
			return c
		case q.Method == http.MethodGet && query.Has("list-type"):
			c.Method, below = "LIST", query.Get("prefix")
		default:
			c.Kind = "bucket"
			return c
		}
		key, ours := strings.CutPrefix(below, strings.TrimSuffix(within, "/")+"/")
		if within == "" {
			key, ours = below, true
		}
		c.Kind = "foreign"
		if ours && strings.HasPrefix(prefix, bucket) {
			c.Kind = kind(key)
		}
		return c
	}
}

// kind is the first part of a key, or two for registers.
func kind(key string) string {
	first, rest, _ := strings.Cut(key, "/")
	if first == "meta" && rest != "" {
		second, _, _ := strings.Cut(rest, "/")
		return first + "/" + second
	}
	if first == "" {
		return "all"
	}
	return first
}

// Counts is how many requests there were, by what String of a Call says.
type Counts map[string]int

func (c Counts) add(call Call) { c[call.String()]++ }

func (c Counts) clone() Counts { return maps.Clone(c) }

// Since returns what came after before was counted.
func (c Counts) Since(before Counts) Counts {
	d := Counts{}
	for what, n := range c {
		if n > before[what] {
			d[what] = n - before[what]
		}
	}
	return d
}

// Sum adds up what begins with one of the words.
func (c Counts) Sum(words ...string) (total int) {
	for what, n := range c {
		if slices.ContainsFunc(words, func(w string) bool { return strings.HasPrefix(what, w) }) {
			total += n
		}
	}
	return total
}

// String lists the counts by name.
func (c Counts) String() string {
	var parts []string
	for _, what := range slices.Sorted(maps.Keys(c)) {
		parts = append(parts, fmt.Sprintf("%s %d", what, c[what]))
	}
	return strings.Join(parts, ", ")
}
