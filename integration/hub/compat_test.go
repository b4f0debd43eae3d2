package hub_test

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
)

var update = flag.Bool("update", false, "write docs/compatibility.md as the run shows it")

const page = "../../docs/compatibility.md"

// column is a column of the page that says what a client does.
type column int

const (
	reads     column = iota // from a registry
	fromNode                // reads from a node
	offline                 // reads what "ingot materialize" has made
	writes                  // to a registry
	columnLen = iota
)

// String implements fmt.Stringer.
func (c column) String() string { return [columnLen]string{"reads", "node", "offline", "writes"}[c] }

// check is one thing that a client is held to, and what it shows.
type check struct {
	client string
	shows  []column
	run    func(t *testing.T, w *world) story
}

// row is a line of the page.
type row struct {
	client  string
	version string
	checks  [columnLen]int // how many there are
	passed  [columnLen]int
	ran     []string
}

// TestCompatibility runs every client against a registry and a node, and holds
// docs/compatibility.md to what they have shown. With -update it writes the page.
func TestCompatibility(t *testing.T) {
	w := newWorld(t)
	var mu sync.Mutex
	var rows []*row // in the order of the checks
	t.Run("clients", func(t *testing.T) {
		for _, c := range slices.Concat(pythonChecks(), scriptChecks(), ociChecks(), replayChecks()) {
			r := rowOf(&rows, c.client)
			for _, s := range c.shows {
				r.checks[s]++
			}
			t.Run(fmt.Sprintf("%s/%v", c.client, c.shows), func(t *testing.T) {
				t.Parallel()
				got := c.run(t, w)
				if t.Failed() {
					return
				}
				mu.Lock()
				defer mu.Unlock()
				r.add(t, c.shows, got)
			})
		}
	})
	if t.Failed() {
		return // the page is of no use to whoever looks for the cause
	}
	if *update {
		if err := os.WriteFile(page, []byte(render(t, rows)), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	compare(t, rows)
}

// rowOf returns the row of a client, new if there is none.
func rowOf(rows *[]*row, client string) *row {
	i := slices.IndexFunc(*rows, func(r *row) bool { return r.client == client })
	if i < 0 {
		i = len(*rows)
		*rows = append(*rows, &row{client: client})
	}
	return (*rows)[i]
}

// add notes a check that has passed.
func (r *row) add(t *testing.T, shows []column, s story) {
	if s.Version == "" || len(s.Ran) == 0 {
		t.Errorf("%s tells neither its version nor what it has run: %+v", r.client, s)
	}
	r.version = s.Version
	for _, c := range shows {
		r.passed[c]++
	}
	for _, call := range s.Ran {
		if !slices.Contains(r.ran, call) {
			r.ran = append(r.ran, call)
		}
	}
}

// whole tells whether all checks of the row were run: those that lack something are
// skipped, and -run leaves some out.
func (r *row) whole() bool { return r.checks == r.passed }

// line returns the row as the page has it.
func (r *row) line() string {
	cells := []string{r.client, r.version}
	for c := range r.checks {
		cell := "no"
		if r.passed[c] > 0 {
			cell = "yes"
		}
		cells = append(cells, cell)
	}
	slices.Sort(r.ran)
	ran := fmt.Sprintf("<details><summary>%d calls</summary>%s</details>", len(r.ran), strings.Join(r.ran, ", "))
	return "| " + strings.Join(append(cells, ran), " | ") + " |"
}

const head = `# Compatibility

What other people's clients do with ingot, as they are, with nothing but the address set.
This page is written from a run of the tests with those clients and never by hand:

    make tools && go test ./integration/hub -run TestCompatibility -update

"Yes" means that the calls in the last column were made, against a running ` + "`ingot serve`" + ` or
` + "`ingot agent`" + ` or with no server on what ` + "`ingot materialize`" + ` has made, that what they returned
was compared with what it has to be, and every byte with the original. "No" means that the
client has no such call, or that nobody has tried. Clients whose version is "replayed" cannot
be run where the tests are: their calls are made as their source makes them.

| client | version | reads | reads from a node | reads a cache tree, offline | writes | what was run |
|---|---|---|---|---|---|---|
`

// render returns the page.
func render(t *testing.T, rows []*row) string {
	b := strings.Builder{}
	b.WriteString(head)
	for _, r := range rows {
		if !r.whole() {
			t.Fatalf("the page is written only from a run of all: %s has not run", r.client)
		}
		b.WriteString(r.line() + "\n")
	}
	return b.String()
}

// compare holds the page to the rows of which all was run. Versions may be newer than
// those of the page.
func compare(t *testing.T, rows []*row) {
	content, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	lines, found := strings.CutPrefix(string(content), head)
	if !found {
		t.Errorf("%s does not begin as it is written: run this test with -update", page)
	}
	said := map[string]string{}
	for line := range strings.Lines(lines) {
		said[firstCell(line)] = strings.TrimSpace(line)
	}
	for _, r := range rows {
		if r.whole() && sansVersion(said[r.client]) != sansVersion(r.line()) {
			t.Errorf("%s says\n%s\nand the run has shown\n%s\nrun this test with -update", page, said[r.client], r.line())
		}
		delete(said, r.client)
	}
	for _, line := range said {
		t.Errorf("%s says what nothing has shown: %s", page, line)
	}
}

func firstCell(line string) string {
	cell, _, _ := strings.Cut(strings.TrimPrefix(line, "| "), " | ")
	return cell
}

// sansVersion leaves the second cell of a line out.
func sansVersion(line string) string {
	cells := strings.Split(line, " | ")
	return strings.Join(slices.Delete(cells, min(1, len(cells)), min(2, len(cells))), " | ")
}

// TestCompatibilityComparison plants what a page may say wrongly.
func TestCompatibilityComparison(t *testing.T) {
	r := &row{client: "a", version: "2", ran: []string{"y", "x"}, checks: [columnLen]int{1}, passed: [columnLen]int{1}}
	if got, want := r.line(), "| a | 2 | yes | no | no | no | <details><summary>2 calls</summary>x, y</details> |"; got != want {
		t.Errorf("line: %q, want %q", got, want)
	}
	right := r.line()
	tests := []struct {
		said  string
		right bool
	}{
		{right, true},
		{strings.Replace(right, "| 2 |", "| 1 |", 1), true},
		{strings.Replace(right, "yes | no", "yes | yes", 1), false},
		{strings.Replace(right, "x, y", "x, y, z", 1), false},
		{"", false},
	}
	for _, tt := range tests {
		if got := sansVersion(tt.said) == sansVersion(right); got != tt.right {
			t.Errorf("%q: %v, want %v", tt.said, got, tt.right)
		}
	}
}
