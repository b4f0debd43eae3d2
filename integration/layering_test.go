package integration_test

import (
	"os"
	"testing"
)

// allowed lists, for every package, the ingot packages it may import. A package
// missing from this table fails the test: a new package is a decision about the
// architecture, so it is made here first.
var allowed = map[string][]string{
	// Floor 0: what a chunk is.
	"chunker":                       {},
	"chunker/format":                {"chunker"},
	"chunker/codec":                 {"chunker", "chunker/codec/internal/planes"},
	"chunker/codec/internal/planes": {},
	"chunker/synth":                 {"chunker", "chunker/format"},

	// Floor 1: nouns, the wire contract, a durable directory.
	"chunker/chunkdir":  {"chunker"},
	"openapi":           {"chunker"},
	"openapi/leaseconn": {"openapi"},
	"registry/name":     {"chunker"},
	"registry/manifest": {"chunker", "registry/name"},

	// Floor 2: talk to a registry.
	"client/internal/folder":  {"registry/manifest"},
	"client/internal/journal": {"chunker"},
	"client/internal/source":  {"registry/manifest"},
	"client/internal/wire":    {"openapi"},
	"client": {"chunker", "chunker/chunkdir", "chunker/codec", "chunker/format",
		"client/internal/folder", "client/internal/journal", "client/internal/source", "client/internal/wire",
		"openapi", "registry/name", "registry/manifest"},

	"client/agent": {"chunker", "openapi", "openapi/leaseconn"},

	// Floor 3: the registry's insides.
	"registry/internal/access":                  {"registry/name"},
	"registry/internal/registers":               {},
	"registry/internal/registers/registerstest": {"registry/internal/registers"},
	"registry/internal/blobs":                   {},
	"registry/internal/blobs/blobstest":         {"registry/internal/blobs"},
	"registry/internal/blobs/fs":                {"chunker/chunkdir", "registry/internal/blobs"},
	"registry/internal/bolt":                    {"chunker", "registry/internal/registers"},
	"registry/internal/s3":                      {"registry/internal/blobs", "registry/internal/registers"},
	"registry/internal/model":                   {},
	"registry/internal/placement":               {"chunker", "registry/internal/blobs", "registry/manifest", "registry/name"},
	"registry/internal/record":                  {"chunker", "registry/internal/registers", "registry/name"},
	"registry/internal/versions": {"chunker", "chunker/codec", "openapi", "registry/name", "registry/manifest",
		"registry/internal/access", "registry/internal/blobs", "registry/internal/placement", "registry/internal/record",
		"registry/internal/registers"},

	"registry/internal/collect": {"chunker", "openapi", "registry/name", "registry/internal/blobs",
		"registry/internal/placement", "registry/internal/record", "registry/internal/registers"},

	"registry/internal/scrub": {"chunker", "chunker/codec", "openapi", "registry/name", "registry/manifest",
		"registry/internal/blobs", "registry/internal/placement", "registry/internal/record", "registry/internal/registers",
		"registry/internal/versions"},

	"registry/internal/doctor":  {"registry/internal/blobs", "registry/internal/registers"},
	"registry/internal/migrate": {"registry/internal/blobs", "registry/internal/record", "registry/internal/registers"},

	"registry/internal/simtest": {"chunker", "chunker/codec", "openapi", "registry/name", "registry/manifest",
		"registry/internal/access", "registry/internal/blobs", "registry/internal/collect", "registry/internal/placement",
		"registry/internal/record", "registry/internal/registers", "registry/internal/versions"},

	"registry/internal/events": {"openapi", "registry/internal/access", "registry/internal/record",
		"registry/internal/registers", "registry/name"},
	"registry/internal/nodes": {"openapi", "registry/internal/access", "registry/name"},

	// Floor 3: the node's insides.
	"nodecache/internal/tier":          {"chunker"},
	"nodecache/internal/tier/tiertest": {"chunker", "nodecache/internal/tier"},
	"nodecache/internal/disk":          {"chunker", "chunker/chunkdir", "chunker/codec", "nodecache/internal/tier", "registry/manifest"},
	"nodecache/internal/ram":           {"chunker", "nodecache/internal/tier"},
	"nodecache/internal/ledger":        {"chunker", "registry/name"},
	"nodecache/internal/plan":          {"chunker", "openapi", "registry/manifest"},
	"nodecache/internal/load": {"chunker", "client", "openapi", "registry/manifest", "registry/name",
		"nodecache/internal/plan", "nodecache/internal/ram", "nodecache/internal/tier"},
	"nodecache/internal/load/loadbench": {"chunker", "chunker/codec", "chunker/format", "registry/manifest",
		"nodecache/internal/disk", "nodecache/internal/load", "nodecache/internal/plan", "nodecache/internal/ram"},
	"nodecache/internal/follow": {"chunker", "client", "openapi", "registry/name"},
	"nodecache/internal/node": {"chunker", "client", "openapi", "registry/manifest", "registry/name",
		"nodecache/internal/disk", "nodecache/internal/ledger", "nodecache/internal/load",
		"nodecache/internal/plan", "nodecache/internal/ram", "nodecache/internal/tier"},
	"nodecache/internal/nodeapi": {"chunker", "openapi", "openapi/leaseconn", "registry/manifest", "registry/name",
		"nodecache/internal/node"},

	// Floor 4: the node, and what holds requests for it.
	"nodecache": {"chunker", "client", "openapi", "registry/name", "nodecache/internal/disk", "nodecache/internal/follow",
		"nodecache/internal/ledger", "nodecache/internal/node", "nodecache/internal/nodeapi", "nodecache/internal/ram"},
	"nodecache/gate": {"client/agent", "openapi", "registry/name"},

	// Floor 4: the registry.
	"registry/internal/httpapi": {"chunker", "chunker/codec", "openapi", "registry/name", "registry/manifest",
		"registry/internal/access", "registry/internal/blobs", "registry/internal/events", "registry/internal/versions"},
	"registry": {"chunker", "openapi", "registry/internal/access", "registry/internal/blobs", "registry/internal/blobs/fs",
		"registry/internal/bolt", "registry/internal/collect", "registry/internal/doctor", "registry/internal/events",
		"registry/internal/httpapi", "registry/internal/migrate", "registry/internal/nodes", "registry/internal/placement", "registry/internal/record",
		"registry/internal/registers", "registry/internal/s3", "registry/internal/scrub", "registry/internal/versions"},

	// Floor 5: the program.
	"cmd/ingot": {"chunker", "chunker/codec", "chunker/format", "chunker/synth", "client", "client/agent",
		"nodecache", "nodecache/gate", "openapi", "registry", "registry/name", "registry/manifest"},

	// Floor 6: whole-system tests and their programs.
	"integration":            {},
	"integration/bench":      {"chunker/synth", "integration/measure"},
	"integration/faultproxy": {},
	"integration/loaders":    {"chunker/synth", "integration/measure"},
	"integration/measure":    {},
	"integration/powercut":   {},
	"integration/needtest":   {},
	"integration/soak":       {},
	"integration/storetest":  {"integration/needtest"},
	"integration/planted":    {},
	"integration/peers":      {"chunker/synth", "integration/measure"},
	"integration/summary":    {},
}

