package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/nodecache"
	"github.com/ingot-ml/ingot/openapi"
)

func TestAgentConfigPrecedence(t *testing.T) {
	precedence(t, func() *config { return &newAgentConfig().config }, map[string][3]string{
		"registry":                 {"http://file:1", "https://environment", "none"},
		"data":                     {"/file", "/environment", "/flag"},
		"socket":                   {"/file", "/environment", "/flag"},
		"socket-mode":              {"0660", "0666", "0606"},
		"listen":                   {"127.0.0.1:1", "none", "127.0.0.1:3"},
		"insecure":                 {"true", "true", "true"},
		"name":                     {"file", "environment", "flag"},
		"advertise":                {"http://file", "http://environment", "http://flag"},
		"token-file":               {"/file", "none", "/flag"},
		"allow-host":               {"file.example", "*.environment.example,b", "none"},
		"tls-cert":                 {"/file", "/environment", "none"},
		"tls-key":                  {"/file", "/environment", "none"},
		"registry-token-file":      {"/file", "none", "/flag"},
		"registry-insecure":        {"true", "true", "true"},
		"ca-file":                  {"/file", "none", "/flag"},
		"registry-oidc-token-file": {"/file", "none", "/flag"},
		"signed-by":                {"/file", "none", "/flag"},
		"admin-listen":             {"127.0.0.1:1", "none", "127.0.0.1:3"},
		"disk":                     {"17MiB", "18MiB", "19MiB"},
		"ram":                      {"17MiB", "none", "19MiB"},
		"gpu":                      {"17MiB", "none", "19MiB,GPU-00000000-0000-0000-0000-00000000000a=1GiB"},
		"gpu-headroom":             {"1MiB", "none", "3MiB"},
		"gpu-slice":                {"1s", "2ms", "3s"},
		"idle-gpu":                 {"1h", "none", "3h"},
		"disk-models":              {"1", "2", "3"},
		"ram-models":               {"1", "none", "3"},
		"disk-form":                {"encoded", "encoded", "encoded"},
		"disk-high":                {"97", "98", "99"},
		"disk-low":                 {"1", "2", "3"},
		"hf-cache":                 {"/file", "/environment", "/flag"},
		"huge-pages":               {"true", "true", "true"},
		"wait":                     {"1h", "2h", "3h"},
		"idle-ram":                 {"1h", "none", "3h"},
		"idle-disk":                {"1d", "2d", "3d"},
		"poll":                     {"1h", "2h", "3h"},
		"heartbeat":                {"1h", "none", "3h"},
		"parallel":                 {"1", "2", "3"},
		"log-level":                {"debug", "warn", "error"},
		"log-format":               {"json", "json", "json"},
	})
}

// TestAgentConfigReachesTheNode: every field of what the node is told can be said. What
// is in files has tests of its own.
func TestAgentConfigReachesTheNode(t *testing.T) {
	const device = "GPU-00000000-0000-0000-0000-00000000000a"
	c := newAgentConfig()
	err := c.loadYAML("f", []byte(`
{registry: "r:1", data: /d, name: n, advertise: "http://a", disk: 1GiB, ram: 2GiB, disk-models: 3, ram-models: 4,
 disk-form: encoded, disk-high: 90, disk-low: 80, hf-cache: /f, huge-pages: true, wait: 1m, idle-ram: 2m, idle-disk: 3m, poll: 4m,
 heartbeat: 5m, parallel: 6, gpu: "3GiB,GPU-00000000-0000-0000-0000-00000000000A=4GiB", gpu-headroom: 5MiB, gpu-slice: 8s, idle-gpu: 9m,
 models: [{ref: acme/x, tier: gpu, device: 00000000-0000-0000-0000-00000000000a, watch: true, pin: true, keep: files, idle-ram: 7m, idle-disk: none, idle-gpu: 8m}]}`))
	if err != nil {
		t.Fatal(err)
	}
	got := c.nodeConfig()
	want := nodecache.Config{
		Registry: "http://r:1", Data: "/d", Name: "n", Advertise: "http://a", Disk: 1 << 30, RAM: 2 << 30, DiskModels: 3, RAMModels: 4,
		Encoded: true, High: 90, Low: 80, Files: "/f", Huge: true, Wait: time.Minute, IdleRAM: 2 * time.Minute, IdleDisk: 3 * time.Minute, Poll: 4 * time.Minute,
		Heartbeat: 5 * time.Minute, Parallel: 6, Version: version,
		GPU: []nodecache.GPUBudget{{Bytes: 3 << 30}, {UUID: device, Bytes: 4 << 30}}, GPUHeadroom: 5 << 20, GPUSlice: 8 * time.Second,
		IdleGPU: 9 * time.Minute,
		Models: []nodecache.Model{{
			Ref: mustRef(t, "acme/x"), Tier: openapi.TierGPU, Device: device, Files: true, Watch: true, Pin: true,
			IdleGPU: 8 * time.Minute, IdleRAM: 7 * time.Minute, IdleDisk: -1,
		}},
		MoverCommand: moverCommand(),
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("told\n%+v, want\n%+v", got, want)
	}
	for i, v := 0, reflect.ValueOf(got); i < v.NumField(); i++ {
		if name := v.Type().Field(i).Name; name != "Logger" && name != "Access" && name != "SignedBy" && v.Field(i).IsZero() {
			t.Errorf("nothing says %s", name)
		}
	}
}

