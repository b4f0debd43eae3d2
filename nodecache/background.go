package nodecache

import (
	"context"
	"strings"
	"sync"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/nodecache/internal/follow"
	"github.com/ingot-ml/ingot/nodecache/internal/node"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/name"
)

// background starts what goes on beside the requests, until ctx ends: following
// tags, and reporting to the registry.
func (n *Node) background(ctx context.Context, wg *sync.WaitGroup) error {
	wg.Go(func() { _ = n.files.Load().Run(ctx) }) // ends with ctx alone
	if n.client == nil {
		return nil
	}
	follower := follow.New(follow.Config{
		Registry: n.client, Poll: n.config.Poll, Logger: n.config.Logger,
		Changed: n.changed, State: n.following,
	})
	refs, match := n.config.followed()
	if err := follower.Set(refs, match); err != nil {
		return err
	}
	wg.Go(func() { _ = follower.Run(ctx) }) // ends with ctx alone
	if n.config.Heartbeat > 0 {
		n.report(ctx, wg)
	}
	return nil
}

// followed is the tags to follow, and the patterns of such.
func (c Config) followed() (refs []name.Ref, match []string) {
	for _, m := range c.Models {
		switch {
		case m.Match != "":
			match = append(match, m.Match)
		case m.Watch:
			refs = append(refs, m.Ref)
		}
	}
	return refs, match
}

// changed tells the engine where a tag is now, and what to do with one that only a
// pattern knows.
func (n *Node) changed(ref name.Ref, d chunker.Digest) {
	like := node.Model{Watch: true}
	for _, m := range n.config.Models {
		if m.Match != "" && matches(m.Match, ref.Repo) {
			like = m.model()
			like.Watch = true
			break
		}
	}
	n.engine.Changed(ref, d, like)
}

// following tells the engine how tags are followed. Who follows nothing has not
// asked the registry.
func (n *Node) following(how string, err error) {
	n.engine.Following(how)
	if how != follow.Nothing || err != nil {
		n.engine.Reached(err)
	}
}

// registrar tells the engine whether the registry takes its reports.
type registrar struct {
	follow.Registrar
	reached func(error)
}

func (r registrar) Report(ctx context.Context, node string, report openapi.NodeReport) error {
	err := r.Registrar.Report(ctx, node, report)
	if ctx.Err() == nil {
		r.reached(err)
	}
	return err
}

// matches tells whether a pattern covers a repository.
func matches(pattern string, repo name.Repo) bool {
	namespace, model, _ := strings.Cut(pattern, "/")
	return pattern == "*" || namespace == repo.Namespace && (model == "*" || model == repo.Name)
}

// report tells the registry what the node holds, and soon of what changes.
func (n *Node) report(ctx context.Context, wg *sync.WaitGroup) {
	reporter := follow.NewReporter(follow.ReporterConfig{
		Registry: registrar{n.client, n.engine.Reached}, Node: n.config.Name, Every: n.config.Heartbeat, Logger: n.config.Logger,
		Report: func() openapi.NodeReport {
			return openapi.NodeReport{
				Address: n.config.Advertise, Program: n.config.Version,
				Tiers: n.engine.Status().Tiers.Totals(), Models: n.engine.Residents(),
			}
		},
	})
	wg.Go(func() { _ = reporter.Run(ctx) }) // ends with ctx alone
	wg.Go(func() {
		for ctx.Err() == nil {
			for e := range n.engine.Events(ctx) {
				if e.Type != openapi.EventLoading {
					reporter.Soon()
				}
			}
		}
	})
}
