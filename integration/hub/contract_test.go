package hub_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// exchange is a request and what its answer has to be. In paths, headers and JSON,
// names in braces stand for what the contract knows; see contract.vars.
type exchange struct {
	row  string // of the table of endpoints
	name string
	ask  string // METHOD PATH
	with map[string]string
	body string
	raw  []byte // the body, where it is not text
	want int
	// headers that the answer has: as they are, or matched by a pattern after "~", or
	// not at all if they are "".
	headers map[string]string
	// json is what the answer has at least: objects may have more keys, lists are whole,
	// and strings after "~" are patterns.
	json string
	// bytes is the whole body of the answer.
	bytes []byte
}

// contract is a server that is held to the tables.
type contract struct {
	t    *testing.T
	url  string
	vars map[string]string
	seen map[string]bool // rows that have an exchange
	http *http.Client
}

func newContract(t *testing.T, url string) *contract {
	return &contract{t: t, url: url, vars: map[string]string{"url": url, "token": token}, seen: map[string]bool{},
		// Redirections are answers here, and nothing is unpacked behind our back.
		http: &http.Client{Transport: &http.Transport{DisableCompression: true},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

var braced = regexp.MustCompile(`\{[a-z][a-z0-9_]*\}`)

// fill puts what the contract knows in the place of names in braces.
func (c *contract) fill(s string) string {
	return braced.ReplaceAllStringFunc(s, func(name string) string {
		value, ok := c.vars[name[1:len(name)-1]]
		if !ok {
			c.t.Fatalf("nobody knows %s of %q", name, s)
		}
		return value
	})
}

// all sends the exchanges of a table in turn.
func (c *contract) all(table []exchange) {
	for _, e := range table {
		c.run(e)
	}
}

// run sends one, and returns the body of the answer.
func (c *contract) run(e exchange) (body []byte) {
	c.seen[e.row] = true
	c.t.Run(e.row+"/"+e.name, func(t *testing.T) {
		resp := c.send(t, e)
		body = resp.body
		if resp.StatusCode != e.want {
			t.Fatalf("%s: status %d, want %d: %.300s", e.ask, resp.StatusCode, e.want, body)
		}
		for name, want := range e.headers {
			got := strings.Join(resp.Header.Values(name), ", ")
			if err := matches(c.fill(want), got); err != nil {
				t.Errorf("%s: header %s: %v", e.ask, name, err)
			}
		}
		if e.bytes != nil && !bytes.Equal(body, e.bytes) {
			t.Errorf("%s: %d bytes that are not the %d wanted", e.ask, len(body), len(e.bytes))
		}
		if e.json != "" {
			checkJSON(t, c.fill(e.json), body)
		}
	})
	return body
}

// answer is an answer whose body has been read.
type answer struct {
	*http.Response
	body []byte
}

func (c *contract) send(t *testing.T, e exchange) answer {
	t.Helper()
	method, path, _ := strings.Cut(c.fill(e.ask), " ")
	if !strings.HasPrefix(path, "http") {
		path = c.url + path
	}
	body := e.raw
	if body == nil {
		body = []byte(c.fill(e.body))
	}
	req, err := http.NewRequestWithContext(t.Context(), method, path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range e.with {
		req.Header.Set(name, c.fill(value))
	}
	resp, err := c.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s: %v after %d bytes", e.ask, err, len(got))
	}
	if err := resp.Body.Close(); err != nil {
		t.Fatal(err)
	}
	return answer{resp, got}
}

// checkRows fails the test unless every row has had an exchange.
func (c *contract) checkRows(rows ...string) {
	for _, row := range rows {
		if !c.seen[row] {
			c.t.Errorf("row %s has no exchange", row)
		}
	}
	for _, row := range slices.Sorted(maps.Keys(c.seen)) {
		if !slices.Contains(rows, row) {
			c.t.Errorf("there is no row %s", row)
		}
	}
}

// matches compares a string with what it should be.
func matches(want, got string) error {
	if pattern, ok := strings.CutPrefix(want, "~"); ok {
		if !regexp.MustCompile(`^(?:` + pattern + `)$`).MatchString(got) {
			return fmt.Errorf("%q does not match %q", got, pattern)
		}
		return nil
	}
	if got != want {
		return fmt.Errorf("%q, want %q", got, want)
	}
	return nil
}

func checkJSON(t *testing.T, want string, got []byte) {
	t.Helper()
	var w, g any
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		t.Fatalf("%s: %v", want, err)
	}
	if err := json.Unmarshal(got, &g); err != nil {
		t.Fatalf("the answer is no JSON: %v: %.300s", err, got)
	}
	if err := within(w, g); err != nil {
		t.Errorf("%v in %.2000s", err, got)
	}
}

// within tells where got lacks something of want.
func within(want, got any) error {
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			return fmt.Errorf("%v is no object", got)
		}
		for key, value := range w {
			if _, ok := g[key]; !ok {
				return fmt.Errorf("%q is missing", key)
			}
			if err := within(value, g[key]); err != nil {
				return fmt.Errorf("%s: %w", key, err)
			}
		}
		return nil
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(w) {
			return fmt.Errorf("%v, want %d elements", got, len(w))
		}
		for i := range w {
			if err := within(w[i], g[i]); err != nil {
				return fmt.Errorf("%d: %w", i, err)
			}
		}
		return nil
	case string:
		g, ok := got.(string)
		if !ok {
			return fmt.Errorf("%v is no string", got)
		}
		return matches(w, g)
	}
	if want != got {
		return fmt.Errorf("%v, want %v", got, want)
	}
	return nil
}