func TestAgentConfigFile(t *testing.T) {
	const digest = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	for _, tc := range []struct{ name, text, says string }{
		{"empty", "", ""},
		{"no models", "models: []\n", ""},
		{"everything of models", "models:\n- {ref: a/b:c, tier: RAM, watch: true, pin: true, idle-ram: none, idle-disk: 7d}\n- match: '*'\n  watch: true\n- match: a/*\n", ""},
		{"a version", "models: [{ref: a/b@" + digest + ", tier: disk}]\n", ""},
		{"a count as a text", "disk-models: \"20\"\n", ""},
		{"a list misspelt", "modles: []\n", "f:1:1: unknown key \"modles\": did you mean models?"},
		{"models twice", "models: []\nmodels: []\n", "f:2:1: \"models\" is given twice, first in line 1"},
		{"models empty", "models:\n", "f:1:8: models is empty: want a list"},
		{"a mapping of models", "models:\n  ref: a/b\n", "f:2:3: models is a mapping: want a list"},
		{"a model alone", "models: [a/b]\n", "f:1:10: this is a text: want lines such as - ref: acme/llama:prod"},
		{"an alias", "models: [&a {ref: a/b}, *a]\n", "f:1:25: this is an alias"},
		{"a key misspelt", "models:\n  - ref: a/b\n    teir: ram\n", "f:3:5: unknown key \"teir\": did you mean tier?"},
		{"a key twice", "models:\n  - ref: a/b\n    ref: a/c\n", "f:3:5: \"ref\" is given twice, first in line 2"},
		{"a ref misspelt", "models:\n  - ref: llama\n", "f:2:10: ref \"llama\": want namespace/name[:tag]"},
		{"a ref as a number", "models: [{ref: 1}]\n", "f:1:16: ref is a number: want namespace/name"},
		{"a tier that is none", "models: [{ref: a/b, tier: fast}]\n", "tier \"fast\": want none, disk, ram or gpu"},
		{"a GPU", "models: [{ref: a/b, tier: gpu, device: MIG-00000000-0000-0000-0000-00000000000a}]\n", ""},
		{"no GPU", "models: [{ref: a/b, tier: gpu, device: cuda0}]\n", "device \"cuda0\": want a GPU's UUID"},
		{"a GPU for memory", "models: [{ref: a/b, tier: ram, device: 00000000-0000-0000-0000-00000000000a}]\n", "a/b:main: device goes with the tier gpu"},
		{"a budget that is none", "gpu: much\n", "gpu \"much\": want a size of at least 16MiB"},
		{"a budget as a number", "gpu: 17000000\n", ""},
		{"a little of a GPU", "gpu: 1MiB\n", "want a size of at least 16MiB"},
		{"a budget of no GPU", "gpu: GPU-1=1GiB\n", "want a size of at least 16MiB"},
		{"a GPU twice", "gpu: 1GiB,2GiB\n", "want a size of at least 16MiB"},
		{"no slice", "gpu-slice: 0s\n", "want a duration of at least 1ms"},
		{"a pattern of names", "models: [{match: a/b*}]\n", "match \"a/b*\": want namespace/* or *"},
		{"a pattern of nothing", "models: [{match: /*}]\n", "want namespace/* or *"},
		{"neither", "models:\n  - tier: ram\n", "f:2:5: a model has either a ref or a match"},
		{"both", "models: [{ref: a/b, match: a/*}]\n", "f:1:10: a model has either a ref or a match"},
		{"a pattern in a tier", "models: [{match: a/*, tier: ram}]\n", "a/*: what matches comes when it is asked for"},
		{"files", "models: [{ref: a/b, keep: files, pin: true}, {ref: a/c, keep: chunks}]\n", ""},
		{"a form that is none", "models: [{ref: a/b, keep: blobs}]\n", "keep \"blobs\": want chunks or files"},
		{"a pattern as files", "models: [{match: a/*, keep: files}]\n", "a/*: what matches comes when it is asked for"},
		{"a pinned pattern", "models: [{match: a/*, pin: true}]\n", "a/*: what matches comes when it is asked for"},
		{"a version that is watched", "models: [{ref: a/b@" + digest + ", watch: true}]\n", "watch goes with a tag"},
		{"pinned nowhere", "models: [{ref: a/b, pin: true}]\n", "a/b:main: pin keeps a model in its tier: say which"},
		{"a model twice", "models:\n- ref: a/b\n- ref: a/b:main\n", "f:3:3: a/b:main is given twice, first in line 2"},
		{"no time", "idle-ram: 0s\n", "f:1:11: idle-ram \"0s\": want a duration of at least 1s"},
		{"no count", "disk-models: 0\n", "f:1:14: disk-models \"0\": want a number of models, or none"},
		{"above a hundred", "disk-high: 101\n", "want a percentage"},
		{"a mode", "socket-mode: 0888\n", "want what chmod takes"},
		{"a name", "name: a b\n", "want at most 64 of"},
		{"a registry", "registry: ftp://x\n", "want a URL such as"},
		{"a little", "disk: 1MiB\n", "want a size of at least 16MiB"},
	} {
		err := newAgentConfig().loadYAML("f", []byte(tc.text))
		if tc.says == "" && err == nil {
			continue
		}
		if tc.says == "" || err == nil || !strings.Contains(err.Error(), tc.says) || !errors.Is(err, errUsage) {
			t.Errorf("%s: %v; want %q", tc.name, err, tc.says)
		}
	}
}

