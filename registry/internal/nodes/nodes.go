package nodes

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/name"
)

// maxBytes bounds what all reports take together, roughly.
const maxBytes = 128 << 20

// sweepEvery is how often reports are looked through for those that are over.
const sweepEvery = time.Second

// Nodes remembers reports. It is safe for concurrent use.
type Nodes struct {
	policy      access.Policy
	now         func() time.Time
	mostNodes   int
	mostWeight  int
	mu          sync.Mutex // protects what follows
	nodes       map[string]*node
	weight      int
	sweepsAfter time.Time
}

// node is the last report of one.
type node struct {
	by      access.Principal
	seen    time.Time
	until   time.Time
	report  openapi.NodeReport // not changed
	repos   []name.Repo        // of the models of report
	weighed int
}

// New returns Nodes without any. The times of now should have a monotonic part.
func New(policy access.Policy, now func() time.Time) *Nodes {
	return &Nodes{policy: policy, now: now, mostNodes: openapi.MaxNodes, mostWeight: maxBytes, nodes: map[string]*node{}}
}

// Report puts what a node says in the place of what it has said before. Of what it
// holds, that counts which p may read. The report is not changed afterwards. Errors are
// *openapi.Error: CodeBadName, CodeBadRequest, CodeTooLarge, CodeForbidden for a node
// that is somebody else's, and CodeBusy, when there are too many nodes.
func (n *Nodes) Report(p access.Principal, called string, r openapi.NodeReport) error {
	if err := name.CheckNode(called); err != nil {
		return openapi.Errorf(openapi.CodeBadName, "%v", err)
	}
	repos, err := check(&r)
	if err != nil {
		return err
	}
	repos = n.readable(p, &r, repos)
	now := n.now()
	next := &node{
		by: p, seen: now, until: now.Add(time.Duration(r.TTL) * time.Second),
		report: r, repos: repos, weighed: weigh(called, &r),
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.sweep(now)
	old := 0
	if before := n.nodes[called]; before != nil {
		if !before.over(now) && !n.owns(p, before) {
			return openapi.Errorf(openapi.CodeForbidden, "node %s: somebody else reports it: choose another name", called)
		}
		old = before.weighed
	} else if len(n.nodes) >= n.mostNodes {
		return openapi.Errorf(openapi.CodeBusy, "the registry knows %d nodes, and no more fit: try again later", len(n.nodes))
	}
	if n.weight-old+next.weighed > n.mostWeight {
		return openapi.Errorf(openapi.CodeBusy, "the nodes hold more versions than the registry keeps in mind: try again later")
	}
	n.weight += next.weighed - old
	n.nodes[called] = next
	return nil
}

// weigh is about what a report takes in memory, in bytes.
func weigh(called string, r *openapi.NodeReport) int {
	const perNode, perModel = 512, 128
	total := perNode + len(called) + len(r.Address) + len(r.Program)
	for i := range r.Models {
		total += perModel + len(r.Models[i].Ref)
	}
	return total
}

// readable leaves out of a report what p may not read, and returns the repositories of
// the rest.
func (n *Nodes) readable(p access.Principal, r *openapi.NodeReport, repos []name.Repo) []name.Repo {
	models, kept := make([]openapi.NodeResident, 0, len(repos)), repos[:0]
	for i, repo := range repos {
		if n.policy.Allow(p, repo, access.Read) == nil {
			models, kept = append(models, r.Models[i]), append(kept, repo)
		}
	}
	r.Models = models
	return kept
}

// owns reports whether p may speak of a node: who reports it, and who runs the registry.
func (n *Nodes) owns(p access.Principal, known *node) bool {
	return known.by.Subject == p.Subject || n.policy.Allow(p, name.Repo{}, access.Admin) == nil
}

// Forget forgets a node. CodeNotFound tells one that is not known, and CodeForbidden one
// that is somebody else's.
func (n *Nodes) Forget(p access.Principal, called string) error {
	if err := name.CheckNode(called); err != nil {
		return openapi.Errorf(openapi.CodeBadName, "%v", err)
	}
	now := n.now()
	n.mu.Lock()
	defer n.mu.Unlock()
	known := n.nodes[called]
	if known == nil || known.over(now) {
		return openapi.Errorf(openapi.CodeNotFound, "node %s: not found", called)
	}
	if !n.owns(p, known) {
		return openapi.Errorf(openapi.CodeForbidden, "node %s: somebody else reports it", called)
	}
	n.drop(called, known)
	return nil
}

// List returns the nodes by name that hold versions which p may read, with these, and
// those that p may speak of. A repository that is not empty narrows it to nodes that hold
// versions of it, and to these.
func (n *Nodes) List(p access.Principal, repo string) (openapi.NodeList, error) {
	var only name.Repo
	if repo != "" {
		var err error
		if only, err = name.ParseRepo(repo); err != nil {
			return openapi.NodeList{}, openapi.Errorf(openapi.CodeBadName, "%v", err)
		}
	}
	now := n.now()
	n.mu.Lock()
	live := make(map[string]*node, len(n.nodes))
	for called, known := range n.nodes {
		if !known.over(now) {
			live[called] = known
		}
	}
	n.mu.Unlock() // nodes are not changed
	list := openapi.NodeList{Nodes: []openapi.NodeInfo{}}
	for called, known := range live {
		info := openapi.NodeInfo{Name: called, Seen: known.seen.UTC(), NodeReport: known.report}
		info.Models = n.visible(p, known, only)
		if !n.owns(p, known) && len(n.visible(p, known, name.Repo{})) < len(known.repos) {
			info.Tiers = budgets(info.Tiers)
		}
		if repo == "" && n.owns(p, known) || len(info.Models) > 0 {
			list.Nodes = append(list.Nodes, info)
		}
	}
	slices.SortFunc(list.Nodes, func(a, b openapi.NodeInfo) int { return cmp.Compare(a.Name, b.Name) })
	return list, nil
}

// budgets leaves out of tiers what is in them: how much there is would tell of what p may
// not read.
func budgets(t openapi.TierTotals) openapi.TierTotals {
	for _, tier := range []*openapi.TierUsage{&t.Disk, &t.RAM, &t.GPU} {
		*tier = openapi.TierUsage{Budget: tier.Budget, Limit: tier.Limit}
	}
	return t
}

// visible returns the versions of a node that p may read, of one repository unless
// that is zero.
func (n *Nodes) visible(p access.Principal, known *node, only name.Repo) []openapi.NodeResident {
	models := []openapi.NodeResident{}
	for i, repo := range known.repos {
		if (only == name.Repo{} || repo == only) && n.policy.Allow(p, repo, access.Read) == nil {
			models = append(models, known.report.Models[i])
		}
	}
	return models
}

func (n *node) over(now time.Time) bool { return !now.Before(n.until) }

// sweep forgets what is over, now and then.
func (n *Nodes) sweep(now time.Time) {
	if now.Before(n.sweepsAfter) {
		return
	}
	n.sweepsAfter = now.Add(sweepEvery)
	for called, known := range n.nodes {
		if known.over(now) {
			n.drop(called, known)
		}
	}
}

func (n *Nodes) drop(called string, known *node) {
	n.weight -= known.weighed
	delete(n.nodes, called)
}
