package nodecache_test

import (
	"context"
	"net"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/synth"
	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/client/agent"
	"github.com/ingot-ml/ingot/nodecache"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry"
	"github.com/ingot-ml/ingot/registry/name"
)

// serveRegistry serves an empty registry.
func serveRegistry(t *testing.T) (address string, r *client.Registry) {
	t.Helper()
	server, err := registry.Open(t.Context(), registry.Config{Data: t.TempDir(), Reserve: -1})
	if err != nil {
		t.Fatal(err)
	}
	working, stop := context.WithCancel(context.Background())
	front := httptest.NewUnstartedServer(server.Handler())
	front.Config.BaseContext = func(net.Listener) context.Context { return working }
	front.Start()
	if r, err = client.New(front.URL, client.Options{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.Close()
		stop() // streams of events end
		front.Close()
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	return front.URL, r
}

// serveNode serves a node until the returned function is called.
func serveNode(t *testing.T, c nodecache.Config) (a *agent.Agent, stop func()) {
	t.Helper()
	n, err := nodecache.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error)
	go func() { served <- n.Serve(ctx, l, nil) }()
	if a, err = agent.New(socket, agent.Options{}); err != nil {
		t.Fatal(err)
	}
	return a, func() {
		a.Close()
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	}
}

// tiny is less than a chunk, and small about 20 MiB in four layers.
var (
	tiny  = synth.Spec{Layers: 2, Hidden: 128, KV: 64, FF: 256, Vocab: 256, DType: chunker.BF16, Seed: 1}
	small = synth.Spec{Layers: 4, Hidden: 512, KV: 256, FF: 1024, Vocab: 1024, DType: chunker.BF16, Seed: 1}
)

func push(t *testing.T, r *client.Registry, ref string, changes ...synth.Change) {
	t.Helper()
	pushLike(t, r, tiny, ref, changes...)
}

// pushLike stores a model, changed, and returns the folder that it is from.
func pushLike(t *testing.T, r *client.Registry, spec synth.Spec, ref string, changes ...synth.Change) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := synth.Write(t.Context(), dir, spec, changes...); err != nil {
		t.Fatal(err)
	}
	parsed, err := name.ParseRef(ref)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Push(t.Context(), dir, parsed, client.PushOptions{}); err != nil {
		t.Fatal(err)
	}
	return dir
}

// until waits for a state of the node.
func until(t *testing.T, a *agent.Agent, what string, is func(openapi.NodeStatus) bool) {
	t.Helper()
	var last openapi.NodeStatus
	for range 1000 {
		status, err := a.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if is(status) {
			return
		}
		last = status
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("%s did not happen: %+v", what, last)
}

func model(s openapi.NodeStatus, ref string) openapi.ModelStatus {
	for _, m := range s.Models {
		if m.Ref == ref {
			return m
		}
	}
	return openapi.ModelStatus{}
}

// TestFollow has a node follow one tag into memory and offer a namespace, and
// report what it holds to the registry; stopped, it takes that back.
func TestFollow(t *testing.T) {
	address, r := serveRegistry(t)
	push(t, r, "acme/llama:prod")
	push(t, r, "acme/other:main", synth.ChangeLayers(3, 0))
	push(t, r, "else/where:main", synth.ChangeLayers(4, 0))
	prod, err := name.ParseRef("acme/llama:prod")
	if err != nil {
		t.Fatal(err)
	}
	a, stop := serveNode(t, nodecache.Config{
		Name: "gpu1", Registry: address, Data: t.TempDir(), Disk: 64 << 20, RAM: 64 << 20,
		Heartbeat: 50 * time.Millisecond,
		Models: []nodecache.Model{
			{Ref: prod, Tier: openapi.TierRAM, Watch: true},
			{Match: "acme/*"},
		},
	})
	var first string
	until(t, a, "the first version in memory", func(s openapi.NodeStatus) bool {
		m := model(s, "acme/llama:prod")
		first = m.Version
		return m.Tier == openapi.TierRAM && s.Registry.Reachable && s.Registry.Following == "events"
	})
	until(t, a, "the offer", func(s openapi.NodeStatus) bool {
		other := model(s, "acme/other:main")
		return other.State == openapi.ModelAbsent && other.Watch && other.Version != "" && len(s.Models) == 2
	})
	push(t, r, "acme/llama:prod", synth.ChangeLayers(5, 1))
	until(t, a, "the switch", func(s openapi.NodeStatus) bool {
		m := model(s, "acme/llama:prod")
		return m.Tier == openapi.TierRAM && m.Version != first
	})
	l, err := a.Lease(t.Context(), openapi.LeaseRequest{Ref: "acme/other"}, agent.LeaseOptions{})
	if err != nil {
		t.Fatal(err)
	}
	reported := func() bool {
		list, err := r.Nodes(t.Context(), "acme/other")
		if err != nil {
			t.Fatal(err)
		}
		return len(list.Nodes) == 1 && list.Nodes[0].Name == "gpu1"
	}
	until(t, a, "the report", func(openapi.NodeStatus) bool { return reported() })
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	stop()
	if reported() {
		t.Error("the registry still lists a node that has stopped")
	}
}

// TestOneFolderOneNode opens a folder twice.
func TestOneFolderOneNode(t *testing.T) {
	c := nodecache.Config{Data: t.TempDir(), Disk: 64 << 20, RAM: 16 << 20}
	n, err := nodecache.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	if second, err := nodecache.Open(c); err == nil {
		t.Error("a folder that another node has open was opened", second.Close())
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	if n, err = nodecache.Open(c); err != nil {
		t.Fatal(err)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestNoRAM is a node that has only a disk, and no registry.
func TestNoRAM(t *testing.T) {
	a, stop := serveNode(t, nodecache.Config{Data: t.TempDir(), Disk: 64 << 20})
	defer stop()
	status, err := a.Status(t.Context())
	if err != nil || status.Tiers.RAM.Budget != 0 {
		t.Errorf("%+v, %v", status.Tiers, err)
	}
	if _, err := a.Lease(t.Context(), openapi.LeaseRequest{Ref: "acme/llama"}, agent.LeaseOptions{}); err == nil {
		t.Error("a lease without memory")
	}
	if _, err := a.Load(t.Context(), openapi.LoadRequest{Ref: "acme/llama", Tier: openapi.TierDisk}); err == nil {
		t.Error("a load without a registry")
	}
}
