package nodecache

import (
	"strings"

	"github.com/ingot-ml/ingot/nodecache/internal/trust"
	"github.com/ingot-ml/ingot/registry/name"
)

// gate returns what says which versions may be loaded, nil where all may.
func (n *Node) gate() *trust.Gate {
	c := trust.Config{Store: n.disk, Keys: n.config.SignedBy}
	if n.client != nil {
		c.Registry = n.client
	}
	for _, m := range n.config.Models {
		if len(m.SignedBy) > 0 {
			c.Rules = append(c.Rules, trust.Rule{Repo: m.covers(), Keys: m.SignedBy})
		}
	}
	if len(c.Keys)+len(c.Rules) == 0 {
		return nil
	}
	return trust.New(c)
}

// covers returns what the keys of a model hold for: its repository, a namespace, which
// is a repository without a name, or everything, which is none.
func (m Model) covers() name.Repo {
	if m.Match == "" {
		return m.Ref.Repo
	}
	namespace, found := strings.CutSuffix(m.Match, "/*")
	if !found {
		return name.Repo{}
	}
	return name.Repo{Namespace: namespace}
}