// owners names the only package that may import each heavy module.
var owners = map[string]string{
	"github.com/PlakarKorp/go-cdc-chunkers": "chunker",
	"github.com/klauspost/compress":         "chunker/codec",
	"github.com/labstack/echo/v4":           "registry/internal/httpapi",
	"github.com/schollz/progressbar/v3":     "cmd/ingot",
	"github.com/spf13/cobra":                "cmd/ingot",
	"github.com/spf13/pflag":                "cmd/ingot",
	"github.com/zeebo/blake3":               "chunker",
	"github.com/minio/minio-go/v7":          "registry/internal/s3",
	"go.etcd.io/bbolt":                      "registry/internal/bolt",
	"go.yaml.in/yaml/v4":                    "cmd/ingot",
	"google.golang.org/protobuf":            "chunker/format",
}

func TestLayering(t *testing.T) {
	problems, err := checkLayers(os.DirFS(".."), allowed, owners)
	report(t, problems, err)
}

func TestPackageComments(t *testing.T) {
	problems, err := checkComments(os.DirFS(".."))
	report(t, problems, err)
}

func TestHouseRules(t *testing.T) {
	problems, err := checkHouse(os.DirFS(".."))
	report(t, problems, err)
}

func report(t *testing.T, problems []string, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Error(p)
	}
}
