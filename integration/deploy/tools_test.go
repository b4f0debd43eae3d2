package deploy_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/integration/needtest"
)

// strict are the flags of a validation that refuses fields which are not known. The
// version is the oldest in which everything that is used is stable.
var strict = []string{"--strict", "--kubernetes-version", "1.34"}

// TestSchemas holds what the chart renders, and the examples, to the schemas of
// Kubernetes, strictly: a field that is misspelt is refused. Kinds of others, such as
// ServiceMonitor, have none there.
func TestSchemas(t *testing.T) {
	validate := python(t, "kubernetes-validate")
	files, err := filepath.Glob(filepath.Join(root, "docker", "examples", "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, choice := range choices(t) {
		files = append(files, choice+".yaml")
	}
	args := append(slices.Clone(strict), files...)
	out, err := exec.Command(validate, args...).CombinedOutput()
	if err != nil || strings.Count(string(out), " passed for ") < 20 {
		t.Errorf("%v\n%s", err, out)
	}
	misspelt := filepath.Join(t.TempDir(), "misspelt.yaml")
	text := "apiVersion: v1\nkind: Service\nmetadata: {name: x}\nspec: {selektor: {}, ports: [{port: 1}]}\n"
	if err := os.WriteFile(misspelt, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(validate, append(slices.Clone(strict), misspelt)...).CombinedOutput(); err == nil {
		t.Errorf("a misspelt field is accepted:\n%s", out)
	}
}

// TestDockerfile has hadolint read the Dockerfile.
func TestDockerfile(t *testing.T) {
	path := filepath.Join(root, "docker", "Dockerfile")
	if out, err := exec.Command(python(t, "hadolint"), "--failure-threshold", "info", path).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestUnits has systemd read the units, and judge how much they expose.
func TestUnits(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		needtest.Skip(t, "systemd", err)
	}
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	for unit, most := range map[string]string{"ingot-registry.service": "15", "ingot-agent.service": "25"} {
		content, err := os.ReadFile(filepath.Join(root, "docker", "systemd", unit))
		if err != nil {
			t.Fatal(err)
		}
		// The program is not installed here.
		text := strings.Replace(string(content), "ExecStart=ingot ", "ExecStart="+path+" ", 1)
		copied := filepath.Join(folder, unit)
		if err := os.WriteFile(copied, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command(analyze, "verify", "--man=no", copied).CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%s: %v\n%s", unit, err, out)
		}
		out, err := exec.Command(analyze, "security", "--offline=true", "--no-pager", "--threshold="+most, copied).CombinedOutput()
		if err != nil {
			t.Errorf("%s exposes more than %s of 100: %v\n%s", unit, most, err, out)
		}
	}
}

// TestRelease: every file of a release is there, and the file is well formed.
func TestRelease(t *testing.T) {
	release := documents(t, filepath.Join(root, ".goreleaser.yaml"))[0]
	packages := release.objects("nfpms")[0]
	files := []string{packages.text("scripts", "postinstall")}
	for _, c := range packages.objects("contents") {
		files = append(files, c.text("src"))
	}
	for _, f := range release.objects("archives")[0].objects("files") {
		files = append(files, f.text("src"))
	}
	for _, pattern := range files {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil || len(found) == 0 {
			t.Errorf("%s is not there (%v)", pattern, err)
		}
	}
	goreleaser := tool(t, "deploy.txt", "goreleaser")
	cmd := exec.Command(goreleaser, "check", "--quiet")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestSBOM: what a program is made of is told whole.
func TestSBOM(t *testing.T) {
	gomod := tool(t, "deploy.txt", "cyclonedx-gomod")
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	bill, err := exec.Command(gomod, "bin", "-json", path).Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr(err))
	}
	modules, err := exec.Command("go", "version", "-m", path).Output()
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for line := range strings.Lines(string(modules)) {
		if f := strings.Fields(line); len(f) >= 3 && f[0] == "dep" {
			seen++
			if want := fmt.Sprintf("pkg:golang/%s@%s", strings.ToLower(f[1]), f[2]); !strings.Contains(strings.ToLower(string(bill)), want) {
				t.Errorf("the bill does not name %s", want)
			}
		}
	}
	if seen < 20 {
		t.Errorf("the program has %d modules: %v", seen, errors.New(string(modules)))
	}
}
