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
	"cuda/ptx":                      {},

	// Floor 1: nouns, the wire contract, a durable directory.
	"chunker/chunkdir":   {"chunker"},
	"openapi":            {"chunker"},
	"openapi/trace":      {},
	"openapi/trace/otlp": {"openapi/trace"},
	"openapi/leaseconn":  {"openapi"},
	"openapi/guard":      {"openapi"},
	"openapi/tlsfiles":   {},
	"registry/name":      {"chunker"},
	"registry/manifest":  {"chunker", "registry/name"},
	"registry/signature": {"chunker"},

	"registry/layers": {"registry/manifest"},

	// Floor 2: versions as people, and interfaces that others have defined, are shown them.
	"registry/page":    {"openapi", "registry/name"},
	"registry/stream":  {"registry/manifest"},
	"registry/catalog": {"chunker", "registry/name", "registry/stream"},
	"registry/hub":     {"chunker", "openapi", "registry/catalog", "registry/name", "registry/stream"},
	"registry/oci":     {"openapi", "registry/catalog", "registry/name", "registry/stream"},

	// Floor 2: talk to a registry.
	"client/internal/archive": {"chunker", "chunker/codec", "registry/manifest", "registry/name"},
	"client/internal/folder":  {"registry/manifest"},
	"client/internal/journal": {"chunker"},
	"client/internal/known":   {"chunker"},
	"client/internal/source":  {"registry/manifest"},
	"client/internal/wire":    {"openapi", "openapi/trace"},
	"client": {"chunker", "chunker/chunkdir", "chunker/codec", "chunker/format",
		"client/internal/archive", "client/internal/folder", "client/internal/journal", "client/internal/known",
		"client/internal/source", "client/internal/wire",
		"openapi", "registry/name", "registry/manifest"},

	"client/checkpoints": {},
	"client/credentials": {},

	"client/artifact": {"client", "openapi", "registry/manifest"},

	"client/agent": {"chunker", "openapi", "openapi/leaseconn", "openapi/trace", "registry/catalog", "registry/name", "registry/stream"},
	"client/remote": {"chunker", "client", "openapi", "registry/catalog", "registry/manifest", "registry/name",
		"registry/stream"},

	// Floor 2: the driver of GPUs.
	"cuda":                   {},
	"cuda/inventory":         {"cuda"},
	"cuda/cudatest/fakecuda": {"cuda/ptx"},
	"cuda/cudatest":          {"cuda/cudatest/fakecuda", "integration/needtest"},

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
	"registry/internal/deltas":                  {"chunker", "chunker/codec", "registry/internal/blobs", "registry/internal/placement"},
	"registry/internal/versions": {"chunker", "chunker/codec", "openapi", "registry/name", "registry/manifest",
		"registry/internal/access", "registry/internal/blobs", "registry/internal/deltas", "registry/internal/placement", "registry/internal/record",
		"registry/internal/registers", "registry/layers"},

	"registry/internal/quota": {"openapi", "registry/name", "registry/internal/access", "registry/internal/record",
		"registry/internal/registers", "registry/internal/versions"},
	"registry/internal/audit": {},

	"registry/internal/retention": {"chunker", "openapi", "registry/manifest", "registry/name", "registry/internal/access",
		"registry/internal/record", "registry/internal/registers", "registry/internal/versions"},

	"registry/internal/collect": {"chunker", "openapi", "registry/name", "registry/internal/blobs",
		"registry/internal/placement", "registry/internal/record", "registry/internal/registers"},

	"registry/internal/scrub": {"chunker", "chunker/codec", "openapi", "registry/name", "registry/manifest",
		"registry/internal/blobs", "registry/internal/deltas", "registry/internal/placement", "registry/internal/record", "registry/internal/registers",
		"registry/internal/versions"},

	"registry/folders": {"registry/catalog", "registry/internal/s3", "registry/manifest", "registry/name", "registry/stream"},

	"registry/internal/arrival":   {},
	"registry/internal/hubtest":   {},
	"registry/internal/hubclient": {"registry/catalog", "registry/manifest", "registry/name"},
	"registry/internal/upstream": {"chunker", "openapi", "registry/catalog", "registry/name", "registry/stream",
		"registry/manifest",
		"registry/internal/access", "registry/internal/arrival", "registry/internal/commits", "registry/internal/hubclient",
		"registry/internal/ingest", "registry/internal/versions"},

	"registry/internal/doctor":  {"registry/internal/blobs", "registry/internal/registers"},
	"registry/internal/migrate": {"registry/internal/blobs", "registry/internal/record", "registry/internal/registers"},

	"registry/internal/simtest": {"chunker", "chunker/codec", "openapi", "registry/name", "registry/manifest",
		"registry/internal/access", "registry/internal/blobs", "registry/internal/collect", "registry/internal/deltas", "registry/internal/placement",
		"registry/internal/record", "registry/internal/registers", "registry/internal/versions"},

	"registry/internal/ingest": {"chunker", "chunker/codec", "chunker/format", "openapi", "registry/name", "registry/manifest",
		"registry/internal/access", "registry/internal/versions"},

	"registry/internal/commits": {"chunker", "openapi", "registry/catalog", "registry/name", "registry/manifest",
		"registry/internal/access", "registry/internal/ingest", "registry/internal/versions"},

	"registry/internal/signatures": {"chunker", "openapi", "registry/name", "registry/internal/access", "registry/internal/record",
		"registry/internal/registers", "registry/signature"},

	"registry/internal/oidc": {"openapi", "registry/internal/access", "registry/internal/record", "registry/internal/registers"},

	"registry/internal/grants": {"openapi", "registry/internal/record", "registry/internal/registers"},

	"registry/internal/credentials": {"openapi", "registry/internal/access"},
	"registry/internal/tokens": {"openapi", "registry/internal/access", "registry/internal/grants", "registry/internal/record",
		"registry/internal/registers"},
	"registry/internal/protections": {"openapi", "registry/name", "registry/internal/access", "registry/internal/record",
		"registry/internal/registers"},

	"registry/internal/xet": {"chunker"},
	"registry/internal/cas": {"openapi", "registry/catalog", "registry/hub", "registry/manifest", "registry/name", "registry/stream",
		"registry/internal/access", "registry/internal/grants", "registry/internal/ingest", "registry/internal/record",
		"registry/internal/registers", "registry/internal/versions", "registry/internal/xet"},

	"registry/internal/publish": {"chunker", "openapi", "registry/catalog", "registry/hub", "registry/manifest", "registry/name",
		"registry/internal/access", "registry/internal/commits", "registry/internal/grants", "registry/internal/ingest",
		"registry/internal/versions"},

	"registry/internal/view": {"chunker", "openapi", "registry/catalog", "registry/name", "registry/manifest",
		"registry/stream", "registry/internal/access", "registry/internal/versions"},

	"registry/internal/events": {"openapi", "registry/internal/access", "registry/internal/record",
		"registry/internal/registers", "registry/name"},
	"registry/internal/limits":  {},
	"registry/internal/metrics": {"openapi", "openapi/trace", "registry/internal/blobs", "registry/internal/registers"},
	"registry/internal/nodes":   {"openapi", "registry/internal/access", "registry/name"},

	// Floor 3: the node's insides.
	"nodecache/internal/bell":          {},
	"nodecache/internal/tier":          {"chunker"},
	"nodecache/internal/trust":         {"chunker", "openapi", "registry/name", "registry/signature"},
	"nodecache/internal/tier/tiertest": {"chunker", "nodecache/internal/tier"},
	"nodecache/internal/disk":          {"chunker", "chunker/chunkdir", "chunker/codec", "nodecache/internal/tier", "registry/manifest"},
	"nodecache/internal/ram":           {"chunker", "nodecache/internal/tier"},
	"nodecache/internal/ledger":        {"chunker", "registry/name", "nodecache/internal/tier"},
	"nodecache/internal/plan":          {"chunker", "openapi", "registry/manifest"},
	"nodecache/internal/patch": {"chunker", "chunker/codec", "registry/manifest",
		"nodecache/internal/ram", "nodecache/internal/tier"},
	"nodecache/internal/load": {"chunker", "client", "openapi", "registry/manifest", "registry/name",
		"nodecache/internal/plan", "nodecache/internal/ram", "nodecache/internal/tier"},
	"nodecache/internal/load/loadbench": {"chunker", "chunker/codec", "chunker/format", "registry/manifest",
		"nodecache/internal/disk", "nodecache/internal/load", "nodecache/internal/plan", "nodecache/internal/ram"},
	"nodecache/internal/follow": {"chunker", "client", "openapi", "registry/name"},
	"nodecache/internal/gpu": {"chunker", "cuda", "cuda/ptx", "openapi", "registry/manifest", "registry/name",
		"nodecache/internal/bell", "nodecache/internal/ledger", "nodecache/internal/mover", "openapi/trace"},
	"nodecache/internal/mover": {"cuda", "cuda/ptx", "nodecache/internal/ram", "openapi/leaseconn"},
	"nodecache/internal/node": {"chunker", "client", "cuda", "openapi", "registry/manifest", "registry/name",
		"nodecache/internal/bell", "nodecache/internal/disk", "nodecache/internal/gpu", "nodecache/internal/ledger", "nodecache/internal/load",
		"nodecache/internal/mover", "nodecache/internal/patch", "nodecache/internal/plan", "nodecache/internal/ram", "nodecache/internal/tier",
		"nodecache/internal/trust", "registry/signature", "registry/stream", "openapi/trace"},
	"nodecache/internal/files": {"chunker", "client", "nodecache/hfcache", "nodecache/internal/bell", "nodecache/internal/ledger",
		"openapi", "registry/catalog", "registry/name"},
	"nodecache/internal/hubnode": {"chunker", "client", "client/remote", "openapi", "registry/catalog",
		"registry/manifest", "registry/name", "registry/stream"},
	"nodecache/internal/nodeapi": {"chunker", "openapi", "openapi/leaseconn", "registry/manifest", "registry/name",
		"nodecache/internal/gpu", "openapi/guard", "nodecache/internal/node", "openapi/trace"},

	"nodecache/hfcache": {"registry/catalog", "registry/name", "registry/stream"},

	// Floor 4: the node, and what holds requests for it.
	"nodecache": {"chunker", "client", "openapi", "registry/name", "nodecache/internal/disk", "nodecache/internal/follow",
		"nodecache/internal/ledger", "nodecache/internal/node", "nodecache/internal/nodeapi", "nodecache/internal/ram",
		"cuda", "cuda/inventory", "nodecache/internal/gpu", "nodecache/internal/mover",
		"client/remote", "nodecache/internal/files", "openapi/guard", "nodecache/internal/hubnode", "nodecache/internal/trust", "registry/hub", "registry/manifest",
		"registry/signature", "registry/stream", "openapi/trace"},
	"nodecache/gate": {"client/agent", "openapi/guard", "openapi", "registry/name"},

	// Floor 4: the registry.
	"registry/internal/httpapi": {"chunker", "registry/internal/audit", "chunker/codec", "openapi", "registry/name", "registry/manifest",
		"registry/internal/access", "registry/internal/blobs", "registry/internal/credentials", "registry/internal/events", "registry/internal/tokens", "registry/internal/versions",
		"registry/page", "openapi/trace", "registry/internal/limits"},
	"registry": {"openapi/guard", "registry/page", "chunker", "openapi", "registry/catalog", "registry/hub", "registry/oci", "registry/stream", "registry/internal/view", "registry/internal/access", "registry/internal/blobs", "registry/internal/blobs/fs",
		"registry/internal/bolt", "registry/internal/cas", "registry/internal/collect", "registry/internal/deltas", "registry/internal/doctor", "registry/internal/events",
		"registry/internal/httpapi", "registry/internal/migrate", "registry/internal/commits", "registry/internal/grants", "registry/internal/ingest", "registry/internal/audit", "registry/internal/publish", "registry/internal/quota", "registry/internal/nodes", "registry/internal/placement", "registry/internal/record",
		"registry/internal/registers", "registry/internal/retention", "registry/internal/s3", "registry/internal/scrub", "registry/internal/credentials", "registry/internal/protections", "registry/internal/signatures", "registry/internal/oidc", "registry/internal/tokens", "registry/internal/upstream", "registry/internal/versions", "registry/name", "openapi/trace", "registry/internal/limits", "registry/internal/metrics"},

	// Floor 5: the program.
	"cmd/ingot": {"chunker", "chunker/codec", "chunker/format", "chunker/synth", "client", "client/agent", "client/artifact", "client/checkpoints", "client/credentials",
		"client/remote", "nodecache", "nodecache/gate", "nodecache/hfcache", "openapi", "openapi/guard", "openapi/tlsfiles", "registry", "registry/catalog",
		"registry/folders", "registry/hub", "registry/name", "registry/manifest", "registry/signature", "registry/stream", "openapi/trace", "openapi/trace/otlp"},

	// Floor 6: whole-system tests and their programs.
	"integration":                   {},
	"integration/access":            {},
	"integration/bench":             {"chunker/synth", "integration/measure"},
	"integration/checkpoints":       {"chunker", "chunker/codec", "chunker/format", "chunker/synth", "integration/measure"},
	"integration/deploy":            {},
	"integration/faultproxy":        {},
	"integration/findings":          {},
	"integration/floods":            {},
	"integration/gpuclient":         {"cuda", "openapi", "openapi/leaseconn"},
	"integration/gpudemo":           {"chunker/synth", "client/agent", "cuda", "cuda/cudatest/fakecuda", "openapi"},
	"integration/gpucheck":          {"client/agent", "cuda", "cuda/ptx", "integration/gpuclient", "openapi", "openapi/leaseconn"},
	"integration/hub":               {},
	"integration/loaders":           {"chunker/synth", "integration/measure"},
	"integration/measure":           {},
	"integration/powercut":          {},
	"integration/needtest":          {},
	"integration/soak":              {},
	"integration/storetest":         {"integration/needtest"},
	"integration/planted":           {},
	"integration/page":              {},
	"integration/page/chromiumtest": {},
	"integration/peers":             {"chunker/synth", "integration/measure"},
	"integration/summary":           {},
	"integration/tenants":           {},
}

