package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/ingot-ml/ingot/registry"
)

// values returns what every key of c is set to.
func values(c *config) map[string]string {
	all := map[string]string{}
	for _, k := range c.keys {
		all[k.name] = k.get()
	}
	return all
}

// loadArgs loads a configuration as serve does.
func loadArgs(t *testing.T, file string, environ []string, args ...string) (*serveConfig, error) {
	t.Helper()
	c := newServeConfig()
	return c, loadInto(t, &c.config, &newServeConfig().config, file, environ, args...)
}

// loadInto loads what is said into c, its flags by way of told.
func loadInto(t *testing.T, c, told *config, file string, environ []string, args ...string) error {
	t.Helper()
	flags := pflag.NewFlagSet(c.command, pflag.ContinueOnError)
	told.bind(flags)
	if err := flags.Parse(args); err != nil {
		t.Fatal(err)
	}
	if file != "" {
		path := filepath.Join(t.TempDir(), "ingot.yaml")
		if err := os.WriteFile(path, []byte(file), 0o666); err != nil {
			t.Fatal(err)
		}
		file = path
	}
	return c.load(file, environ, flags)
}

func TestConfigDefaults(t *testing.T) {
	c, err := loadArgs(t, "", nil)
	if err != nil || c.registry.Memory != registry.DefaultMemory || c.registry.PushTTL != registry.DefaultPushTTL || c.registry.Reserve != 0 || c.registry.GCGrace != registry.DefaultGCGrace || c.registry.Presign != 0 {
		t.Errorf("loaded %v, %v", values(&c.config), err)
	}
	for _, k := range c.keys {
		if k.source != "default" {
			t.Errorf("%s is from %s", k.name, k.source)
		}
	}
}

// TestConfigPrecedence gives every key another value from every set of sources.
func TestConfigPrecedence(t *testing.T) {
	precedence(t, func() *config { return &newServeConfig().config }, map[string][3]string{
		"data":                {"/file", "/environment", "/flag"},
		"store":               {"s3://file", "s3://environment/a", "none"},
		"rate-address":        {"1", "none", "3"},
		"rate-subject":        {"1", "none", "3"},
		"login-failures":      {"1", "none", "3"},
		"connections":         {"17", "18", "19"},
		"header-timeout":      {"1s", "2s", "1m"},
		"body-rate":           {"1KiB", "2KiB", "3KiB"},
		"memory-share":        {"1", "2", "100"},
		"trusted-proxy":       {"10.0.0.0/8", "none", "192.0.2.1/32,fd00::/8"},
		"admin-listen":        {"127.0.0.1:1", "none", "127.0.0.1:3"},
		"xet":                 {"off", "write", "on"},
		"xet-address":         {"http://file:1", "https://environment", "none"},
		"delta-cpu":           {"1s", "1m", "none"},
		"delta-bytes":         {"2MiB", "1GiB", "2GiB"},
		"arrivals":            {"2GiB", "3GiB", "4GiB"},
		"hub-part-size":       {"1MiB", "2MiB", "3MiB"},
		"bucket":              {"one-file", "one,two", "flag"},
		"alone":               {"true", "true", "true"},
		"listen":              {"127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"},
		"insecure":            {"true", "true", "true"},
		"read-only":           {"true", "true", "true"},
		"presign":             {"10s", "10m", "none"},
		"memory":              {"17MiB", "18MiB", "19MiB"},
		"push-ttl":            {"1h", "2h", "3h"},
		"reserve":             {"1GiB", "2GiB", "none"},
		"access":              {"tokens", "tokens", "tokens"},
		"anonymous":           {"public/*", "acme/x,b/*", "none"},
		"allow-host":          {"file.example", "*.environment.example,b", "none"},
		"oidc":                {"/file", "/environment", "none"},
		"tls-cert":            {"/file", "/environment", "none"},
		"tls-key":             {"/file", "/environment", "none"},
		"audit-log":           {"/file", "-", "none"},
		"upstream":            {"https://file.example", "acme=http://environment", "none"},
		"upstream-host":       {"file.example", "*.environment.example,b:1", "none"},
		"upstream-token-file": {"/file", "acme=/environment", "none"},
		"upstream-refresh":    {"1s", "1m", "1h"},
		"offline":             {"true", "true", "true"},
		"gc-every":            {"1m", "1d12h", "none"},
		"gc-grace":            {"1s", "7d", "none"},
		"keep-untagged":       {"1h", "30d", "none"},
		"scrub-every":         {"1h", "7d", "none"},
		"compact-every":       {"1h", "7d", "none"},
		"log-level":           {"debug", "warn", "error"},
		"log-format":          {"json", "json", "json"},
	})
}

