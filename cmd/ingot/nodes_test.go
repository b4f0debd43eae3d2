package main

import (
	"bytes"
	"encoding/json"
	"regexp"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/openapi"
)

// TestNodes lists two nodes that have reported themselves.
func TestNodes(t *testing.T) {
	address, stop, err := startRegistry(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	r, err := client.New("http://"+address, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	version := chunker.Sum([]byte("a version"))
	full := openapi.NodeReport{Address: "gpu-01:7071", Program: "test", TTL: 60, Models: []openapi.NodeResident{
		{Ref: "acme/llama:prod", Version: version, Tier: openapi.TierRAM, Leases: 2},
		{Ref: "corp/other:main", Version: version, Tier: openapi.TierDisk},
	}}
	full.Tiers.Disk = openapi.TierUsage{Used: 3 << 30, Budget: 1 << 40, Models: 2}
	full.Tiers.RAM = openapi.TierUsage{Used: 1 << 30, Budget: 64 << 30, Models: 1}
	for name, report := range map[string]openapi.NodeReport{"gpu-01": full, "empty": {Program: "test", TTL: 60}} {
		if err := r.Report(t.Context(), name, report); err != nil {
			t.Fatal(err)
		}
	}
	ingot := func(args ...string) []byte {
		var out, said bytes.Buffer
		if code := run(t.Context(), append(args, "--registry", address), nil, &out, &said); code != exitDone || said.Len() > 0 {
			t.Fatalf("%q ended with %d: %s", args, code, &said)
		}
		return out.Bytes()
	}
	want := regexp.MustCompile(`^NODE    SEEN +DISK +RAM  GPU  ADDRESS
empty   .* +-  +-    -  -
gpu-01  .*  3\.00 GiB of 1\.00 TiB  1\.00 GiB of 64\.0 GiB    -  gpu-01:7071

NODE    REFERENCE        VERSION       TIER  LEASES
gpu-01  acme/llama:prod  ` + version.Short() + `  ram        2
gpu-01  corp/other:main  ` + version.Short() + `  disk       0
$`)
	if got := ingot("nodes"); !want.Match(got) {
		t.Errorf("nodes:\n%s\nwant\n%s", got, want)
	}
	var list openapi.NodeList
	if err := json.Unmarshal(ingot("nodes", "acme/llama", "--json"), &list); err != nil {
		t.Fatal(err)
	}
	if len(list.Nodes) != 1 || len(list.Nodes[0].Models) != 1 || list.Nodes[0].Models[0] != full.Models[0] || list.Nodes[0].Tiers != full.Tiers {
		t.Errorf("nodes of one repository: %+v", list)
	}
}
