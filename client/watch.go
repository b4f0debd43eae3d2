package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/ingot-ml/ingot/client/internal/wire"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/name"
)

const mediaEvents = "text/event-stream"

// Watch listens to changes of tags of the repositories that match: "*",
// "namespace/*" or "namespace/name". It calls ready when it listens, so that what is
// looked up from then on misses nothing, and again when changes were missed; and
// changed for every tag that has changed, one call at a time. Where a tag is now is
// for the caller to ask: events may come late, and out of order.
//
// It keeps one connection, and returns when that ends, which it always does. The
// error is then *openapi.Error, ErrUnreachable, ErrCorrupt or that of ctx.
func (r *Registry) Watch(ctx context.Context, match []string, ready func(), changed func(openapi.TagEvent)) error {
	q := wire.Request{
		Method: http.MethodGet, Path: []string{"v1", "events"}, Query: url.Values{"match": match}, Accept: mediaEvents,
	}
	return r.wire.Once(ctx, q, func(a wire.Answer) error {
		for e, err := range wire.Events(a.Body) {
			switch {
			case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
				return fmt.Errorf("%s has ended the events: %w", r.wire.Base(), ErrUnreachable)
			case err != nil:
				return fmt.Errorf("events of %s: %w: %w", r.wire.Base(), err, ErrCorrupt)
			}
			if err := told(e, ready, changed); err != nil {
				return fmt.Errorf("events of %s: %w: %w", r.wire.Base(), err, ErrCorrupt)
			}
		}
		return nil
	})
}

// told passes one event on. Types that are not known are of a newer registry.
func told(e wire.Event, ready func(), changed func(openapi.TagEvent)) error {
	switch e.Type {
	case openapi.StreamReady, openapi.StreamReset:
		ready()
	case openapi.StreamTag:
		var tag openapi.TagEvent
		if err := json.Unmarshal(e.Data, &tag); err != nil {
			return err
		}
		changed(tag)
	}
	return nil
}

// Report tells the registry what a node holds. It takes the place of what the node
// has said before, and is forgotten after its TTL.
func (r *Registry) Report(ctx context.Context, node string, report openapi.NodeReport) error {
	if err := name.CheckNode(node); err != nil {
		return err
	}
	if report.Models == nil {
		report.Models = []openapi.NodeResident{} // not null
	}
	body, err := json.Marshal(report)
	if err != nil {
		return fmt.Errorf("report of node %s: %w", node, err)
	}
	q := wire.Request{Method: http.MethodPut, Path: []string{"v1", "nodes", node}, Type: mediaJSON, Body: body}
	return r.wire.Call(ctx, q, func(wire.Answer) error { return nil })
}

// Forget takes back what a node has reported.
func (r *Registry) Forget(ctx context.Context, node string) error {
	if err := name.CheckNode(node); err != nil {
		return err
	}
	return r.remove(ctx, nil, "v1", "nodes", node)
}

// Nodes lists the nodes that have reported lately and the versions that they hold:
// all, or those of one repository when it is not empty.
func (r *Registry) Nodes(ctx context.Context, repo string) (openapi.NodeList, error) {
	return get[openapi.NodeList](ctx, r, query("repo", repo), "v1", "nodes")
}