// precedence gives every key another value from every set of sources: what is
// given in the file, the environment, a flag.
func precedence(t *testing.T, fresh func() *config, given map[string][3]string) {
	t.Helper()
	for _, k := range fresh().keys {
		in, ok := given[k.name]
		if !ok {
			t.Fatalf("the test does not know %s", k.name)
		}
		for sources := range 8 {
			var file string
			var environ, args []string
			want, source := k.get(), "default"
			if sources&1 != 0 {
				file, want, source = "# a comment\n"+k.name+": "+in[0]+"\n", in[0], "ingot.yaml:2"
			}
			if sources&2 != 0 {
				environ, want, source = []string{k.variable + "=" + in[1]}, in[1], "environment "+k.variable
			}
			if sources&4 != 0 {
				args, want, source = []string{"--" + k.name + "=" + in[2]}, in[2], "flag --"+k.name
			}
			c := fresh()
			err := loadInto(t, c, fresh(), file, environ, args...)
			got := c.key(k.name, (*key).called)
			if err != nil || got.get() != want || !strings.HasSuffix(got.source, source) {
				t.Errorf("%s of file %q, environment %v and flags %v: %s (%s), %v; want %s (%s)", k.name, file, environ, args, got.get(), got.source, err, want, source)
			}
		}
	}
}

