package deploy_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

//go:generate go test -run ^TestChartRender$ -update

var update = flag.Bool("update", false, "write what the chart renders to testdata instead of comparing")

var chart = filepath.Join(root, "docker", "chart", "ingot")

// cluster is the version of Kubernetes that the chart is rendered for: a Helm that was
// not built by its makers takes itself for an old one.
const cluster = "1.34.0"

// stamp begins the first line of what was rendered, which ends with the hash of what it
// was rendered from.
const stamp = "# rendered from "

// choices returns the files of values in testdata, without their endings.
func choices(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/*.values.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no values in testdata: %v", err)
	}
	for i, f := range files {
		files[i] = strings.TrimSuffix(f, ".values.yaml")
	}
	return files
}

// source hashes what a file is rendered from: the chart and the values.
func source(t *testing.T, choice string) string {
	t.Helper()
	h := sha256.New()
	add := func(path string) error {
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		_, _ = h.Write([]byte(filepath.ToSlash(path))) // a hash takes everything
		_, _ = h.Write(content)
		return nil
	}
	err := filepath.WalkDir(chart, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		return add(path)
	})
	if err == nil {
		err = add(choice + ".values.yaml")
	}
	if err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// TestChartIsRendered: what testdata holds was rendered from the chart as it is.
func TestChartIsRendered(t *testing.T) {
	for _, choice := range choices(t) {
		content, err := os.ReadFile(choice + ".yaml")
		if err != nil {
			t.Fatal(err)
		}
		first, _, _ := strings.Cut(string(content), "\n")
		if first != stamp+source(t, choice) {
			t.Errorf("%s.yaml is older than the chart: run make deploy-check UPDATE=1, and look at the difference", choice)
		}
	}
}

// TestChartRender has Helm examine the chart, and render it.
func TestChartRender(t *testing.T) {
	helm := tool(t, "deploy.txt", "helm")
	for _, choice := range choices(t) {
		values := choice + ".values.yaml"
		if out, err := exec.Command(helm, "lint", "--strict", "--quiet", "--kube-version", cluster, "--values", values, chart).CombinedOutput(); err != nil {
			t.Errorf("lint with %s: %v\n%s", values, err, out)
			continue
		}
		out, err := exec.Command(helm, "template", "demo", chart, "--namespace", "models", "--kube-version", cluster, "--values", values).Output()
		if err != nil {
			t.Errorf("template with %s: %v\n%s", values, err, stderr(err))
			continue
		}
		got := append([]byte(stamp+source(t, choice)+"\n"), out...)
		if *update {
			if err := os.WriteFile(choice+".yaml", got, 0o666); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if want, err := os.ReadFile(choice + ".yaml"); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s.yaml is not what the chart renders (%v): run make deploy-check UPDATE=1, and look at the difference", choice, err)
		}
	}
}

// TestChartSelfSigned: the certificates that Helm makes are for the names by which the
// registry is reached; they differ each time, so no file holds them.
func TestChartSelfSigned(t *testing.T) {
	helm := tool(t, "deploy.txt", "helm")
	out, err := exec.Command(helm, "template", "demo", chart, "--namespace", "models", "--kube-version", cluster).Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr(err))
	}
	for _, o := range parse(t, "the chart as it is", out) {
		if o.text("kind") != "Secret" {
			continue
		}
		checkPair(t, o.object("data"), "demo-ingot-registry.models.svc", "localhost")
		return
	}
	t.Error("no Secret was rendered")
}

// TestChartRefuses: what does not go together is refused when it is rendered, and the
// message says what to do.
func TestChartRefuses(t *testing.T) {
	helm := tool(t, "deploy.txt", "helm")
	for _, tc := range []struct{ set, says string }{
		{"agent.ram=16Gi", "'/agent/ram': '16Gi' does not match"},
		{"agent.memory=17GiB", "agent.memory is 17GiB, and ram and its overhead need 18432MiB"},
		{"agent.memory=19GiB,agent.gpu.visibility=runtime", "need 20480MiB"},
		{"agent.gpu.budget=60GiB", "set agent.gpu.visibility"},
		{"agent.ram=none,agent.gpu.visibility=runtime", "agent.ram is none"},
		{"agent.listen.enabled=true,agent.listen.tokenSecret=x", "agent.listen.tlsSecretName"},
		{"agent.registry=https://elsewhere", "agent.tokenSecret"},
		{"registry.enabled=false", "agent.registry"},
		{"registry.oidc.enabled=false", "enable registry.oidc"},
		{"registry.tls.mode=secret", "registry.tls.secretName"},
		{"registry.tls.mode=certManager", "registry.tls.issuerRef"},
		{"registry.tls.mode=maybe", "'/registry/tls/mode': value must be one of"},
		{"registry.ingress.enabled=true", "name its host"},
		{"registry.storage.store=models", "'/registry/storage/store'"},
		{"registry.replica=3", "'replica' not allowed"},
	} {
		out, err := exec.Command(helm, "template", "demo", chart, "--kube-version", cluster, "--set", tc.set).CombinedOutput()
		if err == nil || !strings.Contains(string(out), tc.says) {
			t.Errorf("%s: %v; want %q in\n%s", tc.set, err, tc.says, out)
		}
	}
}

func stderr(err error) string {
	if e, ok := err.(*exec.ExitError); ok {
		return string(e.Stderr)
	}
	return ""
}
