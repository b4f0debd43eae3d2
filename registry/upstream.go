package registry

import (
	"crypto/rand"
	"time"

	"github.com/ingot-ml/ingot/registry/catalog"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/httpapi"
	"github.com/ingot-ml/ingot/registry/internal/upstream"
	"github.com/ingot-ml/ingot/registry/internal/view"
)

// Upstream is another hub: what is asked for and is not here comes from there, and
// stays.
type Upstream struct {
	// Namespace whose models it has; empty for all that no other Upstream has.
	Namespace string
	URL       string
	Token     string // only ever sent to URL's own host
}

// pullThrough returns what shows the models of other hubs besides those that are here;
// a registry that only reads shows those. Others may register hubs later.
func (r *Registry) pullThrough(policy access.Policy, here catalog.Source) (catalog.Source, error) {
	if r.config.ReadOnly {
		return here, nil
	}
	hubs := make([]upstream.Hub, len(r.config.Upstreams))
	for i, u := range r.config.Upstreams {
		hubs[i] = upstream.Hub(u)
	}
	s, err := upstream.New(upstream.Config{
		Local: here, Store: r.ingest, Versions: upstream.Registry{Commits: r.commits, Versions: r.service},
		Policy: policy, Foreign: view.ForeignTag, Hubs: hubs, Hosts: r.config.UpstreamHosts, Offline: r.config.Offline,
		Refresh: r.config.UpstreamRefresh, Name: "ingot-" + rand.Text()[:16], Program: r.config.Version,
		Now: time.Now, Logger: r.config.Logger,
	})
	if err != nil {
		return nil, err
	}
	r.upstream = s
	return s, nil
}

// native is the service as ingot's own clients use it.
func (r *Registry) native() httpapi.Service {
	if r.upstream == nil {
		return r.service
	}
	return upstream.Native{Service: r.service, Source: r.upstream}
}

// upstreams is the Source as package httpapi wants it: nothing where there is none.
func upstreams(s *upstream.Source) httpapi.Upstreams {
	if s == nil {
		return nil
	}
	return s
}
