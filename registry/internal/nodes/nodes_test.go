package nodes

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/access"
)

// clock is a time that only moves when told to.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

// alice reports nodes.
var alice = access.Principal{Subject: "alice", Scopes: "*:pull"}

func newNodes() (*Nodes, *clock) {
	c := &clock{time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	return New(access.Open{}, c.now), c
}

// report is what a node says that holds these references.
func report(ttl int, refs ...string) openapi.NodeReport {
	r := openapi.NodeReport{Program: "test", TTL: ttl}
	for _, ref := range refs {
		r.Models = append(r.Models, openapi.NodeResident{Ref: ref, Version: chunker.Sum([]byte(ref)), Tier: openapi.TierRAM})
	}
	return r
}

func tell(t *testing.T, n *Nodes, called string, r openapi.NodeReport) {
	t.Helper()
	if err := n.Report(alice, called, r); err != nil {
		t.Fatal(err)
	}
}

// known writes the nodes and their references.
func known(t *testing.T, n *Nodes, p access.Principal, repo string) string {
	t.Helper()
	list, err := n.List(p, repo)
	if err != nil {
		t.Fatal(err)
	}
	var words []string
	for _, node := range list.Nodes {
		words = append(words, node.Name)
		for _, m := range node.Models {
			words = append(words, m.Ref)
		}
	}
	return strings.Join(words, " ")
}

func TestReportsAreListed(t *testing.T) {
	n, _ := newNodes()
	tell(t, n, "b", report(10, "acme/x:main", "corp/y:main"))
	tell(t, n, "a", report(10))
	for repo, want := range map[string]string{
		"":       "a b acme/x:main corp/y:main",
		"acme/x": "b acme/x:main",
		"acme/z": "",
	} {
		if got := known(t, n, access.Anonymous, repo); got != want {
			t.Errorf("%q: %q, want %q", repo, got, want)
		}
	}
	tell(t, n, "b", report(10, "acme/z:main"))
	if got, want := known(t, n, access.Anonymous, ""), "a b acme/z:main"; got != want {
		t.Errorf("after another report: %q, want %q", got, want)
	}
}

func TestReportsEnd(t *testing.T) {
	n, c := newNodes()
	tell(t, n, "short", report(10, "acme/x:main"))
	tell(t, n, "long", report(30))
	c.at = c.at.Add(10*time.Second - 1)
	if got, want := known(t, n, access.Anonymous, ""), "long short acme/x:main"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	c.at = c.at.Add(1)
	if got := known(t, n, access.Anonymous, ""); got != "long" {
		t.Errorf("%q, want long", got)
	}
	if err := n.Forget(alice, "short"); !errors.Is(err, &openapi.Error{Code: openapi.CodeNotFound}) {
		t.Errorf("got %v, want not_found", err)
	}
	tell(t, n, "long", report(30))
	if len(n.nodes) != 1 {
		t.Errorf("%d nodes are kept, want 1", len(n.nodes))
	}
	if err := n.Forget(alice, "long"); err != nil || n.weight != 0 {
		t.Errorf("%v, and %d bytes are left", err, n.weight)
	}
}

func TestOnlyWhatMayBeRead(t *testing.T) {
	c := &clock{}
	n := New(access.NewScoped(), c.now)
	report := report(10, "acme/x:main", "corp/y:main", "secret/z:main")
	report.Tiers.RAM.Used, report.Tiers.RAM.Budget = 7, 9
	if err := n.Report(access.Principal{Subject: "node", Scopes: "acme/*:pull corp/*:pull"}, "a", report); err != nil {
		t.Fatal(err)
	}
	acme := access.Principal{Subject: "acme", Scopes: "acme/*:pull"}
	for repo, want := range map[string]string{"": "a acme/x:main", "acme/x": "a acme/x:main", "corp/y": ""} {
		if got := known(t, n, acme, repo); got != want {
			t.Errorf("%q: %q, want %q", repo, got, want)
		}
	}
	for scopes, used := range map[string]int64{"acme/*:pull": 0, "acme/*:pull corp/*:pull": 7} {
		list, err := n.List(access.Principal{Subject: "who", Scopes: scopes}, "")
		if err != nil || len(list.Nodes) != 1 || list.Nodes[0].Tiers.RAM.Used != used || list.Nodes[0].Tiers.RAM.Budget != 9 {
			t.Errorf("%s sees %+v, %v; want %d bytes used", scopes, list.Nodes, err, used)
		}
	}
	for subject, scopes := range map[string]string{"other": "other/*:admin", "secret": "secret/*:pull", "nobody": ""} {
		if got := known(t, n, access.Principal{Subject: subject, Scopes: scopes}, ""); got != "" {
			t.Errorf("%s sees %q: a node that holds nothing for it, or what its reporter may not know of", subject, got)
		}
	}
	if got := known(t, n, access.Principal{Subject: "root", Scopes: "*:admin"}, ""); got != "a acme/x:main corp/y:main" {
		t.Errorf("who runs the registry sees %q", got)
	}
}

// TestOwner lets one subject speak of a node, until it has been silent.
func TestOwner(t *testing.T) {
	c := &clock{}
	n := New(access.NewScoped(), c.now)
	mallory, root := access.Principal{Subject: "mallory", Scopes: "*:push"}, access.Principal{Subject: "root", Scopes: "*:admin"}
	tell(t, n, "a", report(10))
	forbidden := &openapi.Error{Code: openapi.CodeForbidden}
	if err := n.Report(mallory, "a", report(10)); !errors.Is(err, forbidden) {
		t.Errorf("another's node is reported: %v", err)
	}
	if err := n.Forget(mallory, "a"); !errors.Is(err, forbidden) {
		t.Errorf("another's node is forgotten: %v", err)
	}
	if got := known(t, n, alice, ""); got != "a" {
		t.Errorf("who reports sees %q", got)
	}
	if err := n.Forget(root, "a"); err != nil {
		t.Error(err)
	}
	tell(t, n, "a", report(10))
	c.at = c.at.Add(10 * time.Second)
	if err := n.Report(mallory, "a", report(10)); err != nil {
		t.Errorf("a node that is silent: %v", err)
	}
}

func TestBounds(t *testing.T) {
	n, c := newNodes()
	n.mostNodes = 2
	tell(t, n, "a", report(10))
	tell(t, n, "b", report(20))
	busy := &openapi.Error{Code: openapi.CodeBusy}
	if err := n.Report(alice, "c", report(10)); !errors.Is(err, busy) {
		t.Errorf("a third of two nodes: %v, want busy", err)
	}
	tell(t, n, "a", report(10)) // is known
	c.at = c.at.Add(10 * time.Second)
	tell(t, n, "c", report(10)) // a is over
	n.mostWeight = n.weight
	if err := n.Report(alice, "b", report(10, "acme/x:main")); !errors.Is(err, busy) {
		t.Errorf("more than fits: %v, want busy", err)
	}
	if got := known(t, n, access.Anonymous, ""); got != "b c" {
		t.Errorf("%q, want b and c", got)
	}
}

func TestBadReports(t *testing.T) {
	n, _ := newNodes()
	with := func(change func(*openapi.NodeReport)) openapi.NodeReport {
		r := report(10, "acme/x:main")
		change(&r)
		return r
	}
	for what, tc := range map[string]struct {
		node   string
		report openapi.NodeReport
		want   openapi.Code
	}{
		"no name":           {"", report(10), openapi.CodeBadName},
		"a path":            {"a/b", report(10), openapi.CodeBadName},
		"a long name":       {strings.Repeat("a", 65), report(10), openapi.CodeBadName},
		"no lifetime":       {"a", report(0), openapi.CodeBadRequest},
		"a long lifetime":   {"a", report(3601), openapi.CodeBadRequest},
		"a bad reference":   {"a", report(10, "acme"), openapi.CodeBadName},
		"too many models":   {"a", report(10, slices.Repeat([]string{"acme/x:main"}, openapi.MaxNodeModels+1)...), openapi.CodeTooLarge},
		"no version":        {"a", with(func(r *openapi.NodeReport) { r.Models[0].Version = chunker.Digest{} }), openapi.CodeBadRequest},
		"negative leases":   {"a", with(func(r *openapi.NodeReport) { r.Models[0].Leases = -1 }), openapi.CodeBadRequest},
		"a negative budget": {"a", with(func(r *openapi.NodeReport) { r.Tiers.GPU.Budget = -1 }), openapi.CodeBadRequest},
		"two lines":         {"a", with(func(r *openapi.NodeReport) { r.Address = "x\ny" }), openapi.CodeBadRequest},
		"a long program":    {"a", with(func(r *openapi.NodeReport) { r.Program = strings.Repeat("1", 65) }), openapi.CodeBadRequest},
	} {
		if err := n.Report(alice, tc.node, tc.report); !errors.Is(err, &openapi.Error{Code: tc.want}) {
			t.Errorf("%s: got %v, want %s", what, err, tc.want)
		}
	}
	if len(n.nodes) != 0 || n.weight != 0 {
		t.Errorf("%d nodes of %d bytes are kept", len(n.nodes), n.weight)
	}
	if _, err := n.List(access.Anonymous, "acme"); !errors.Is(err, &openapi.Error{Code: openapi.CodeBadName}) {
		t.Errorf("list: got %v, want bad_name", err)
	}
	if err := n.Forget(alice, "a/b"); !errors.Is(err, &openapi.Error{Code: openapi.CodeBadName}) {
		t.Errorf("forget: got %v, want bad_name", err)
	}
}

func TestConcurrently(t *testing.T) {
	n := New(access.Open{}, time.Now)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 100 {
				called := fmt.Sprint("node", i)
				if err := n.Report(alice, called, report(10, "acme/x:main")); err != nil {
					t.Error(err)
				}
				if _, err := n.List(access.Anonymous, ""); err != nil {
					t.Error(err)
				}
				if err := n.Forget(alice, called); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if len(n.nodes) != 0 || n.weight != 0 {
		t.Errorf("%d nodes of %d bytes are left", len(n.nodes), n.weight)
	}
}