// TestAgentConfigSettles: what depends on the process, and what does not go
// together.
func TestAgentConfigSettles(t *testing.T) {
	home := t.TempDir()
	for _, tc := range []struct {
		name, text string
		env        map[string]string
		key, want  string
		says       string
	}{
		{name: "the registry of all commands", env: map[string]string{"INGOT_REGISTRY": "r:1"}, key: "registry", want: "http://r:1"},
		{name: "another registry", text: "registry: none", env: map[string]string{"INGOT_REGISTRY": "r:1"}, key: "registry", want: "none"},
		{name: "the registry of this machine", key: "registry", want: defaultRegistry},
		{name: "no registry", env: map[string]string{"INGOT_REGISTRY": "ftp://r"}, says: "INGOT_REGISTRY=\"ftp://r\": want a URL"},
		{name: "data", key: "data", want: filepath.Join(home, ".local", "share", "ingot", "node")},
		{name: "a socket", env: map[string]string{"XDG_RUNTIME_DIR": "/r"}, key: "socket", want: "/r/ingot/agent.sock"},
		{name: "a socket of one's own", text: "socket: /s/x", env: map[string]string{"XDG_RUNTIME_DIR": "/r"}, key: "socket", want: "/s/x"},
		{name: "a long socket", text: "socket: /" + strings.Repeat("x", 110), says: "the path has 111 bytes, and a socket at most 103"},
		{name: "for all to reach", text: "listen: 0.0.0.0:1", says: "listen 0.0.0.0:1 (f:1) can be reached by others"},
		{name: "for all to reach as they should", text: "{listen: 0.0.0.0:1, insecure: true}", key: "listen", want: "0.0.0.0:1"},
		{name: "low above high", text: "disk-low: 96", says: "disk-low 96 (f:1) is above disk-high 95 (default)"},
		{name: "no GPU", text: "{models: [{ref: a/b, tier: gpu}]}", says: "f:1: a/b:main should be on a GPU, and gpu is none (default)"},
		{name: "another GPU", text: "{gpu: 00000000-0000-0000-0000-00000000000a=1GiB, models: [{ref: a/b, tier: gpu, device: 00000000-0000-0000-0000-00000000000b}]}", says: "which gpu (f:1) gives no budget"},
		{name: "a GPU without memory", text: "{gpu: 1GiB, ram: none}", says: "gpu is 1GiB (f:1), and ram is none (f:1)"},
		{name: "GPUs", text: "{gpu: ' 1GiB, gpu-00000000-0000-0000-0000-00000000000A=2GiB', models: [{ref: a/b, tier: gpu, device: 00000000-0000-0000-0000-00000000000b}]}", key: "gpu", want: "1GiB,GPU-00000000-0000-0000-0000-00000000000a=2GiB"},
		{name: "no memory", text: "{ram: none, models: [{ref: a/b, tier: ram}]}", says: "f:1: a/b:main should be in memory, and ram is none (f:1)"},
	} {
		c := newAgentConfig()
		if err := c.loadYAML("f", []byte(tc.text)); err != nil {
			t.Fatal(err)
		}
		env := map[string]string{"HOME": home}
		for k, v := range tc.env {
			env[k] = v
		}
		err := c.settle(&program{environ: environ(env)})
		if (err == nil) != (tc.says == "") || err != nil && (!strings.Contains(err.Error(), tc.says) || !errors.Is(err, errUsage)) {
			t.Errorf("%s: %v; want %q", tc.name, err, tc.says)
		}
		if tc.key != "" && c.key(tc.key, (*key).called).get() != tc.want {
			t.Errorf("%s: %s is %s; want %s", tc.name, tc.key, c.key(tc.key, (*key).called).get(), tc.want)
		}
	}
}