func TestConfigFile(t *testing.T) {
	for _, tc := range []struct{ name, text, says string }{
		{"empty", "", ""},
		{"comments only", "# nothing\n", ""},
		{"an empty document", "---\n", ""},
		{"bytes as a number", "memory: 67108864\n", ""},
		{"JSON", `{"listen": "127.0.0.1:0", "insecure": true}`, ""},
		{"a byte order mark", "\ufefflisten: localhost:0\n", ""},
		{"windows", "listen: localhost:0\r\ninsecure: false\r\n", ""},
		{"unknown key", "data: /d\nlsten: localhost:0\n", `f:2:1: unknown key "lsten": did you mean listen?`},
		{"unlike any key", "anything: 1\n", `f:1:1: unknown key "anything": known are data, store,`},
		{"another case", "Listen: localhost:0\n", "did you mean listen?"},
		{"as a variable", "push_ttl: 7d\n", "did you mean push-ttl?"},
		{"twice", "listen: localhost:0\n\nlisten: localhost:0\n", `f:3:1: "listen" is given twice, first in line 1`},
		{"twice as a number and as a text", "1: a\n", `f:1:1: unknown key "1"`},
		{"a number", "listen: 7070\n", "f:1:9: listen is a number: want HOST:PORT"},
		{"a fraction", "memory: 1.5\n", "f:1:9: memory is a number: want a size"},
		{"a list", "listen: [a, b]\n", "f:1:9: listen is a list: want HOST:PORT"},
		{"a mapping", "listen:\n  port: 1\n", "f:2:3: listen is a mapping: want HOST:PORT"},
		{"nothing", "data:\nlisten: localhost:0\n", "f:1:6: data is empty: want the path of a folder"},
		{"a date", "data: 2026-01-01\n", "data is a date"},
		{"a text for a bool", "insecure: \"true\"\n", "f:1:11: insecure is a text: want true or false"},
		{"yes", "insecure: yes\n", "f:1:11: insecure is a text: want true or false"},
		{"a bool for a text", "data: true\n", "f:1:7: data is true or false: want the path of a folder"},
		{"an unknown tag", "data: !file x\n", `data is of the type "!file"`},
		{"an alias", "data: &d /d\nlisten: *d\n", "f:2:9: listen is an alias: want HOST:PORT"},
		{"a merge", "<<: {data: /d}\n", `unknown key "<<"`},
		{"no text", "data: \"\"\n", "want the path of a folder"},
		{"what a shell reads", "data: ~/ingot\n", `f:1:7: data "~/ingot": want the path of a folder, without ~`},
		{"a NUL", "data: \"a\\0b\"\n", "want the path of a folder"},
		{"no port", "listen: localhost\n", `f:1:9: listen "localhost": want HOST:PORT`},
		{"a port that is none", "listen: localhost:70707\n", "want HOST:PORT"},
		{"a size without sense", "memory: lots\n", `f:1:9: memory "lots": want a size`},
		{"too little", "memory: 1MiB\n", "at least 16MiB"},
		{"less than nothing", "memory: -64MiB\n", "want a size"},
		{"beyond any size", "memory: 99999999999999999999999EiB\n", "want a size"},
		{"no unit of time", "push-ttl: \"7\"\n", "want a duration"},
		{"a time as a number", "push-ttl: 7\n", "push-ttl is a number: want a duration"},
		{"too short", "push-ttl: 1s\n", "at least 1m"},
		{"too long", "push-ttl: 999999d\n", "want a duration"},
		{"a store elsewhere", "store: https://bucket/prefix\n", `f:1:8: store "https://bucket/prefix": want s3://BUCKET or s3://BUCKET/PREFIX, or none`},
		{"a store without a bucket", "store: s3://\n", "want s3://BUCKET"},
		{"a bucket in capitals", "store: s3://Bucket\n", "want s3://BUCKET"},
		{"a prefix that hides", "store: s3://bucket/.ingot\n", "want s3://BUCKET"},
		{"a prefix with a hole", "store: s3://bucket/a//b\n", "want s3://BUCKET"},
		{"a prefix", "store: s3://bucket/a/b/\n", ""},
		{"buckets", "bucket: one, two\n", ""},
		{"a bucket twice", "bucket: one,one\n", "want names of buckets, separated by commas"},
		{"buckets as a list", "bucket: [one, two]\n", "f:1:9: bucket is a list: want names of buckets, separated by commas"},
		{"an address for a second", "presign: 1s\n", "want a duration of 10s to 10m, or none"},
		{"an address for a day", "presign: 1d\n", "want a duration of 10s to 10m, or none"},
		{"a collection without a pause", "gc-every: 0s\n", "want a duration of at least 1m"},
		{"no grace", "gc-grace: 0s\n", ""},
		{"less than no grace", "gc-grace: -1h\n", "want a duration of at most 3650d"},
		{"a grace for ever", "gc-grace: 3651d\n", "want a duration of at most 3650d"},
		{"a loud log", "log-level: loud\n", `log-level "loud": want debug, info, warn or error`},
		{"a list at the top", "- listen\n", "f:1:1: this is a list: want lines such as listen: 127.0.0.1:7070"},
		{"a text at the top", "listen\n", "f:1:1: this is a text"},
		{"a key that is a list", "[a]: b\n", "f:1:1: this is a list, want a key: known are data,"},
		{"two documents", "data: /d\n---\ndata: /e\n", "f:2:1: a second document begins"},
		{"two documents, the second broken", "data: /d\n---\na: [\n", "f:4:1: not YAML"},
		{"not closed", "data: [\n", "f:2:1: not YAML: did not find expected node content"},
		{"a tab", "\tdata: a\n", "f:1:1: not YAML"},
		{"two colons", "listen: a: b\n", "f:1:10: not YAML: mapping values are not allowed"},
		{"no characters", "data: \xff\n", "f:1:1: not YAML"},
		{"deep", strings.Repeat("[", 20_000), "not YAML: exceeded max depth"},
	} {
		err := newServeConfig().loadYAML("f", []byte(tc.text))
		if tc.says == "" && err == nil {
			continue
		}
		if tc.says == "" || err == nil || !strings.Contains(err.Error(), tc.says) || !errors.Is(err, errUsage) {
			t.Errorf("%s: %v; want %q", tc.name, err, tc.says)
		}
	}
}

func TestConfigFileThatCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	big := filepath.Join(dir, "big.yaml")
	if err := os.WriteFile(big, []byte(strings.Repeat("#", maxConfig+1)), 0o666); err != nil {
		t.Fatal(err)
	}
	fits := filepath.Join(dir, "fits.yaml")
	if err := os.WriteFile(fits, []byte(strings.Repeat("#", maxConfig)), 0o666); err != nil {
		t.Fatal(err)
	}
	for path, says := range map[string]string{
		fits:                         "",
		big:                          "more than 1 MiB",
		dir:                          "is a directory",
		filepath.Join(dir, "no.yml"): "name a file with --config or INGOT_CONFIG",
	} {
		err := newServeConfig().loadFile(path)
		if (err == nil) != (says == "") || err != nil && (!strings.Contains(err.Error(), says) || !errors.Is(err, errUsage)) {
			t.Errorf("%s: %v; want %q", path, err, says)
		}
	}
}

func TestConfigEnvironment(t *testing.T) {
	for _, tc := range []struct{ entry, says string }{
		{"INGOT_SERVE_LISTEN=", ""},
		{"INGOT_SERVE_INSECURE=1", ""},
		{"INGOT_REGISTRY=http://elsewhere", ""},
		{"INGOT_SERVE_LISTN=localhost:0", `unknown variable "INGOT_SERVE_LISTN" in the environment: did you mean INGOT_SERVE_LISTEN?`},
		{"INGOT_SERVE_LISTN=", "did you mean INGOT_SERVE_LISTEN?"},
		{"INGOT_SERVE_PUSHTTL=7d", "did you mean INGOT_SERVE_PUSH_TTL?"},
		{"INGOT_SERVE_CONFIG=ingot.yaml", "INGOT_SERVE_LOG_FORMAT, INGOT_CONFIG"},
		{"INGOT_SERVE_ANYTHING=x", "known are INGOT_SERVE_DATA, "},
		{"INGOT_SERVE_MEMORY=lots", `INGOT_SERVE_MEMORY="lots": want a size of at least 16MiB`},
	} {
		_, err := loadArgs(t, "", []string{tc.entry})
		if (err == nil) != (tc.says == "") || err != nil && !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: %v; want %q", tc.entry, err, tc.says)
		}
	}
}

// TestConfigJudgesWhatIsOverruled: a mistake is told even where another source
// decides.
func TestConfigJudgesWhatIsOverruled(t *testing.T) {
	c, err := loadArgs(t, "log-format: jsn\n", []string{"INGOT_SERVE_MEMORY=x"}, "--log-format=json", "--memory=64MiB")
	if err == nil || !strings.Contains(err.Error(), "ingot.yaml:1:13: log-format") {
		t.Errorf("loaded with %v", err)
	}
	if c.log.format != "json" || c.registry.Memory != 64<<20 {
		t.Errorf("what is right does not hold: %v", values(&c.config))
	}
}

// TestServeSettles settles what goes together, and refuses what does not.
func TestServeSettles(t *testing.T) {
	p := &program{environ: []string{"HOME=/u"}}
	for _, tc := range []struct {
		args []string
		says string // or nothing
	}{
		{nil, ""},
		{[]string{"--store=s3://b00/p", "--bucket=b01", "--bucket=b02,b03", "--alone", "--presign=1m"}, ""},
		{[]string{"--store=none", "--bucket=none", "--alone=false", "--presign=none"}, ""},
		{[]string{"--read-only", "--gc-every=none"}, ""},
		{[]string{"--bucket=b01"}, "bucket (flag --bucket) is of a store: name one with --store s3://BUCKET/PREFIX"},
		{[]string{"--alone"}, "alone (flag --alone) is of a store"},
		{[]string{"--presign=1m"}, "presign (flag --presign) is of a store"},
		{[]string{"--read-only", "--gc-every=1h"}, "gc-every (flag --gc-every) changes what is stored, and read-only (flag --read-only) lets nothing"},
		{[]string{"--read-only", "--scrub-every=1h"}, "scrub-every (flag --scrub-every) changes what is stored"},
		{[]string{"--read-only", "--compact-every=1h"}, "compact-every (flag --compact-every) changes what is stored"},
		{[]string{"--read-only", "--keep-untagged=1h"}, "keep-untagged (flag --keep-untagged) changes what is stored"},
	} {
		c, err := loadArgs(t, "", nil, tc.args...)
		if err != nil {
			t.Fatal(err)
		}
		err = c.settle(p)
		if (err == nil) != (tc.says == "") || err != nil && (!strings.Contains(err.Error(), tc.says) || !errors.Is(err, errUsage)) {
			t.Errorf("%q: %v; want %q", tc.args, err, tc.says)
		}
		r := c.registry
		if err == nil && r.ReadOnly != (r.GCEvery == 0) {
			t.Errorf("%q: %+v", tc.args, r)
		}
		folder := "/u/.local/share/ingot/registry"
		if r.Store != "" {
			folder = "" // the registry finds one
		}
		if err == nil && r.Data != folder {
			t.Errorf("%q: the data is in %s, want %s", tc.args, r.Data, folder)
		}
		if err == nil && r.Store != "" && !slices.Equal(r.Buckets, []string{"b01", "b02", "b03"}) {
			t.Errorf("%q: buckets %q", tc.args, r.Buckets)
		}
	}
}

