//go:build linux

package nodecache_test

import (
	"context"
	"encoding/json"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/ingot-ml/ingot/chunker/synth"
	"github.com/ingot-ml/ingot/cuda/cudatest"
	"github.com/ingot-ml/ingot/openapi"
)

// TestFakeGPUContract holds what a node says of GPUs to the specification.
func TestFakeGPUContract(t *testing.T) {
	spec, err := openapi3.NewLoader().LoadFromData(openapi.NodeSpec)
	if err != nil {
		t.Fatal(err)
	}
	conforms := func(schema string, v any) {
		t.Helper()
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		var doc any
		if err := json.Unmarshal(text, &doc); err != nil {
			t.Fatal(err)
		}
		if err := spec.Components.Schemas[schema].Value.VisitJSON(doc); err != nil {
			t.Errorf("%s: %v", schema, err)
		}
	}
	b := newBench(t, cudatest.Options{Memory: 256 * mib})
	b.push("acme/base:main")
	b.push("acme/variant:main", synth.ChangeLayers(2, 1))
	defer b.serve()()
	conforms("NodeStatus", b.status())
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	events, err := b.agent.Events(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var list []openapi.NodeEvent
	var listener sync.WaitGroup
	listener.Go(func() {
		for e, err := range events {
			if err != nil {
				return
			}
			list = append(list, e)
			if e.Type == openapi.EventSwapped {
				return
			}
		}
	})
	conforms("LoadReceipt", b.load("acme/base:main"))
	l := b.attach(openapi.LeaseRequest{Ref: "acme/base:main"})
	swap, err := b.agent.Swap(ctx, openapi.SwapRequest{From: "acme/base:main", To: "acme/variant:main"})
	if err != nil {
		t.Fatal(err)
	}
	conforms("SwapReceipt", swap)
	conforms("NodeStatus", b.status())
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	listener.Wait()
	types := map[string]bool{}
	for _, e := range list {
		conforms("NodeEvent", e)
		types[e.Type] = true
	}
	for _, want := range []string{openapi.EventLoaded, openapi.EventLeased, openapi.EventPaused, openapi.EventSwapped} {
		if !types[want] {
			t.Errorf("no event %s came", want)
		}
	}
}