// TestSocketPath: the rule by which clients and agents find each other.
func TestSocketPath(t *testing.T) {
	without := filepath.Join("/tmp", fmt.Sprintf("ingot-%d", os.Getuid()), "agent.sock")
	if os.Getuid() == 0 {
		without = "/run/ingot/agent.sock"
	}
	for dir, want := range map[string]string{"/r": "/r/ingot/agent.sock", "": without, "relative": without} {
		p := &program{environ: environ(map[string]string{"XDG_RUNTIME_DIR": dir})}
		if got := p.socketPath(); got != want {
			t.Errorf("with %q the socket is %s, want %s", dir, got, want)
		}
	}
}

// FuzzAgentConfig: as FuzzConfig, for a file that has a list too.
func FuzzAgentConfig(f *testing.F) {
	f.Add([]byte("ram: 64GiB\nsocket-mode: 0660\nmodels:\n- ref: a/b:c\n  tier: ram\n  watch: true\n  pin: true\n  idle-ram: none\n- match: a/*\n  idle-disk: 1d12h\n"))
	f.Add([]byte("{disk-models: \"3\", parallel: 1_0, heartbeat: none, models: [{match: '*', watch: false}]}"))
	f.Add([]byte("gpu: 20MiB,MIG-00000000-0000-0000-0000-00000000000a=1GiB\nmodels: [{ref: a/b, tier: gpu, device: 00000000-0000-0000-0000-00000000000a, idle-gpu: none}]\n"))
	f.Add([]byte(""))
	f.Add([]byte("models: &m [*m]\n"))
	f.Add([]byte("models: [{<<: {ref: a/b}}]\n"))
	place := regexp.MustCompile(`^f:[1-9][0-9]*:[1-9][0-9]*: `)
	f.Fuzz(func(t *testing.T, text []byte) {
		c := newAgentConfig()
		c.node.Data, c.node.Name, c.socket = "/data", "node", "/socket" // as settle does
		if err := c.loadYAML("f", text); err != nil {
			if !place.MatchString(err.Error()) || !errors.Is(err, errUsage) {
				t.Fatalf("no place in %q", err)
			}
			return
		}
		printed, err := c.yaml()
		if err != nil {
			t.Fatal(err)
		}
		again := newAgentConfig()
		if err := again.loadYAML("f", printed); err != nil {
			t.Fatalf("printed what is refused: %v\n%s", err, printed)
		}
		if got, want := again.nodeConfig(), c.nodeConfig(); !reflect.DeepEqual(got, want) || again.mode != c.mode || again.socket != c.socket {
			t.Fatalf("printed %s, which means %+v, for %+v", printed, got, want)
		}
	})
}