// owners names the only package that may import each heavy module.
var owners = map[string]string{
	"github.com/NVIDIA/go-nvml":             "cuda/inventory",
	"github.com/PlakarKorp/go-cdc-chunkers": "chunker",
	"github.com/ebitengine/purego":          "cuda",
	"github.com/klauspost/compress":         "chunker/codec",
	"github.com/labstack/echo/v4":           "registry/internal/httpapi",
	"github.com/pierrec/lz4/v4":             "registry/internal/xet",
	"github.com/schollz/progressbar/v3":     "cmd/ingot",
	"github.com/spf13/cobra":                "cmd/ingot",
	"github.com/spf13/pflag":                "cmd/ingot",
	"go.opentelemetry.io/otel":              "openapi/trace/otlp",
	"golang.org/x/time":                     "registry/internal/limits",
	"github.com/zeebo/blake3":               "chunker",
	"github.com/minio/minio-go/v7":          "registry/internal/s3",
	"go.etcd.io/bbolt":                      "registry/internal/bolt",
	"go.yaml.in/yaml/v4":                    "cmd/ingot",
	"google.golang.org/protobuf":            "chunker/format",
	"github.com/opencontainers":             "client/artifact",
	"github.com/secure-systems-lab":         "registry/signature",
	"github.com/coreos/go-oidc":             "registry/internal/oidc",
	"github.com/go-jose/go-jose":            "registry/internal/oidc",
	"oras.land/oras-go/v2":                  "client/artifact",
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
