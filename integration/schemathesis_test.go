package integration_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/integration/needtest"
	"github.com/ingot-ml/ingot/openapi"
)

// schemathesis returns the program, which lives in an environment of its own.
func schemathesis(t *testing.T) string {
	t.Helper()
	if _, err := os.Stat(filepath.Join(cache, "venv-api", "requirements.sha256")); err != nil {
		needtest.Skip(t, "python", fmt.Errorf("run make tools: %w", err))
	}
	path, err := filepath.Abs(filepath.Join(cache, "venv-api", "bin", "schemathesis"))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// judged is the report of a run.
type judged struct {
	StopReason string `json:"stop_reason"`
	Operations struct {
		Tested  int `json:"tested"`
		Errored int `json:"errored"`
	} `json:"operations"`
	TestCases struct {
		Generated int `json:"generated"`
		Failures  int `json:"unique_failures"`
	} `json:"test_cases"`
}

// The statuses that a request may get though it is as the schemas say: what is
// not there, was moved, is done or is not what its name says cannot stand in one.
// 400 is none of them: what is refused with that has to stand in the schemas.
const accepted = `["2xx", "303", "304", "404", "409", "410", "412", "413", "422"]`

// strangers are the settings of a run that makes up every name.
const strangers = `
[checks.positive_data_acceptance]
expected-statuses = ` + accepted + `
[checks.negative_data_rejection]
expected-statuses = ["400", "404", "405", "413", "431"]
[[operations]] # its answer does not end: TestContract listens to it
include-operation-id = "listenEvents"
enabled = false
[[operations]] # a hub on another machine is allowed by who runs the registry
include-operation-id = "registerUpstream"
warnings = false
[operations.checks.positive_data_acceptance]
expected-statuses = ["204", "403", "409"]
[[operations]] # so that there is none to forget: TestContract forgets one
include-operation-id = "forgetUpstream"
warnings = false
[[operations]] # a rule that another request may have cleared: TestContract applies one
include-operation-id = "applyRetention"
warnings = false
[[operations]] # of a namespace that nobody pushes to: TestContract pushes beyond one
include-operation-id = "setQuota"
parameters = { "path.namespace" = "elsewhere" }
[[operations]]
include-operation-id = "clearQuota"
parameters = { "path.namespace" = "elsewhere" }
warnings = false
[[operations]] # a signature that can be kept is made with a key: TestContract makes one
include-operation-id = "putSignature"
warnings = false
[operations.checks.positive_data_acceptance]
expected-statuses = ["400", "404", "413"]
[[operations]]
include-operation-id = ["getSignature", "deleteSignature"]
warnings = false
[[operations]] # where everybody may do everything there are no tokens: TestContract makes some elsewhere
include-operation-id = ["listTokens", "createToken", "revokeToken", "exchangeToken"]
warnings = false
[operations.checks.positive_data_acceptance]
expected-statuses = ["403"]
[operations.checks.negative_data_rejection]
expected-statuses = ["400", "403", "404", "405", "413", "431"]
`

// endless is how many operations are left out.
const endless = 1

// TestSpecAgainstServer has schemathesis make requests from the specification,
// right and wrong ones, and judge the answers: first with made-up names, then
// with those of versions that are there.
func TestSpecAgainstServer(t *testing.T) {
	t.Parallel()
	program := schemathesis(t)
	r := serve(t)
	s := &session{t: t, base: "http://" + r.addr, http: &http.Client{Transport: newContract(t)}}
	base := newVersion(t, chunker.Digest{}, noise(1, 300<<10), noise(2, 1000), []byte("{}"))
	next := newVersion(t, base.digest, noise(1, 300<<10), noise(3, 2000), []byte("{}"))
	for i, v := range []version{base, next} { // the parent before its child
		push := s.start()
		s.send(200, "POST", push+"/chunks", openapi.MediaChunks, v.frames(v.chunks...))
		s.send(201, "POST", push+"/commit?tag="+[]string{"one", "two"}[i], openapi.MediaManifest, v.doc)
	}
	fresh := newVersion(t, next.digest, noise(4, 3000), noise(5, 500))
	run := attack{t, program, r.addr, bodies(t, fresh)}
	run.judge("strangers", "all", strangers)
	run.judge("acquaintances", "positive", s.acquaintances(base, fresh))
}

// acquaintances are the settings of a run in which every name is of something. It
// fails when an operation finds nothing all the same.
func (s *session) acquaintances(base, fresh version) string {
	push := strings.TrimPrefix(s.start(), "/v1/pushes/")
	return strangers + fmt.Sprintf(`
[warnings]
fail-on = ["missing_test_data"]
[parameters]
"path.namespace" = "acme"
"path.model" = "llama"
"path.tag" = "one"
"path.digest" = "%s"
"path.push" = "%s"
"path.node" = "gpu-01"
"path.index" = 0
"query.i" = "0-1,2"
"query.a" = "acme/llama:one"
"query.b" = "acme/llama:two"
[[operations]]
include-operation-id = "putChunk"
parameters = { "path.digest" = "%s" }
[[operations]]
include-operation-id = "commitPush"
parameters = { "query.tag" = "main" }
[[operations]]
include-operation-id = "getLayerMap"
parameters = { "query.against" = ["acme/llama:two"] }
[[operations]]
include-operation-id = "deleteTag"
parameters = { "path.tag" = "main" }
`, base.digest, push, fresh.chunks[0].Digest)
}

// bodies writes the bodies of a push of v, and returns their folder.
func bodies(t *testing.T, v version) string {
	t.Helper()
	dir := t.TempDir()
	for name, body := range map[string][]byte{
		"manifest": v.doc, "chunk": v.encoded[v.chunks[0].Digest], "chunks": v.frames(v.chunks...),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), body, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// attack runs schemathesis against a registry.
type attack struct {
	t       *testing.T
	program string
	addr    string
	bodies  string
}

func (a attack) judge(name, mode, settings string) {
	a.t.Helper()
	dir := a.t.TempDir()
	config, report, spec := filepath.Join(dir, "schemathesis.toml"), filepath.Join(dir, "report.json"), filepath.Join(dir, "registry.yaml")
	for path, content := range map[string]string{config: settings, spec: string(openapi.Spec)} {
		if err := os.WriteFile(path, []byte(content), 0o666); err != nil {
			a.t.Fatal(err)
		}
	}
	cmd := exec.Command(a.program, "--config-file", config, "run", spec, "--url", "http://"+a.addr, "--checks", "all",
		"--mode", mode, "--seed", "1", "--max-examples", "4", "--no-color", "--report", "json", "--report-json-path", report)
	env, err := filepath.Abs("env")
	if err != nil {
		a.t.Fatal(err)
	}
	cmd.Dir = dir // where it keeps what it has found
	cmd.Env = append(os.Environ(), "SCHEMATHESIS_HOOKS=api_bodies", "PYTHONPATH="+env, "PYTHONDONTWRITEBYTECODE=1", "INGOT_BODIES="+a.bodies)
	out, err := cmd.CombinedOutput()
	if err != nil {
		a.t.Errorf("schemathesis, %s: %v\n%s", name, err, out)
	}
	a.check(name, report)
}

// check wants every operation tested to the end, and nothing found.
func (a attack) check(name, report string) {
	a.t.Helper()
	raw, err := os.ReadFile(report)
	if err != nil {
		a.t.Fatal(err)
	}
	var got judged
	if err := json.Unmarshal(raw, &got); err != nil {
		a.t.Fatalf("report of schemathesis: %v", err)
	}
	want := operations(a.t) - endless
	if got.StopReason != "completed" || got.Operations.Tested != want || got.Operations.Errored != 0 || got.TestCases.Failures != 0 {
		a.t.Errorf("schemathesis, %s: %+v, want all %d operations tested without a failure", name, got, want)
	}
	a.t.Logf("%s: %d requests to %d operations", name, got.TestCases.Generated, got.Operations.Tested)
}

// operations counts those of the specification.
func operations(t *testing.T) (n int) {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(openapi.Spec)
	if err != nil {
		t.Fatal(err)
	}
	for _, item := range doc.Paths.Map() {
		n += len(item.Operations())
	}
	return n
}
