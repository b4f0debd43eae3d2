package access_test

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/ingot-ml/ingot/openapi"
)

var update = flag.Bool("update", false, "write docs/access-table.md instead of comparing")

const tableFile = "../../docs/access-table.md"

// What comes of a request: it is answered, or with which status it is refused.
const yes = "yes"

// outcomes are what comes of a request, by role.
type outcomes [numRoles]string

// The outcomes that operations have.
var (
	all     = outcomes{yes, yes, yes, yes, yes, yes, yes}
	reads   = outcomes{"401", yes, yes, yes, yes, "404", yes}
	pushes  = outcomes{"401", "401", "403", yes, yes, "404", yes}
	admins  = outcomes{"401", "401", "403", "403", yes, "404", yes}
	rules   = outcomes{"401", "401", "403", "403", yes, "403", yes} // of what is no repository's
	upkeep  = outcomes{"401", "401", "403", "403", "403", "403", yes}
	runsOf  = outcomes{"401", "401", "403", "403", "403", "404", yes} // upkeep of what is somebody's
	named   = outcomes{"401", "401", yes, yes, yes, yes, yes}
	ofPush  = outcomes{"401", "401", "404", yes, yes, "404", yes} // of who started it
	granted = outcomes{"401", "401", "401", yes, yes, "401", yes} // by an address or token that only who may push gets
)

// row is an operation of a facade.
type row struct {
	name string
	want outcomes
	ask  func(*cell) request
	ok   []int // statuses that mean yes; none is every one below 400
}

// facade is one of the ways to ask a registry.
type facade struct {
	name string
	rows []row
}

func (w *world) facades() []facade {
	return []facade{
		{"REST", restRows()},
		{"Hugging Face Hub", hubRows()},
		{"OCI", ociRows()},
		{"Xet", xetRows()},
	}
}

// outcome is what came of a request.
func (r *row) outcome(a answer) string {
	if r.ok == nil && a.status < http.StatusBadRequest || slices.Contains(r.ok, a.status) {
		return yes
	}
	return strconv.Itoa(a.status)
}

// TestTable tries every operation of every facade as every role. The table in the docs
// is what came of it.
func TestTable(t *testing.T) {
	w := newWorld(t)
	var doc strings.Builder
	doc.WriteString(tableHead)
	for _, f := range w.facades() {
		fmt.Fprintf(&doc, "\n## %s\n\n| operation | %s |\n|---|%s\n", f.name, strings.Join(roleNames[:], " | "), strings.Repeat("---|", int(numRoles)))
		for i := range f.rows {
			got := w.try(f.name, &f.rows[i])
			fmt.Fprintf(&doc, "| %s | %s |\n", f.rows[i].name, strings.Join(got[:], " | "))
		}
	}
	if t.Failed() {
		return
	}
	if *update {
		if err := os.WriteFile(tableFile, []byte(doc.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if have, err := os.ReadFile(tableFile); err != nil || string(have) != doc.String() {
		t.Errorf("%s is not what was found (%v): run \"go test ./integration/access -update\"", tableFile, err)
	}
}

// try asks as every role.
func (w *world) try(facade string, r *row) outcomes {
	w.t.Helper()
	var got outcomes
	for role := range numRoles {
		c := &cell{world: w, role: role, repo: "acme/llama"}
		if role == public {
			c.repo = "public/llama"
		}
		q := r.ask(c)
		a := w.ask(c.token(), q)
		got[role] = r.outcome(a)
		if got[role] != r.want[role] {
			w.t.Errorf("%s, %s, as %s: %d %.300s, want %s", facade, r.name, roleNames[role], a.status, a.body, r.want[role])
		}
		if a.status == http.StatusUnauthorized && facade != "Xet" && facade != "Hugging Face Hub" && a.header.Get("WWW-Authenticate") == "" {
			w.t.Errorf("%s, %s: 401 without WWW-Authenticate", facade, r.name)
		}
	}
	return got
}

const tableHead = `# Who may do what

This table is written by a test that tries every cell of it against a registry with
` + "`access: tokens`" + ` and ` + "`anonymous: public/*`" + `. Every request is about the repository ` + "`acme/llama`" + `, in
the second column about ` + "`public/llama`" + `. "yes" is an answer; a number is the status of the
refusal: 401 wants to know who asks, 404 does not tell whether the thing exists, 403 is
told to who may read it. Lists are answered with what who asks may read, which may be
nothing. Where access is ` + "`open`" + ` every cell is "yes".
`

// TestEveryOperation has a row for every operation of the specification, and no other.
func TestEveryOperation(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromData(openapi.Spec)
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]bool{}
	for _, r := range restRows() {
		if rows[r.name] {
			t.Errorf("%s has two rows", r.name)
		}
		rows[r.name] = true
	}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			if !rows[op.OperationID] {
				t.Errorf("%s (%s %s): nobody tries who may do it: give it a row in rest_test.go", op.OperationID, method, path)
			}
			delete(rows, op.OperationID)
		}
	}
	for name := range rows {
		t.Errorf("%s is no operation of the specification", name)
	}
}
