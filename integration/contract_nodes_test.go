package integration_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/name"
)

// testNodes reports a node, and moves a tag while the client listens.
func (s *session) testNodes(v version) {
	s.t.Helper()
	report := openapi.NodeReport{Address: "gpu-01:7071", Program: "v0", TTL: 60, Models: []openapi.NodeResident{
		{Ref: "acme/llama:main", Version: v.digest, Tier: openapi.TierRAM, Leases: 2},
	}}
	report.Tiers.RAM = openapi.TierUsage{Used: 1 << 30, Budget: 1 << 35, Models: 1}
	body, err := json.Marshal(report)
	if err != nil {
		s.t.Fatal(err)
	}
	s.send(http.StatusNoContent, "PUT", "/v1/nodes/gpu-01", mediaJSON, body)
	for query, want := range map[string]int{"": 1, "?repo=acme/llama": 1, "?repo=acme/other": 0} {
		var list openapi.NodeList
		if s.get(http.StatusOK, "GET", "/v1/nodes"+query, "", nil, &list); len(list.Nodes) != want {
			s.t.Errorf("nodes%s: %+v", query, list)
		}
	}
	s.send(http.StatusNoContent, "DELETE", "/v1/nodes/gpu-01", "", nil)
	s.testEvents(v)
}

// testUpstreams registers a hub for a while, and forgets it.
func (s *session) testUpstreams() {
	s.t.Helper()
	hub := []byte(`{"url":"http://127.0.0.1:9","ttl":60}`)
	s.send(http.StatusNoContent, "PUT", "/v1/upstreams/archive", mediaJSON, hub)
	var list openapi.UpstreamList
	if s.get(http.StatusOK, "GET", "/v1/upstreams", "", nil, &list); len(list.Upstreams) != 1 || list.Upstreams[0].Namespace != "archive" || list.Upstreams[0].Expires == nil {
		s.t.Errorf("upstreams %+v", list)
	}
	s.send(http.StatusNoContent, "DELETE", "/v1/upstreams/archive", "", nil)
}

// testEvents has each event bring about the next, and the last end the stream.
func (s *session) testEvents(v version) {
	s.t.Helper()
	r, err := client.New(s.base, client.Options{HTTP: s.http})
	if err != nil {
		s.t.Fatal(err)
	}
	defer r.Close()
	repo := name.Repo{Namespace: "acme", Name: "llama"}
	must := func(err error) {
		if err != nil {
			s.t.Error(err)
		}
	}
	var heard []string
	ctx, cancel := context.WithCancel(s.t.Context())
	err = r.Watch(ctx, []string{"acme/*"}, func() {
		_, err := r.SetTag(s.t.Context(), repo, "seen", openapi.SetTag{Digest: v.digest})
		must(err)
	}, func(e openapi.TagEvent) {
		heard = append(heard, e.Repo+":"+e.Tag+"="+e.Digest)
		if e.Digest == "" {
			cancel()
			return
		}
		must(r.DeleteTag(s.t.Context(), repo, e.Tag, ""))
	})
	if got, want := strings.Join(heard, " "), "acme/llama:seen="+v.digest.String()+" acme/llama:seen="; got != want || ctx.Err() == nil {
		s.t.Errorf("heard %q and then %v, want %q", got, err, want)
	}
}