func TestGrace(t *testing.T) {
	for text, want := range map[string]time.Duration{"none": -1, "0s": -1, "0d": -1, "1s": time.Second, "48h": 2 * day, "3650d": 3650 * day} {
		if got, ok := parseGrace(text); !ok || got != want {
			t.Errorf("%s is read as %v, %t", text, got, ok)
		}
	}
}

func TestSpans(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"7d": 7 * day, "1d12h": 36 * time.Hour, "90m": 90 * time.Minute, "1h0m5s": time.Hour + 5*time.Second, "0d": 0,
		"106750d": 106750 * day, "1.5h": 90 * time.Minute, "36h": 36 * time.Hour,
	} {
		got, ok := parseSpan(text)
		again, okAgain := parseSpan(spellSpan(got))
		if !ok || got != want || !okAgain || again != got {
			t.Errorf("%s is read as %v, %t, and spelt %s", text, got, ok, spellSpan(got))
		}
	}
	for _, text := range []string{"", "d", "7", "-1d", "1d-1h", "1d24h", "1.5d", "1d1d", "106751d24h", "106752d", "18446744073709551616d", "1w"} {
		if got, ok := parseSpan(text); ok {
			t.Errorf("%q is read as %v", text, got)
		}
	}
}

func TestNearest(t *testing.T) {
	words := []string{"data", "listen", "log-level", "log-format"}
	for name, want := range map[string]string{
		"lsten": "listen", "log-levl": "log-level", "LOG-FORMAT": "log-format", "dta": "data", "xyz": "", "": "", "listener": "listen",
	} {
		if got := nearest(name, words); got != want {
			t.Errorf("%q is near %q, want %q", name, got, want)
		}
	}
}

// FuzzConfig: a file never panics, a mistake has its place, and what is taken is
// printed so that it means the same.
func FuzzConfig(f *testing.F) {
	f.Add([]byte("data: /srv/ingot\nlisten: 127.0.0.1:7070 # here\ninsecure: true\nmemory: 1GiB\npush-ttl: 1d12h\nreserve: none\nlog-level: warn\nlog-format: json\n"))
	f.Add([]byte("{data: \"#x\\u00e4\\n\", memory: 67108865}\n"))
	f.Add([]byte("a: &b [*b]\n---\n<<: *b\n"))
	f.Add([]byte("\xff\xfel\x00i\x00"))
	f.Add([]byte("? - a\n: |-\n  b\n"))
	place := regexp.MustCompile(`^f:[1-9][0-9]*:[1-9][0-9]*: `)
	f.Fuzz(func(t *testing.T, text []byte) {
		c := newServeConfig()
		c.registry.Data = "/data" // as settle does
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
		again := newServeConfig()
		if err := again.loadYAML("f", printed); err != nil {
			t.Fatalf("printed what is refused: %v\n%s", err, printed)
		}
		if got, want := fmt.Sprint(values(&again.config)), fmt.Sprint(values(&c.config)); got != want {
			t.Fatalf("printed %s, which means %s, for %s", printed, got, want)
		}
	})
}

func TestEveryKeyIsDescribed(t *testing.T) {
	for _, c := range []config{newServeConfig().config, newAgentConfig().config, newModelConfig().config} {
		names := []string{}
		for _, k := range c.keys {
			names = append(names, k.name)
			if k.usage == "" || k.want == "" || k.kind == "" {
				t.Errorf("%s: %s is not described", c.command, k.name)
			}
		}
		slices.Sort(names)
		if len(slices.Compact(names)) != len(c.keys) {
			t.Errorf("%s: two keys have one name: %v", c.command, names)
		}
	}
}
