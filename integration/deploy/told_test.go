package deploy_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// told is what something of docker/ tells the program: a command, with its environment.
type told struct {
	by   string
	args []string
	env  []string
	file object // the keys of the file that args name, if they do
}

// TestProgramUnderstands asks the program what it would run with, as each of the compose
// file, the images, the units and the chart tells it.
func TestProgramUnderstands(t *testing.T) {
	all := slices.Concat(byUnits(t), byCompose(t), byChart(t))
	if len(all) < 10 {
		t.Errorf("only %d things tell the program anything", len(all))
	}
	for _, it := range all {
		cmd := ingot(t, it.env, append(it.args, "--print-config", "--json")...)
		out, err := cmd.Output()
		if err != nil {
			t.Errorf("%s: ingot %s: %v\n%s", it.by, strings.Join(it.args, " "), err, stderr(err))
			continue
		}
		var keys map[string]struct {
			Value  any
			Source string
		}
		if err := json.Unmarshal(out, &keys); err != nil {
			t.Errorf("%s: %v\n%s", it.by, err, out)
		}
		if data := fmt.Sprint(keys["data"].Value); !strings.HasPrefix(data, "/var/") {
			t.Errorf("%s: the data would be in %s", it.by, data)
		}
		// What a file says holds: no variable of an image goes before it.
		for name := range it.file {
			if k, ok := keys[name]; !ok || !strings.HasPrefix(k.Source, it.args[2]+":") {
				t.Errorf("%s: %s is %v, and %s says so", it.by, name, k.Value, k.Source)
			}
		}
	}
}

// byUnits returns what the units tell, with the files that are installed beside them.
func byUnits(t *testing.T) []told {
	t.Helper()
	var all []told
	for unit, command := range map[string]string{"registry": "serve", "agent": "agent"} {
		path := filepath.Join(root, "docker", "systemd", "ingot-"+unit+".service")
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf("ExecStart=ingot %s --config /etc/ingot/%s.yaml\n", command, command); !strings.Contains(string(content), want) {
			t.Errorf("%s does not say %s", path, want)
		}
		file := filepath.Join(root, "docker", "systemd", command+".yaml")
		all = append(all, told{by: unit + " unit", args: []string{command, "--config", file}, file: documents(t, file)[0]})
	}
	return all
}

// byCompose returns what the services of the compose file tell, in their images.
func byCompose(t *testing.T) []told {
	t.Helper()
	var all []told
	services := compose(t).object("services")
	for _, name := range []string{"registry", "agent"} {
		s := services.object(name)
		all = append(all, told{by: "compose: " + name, args: s.texts("command"), env: append(imageEnv(t, name), variables(s)...)})
	}
	return all
}

// variables returns the environment of a service as the program sees it.
func variables(service object) []string {
	var env []string
	for name, value := range service.object("environment") {
		env = append(env, fmt.Sprintf("%s=%v", name, value))
	}
	slices.Sort(env)
	return env
}

// byChart returns what the chart tells, in the images, for every choice of values.
func byChart(t *testing.T) []told {
	t.Helper()
	var all []told
	for choice, docs := range rendered(t) {
		folder := mounted(t, docs)
		for _, o := range docs {
			for file, image := range map[string]string{"serve.yaml": "registry", "agent.yaml": "agent"} {
				text := o.text("data", file)
				if text == "" {
					continue
				}
				text = strings.NewReplacer("/etc/ingot/", folder+"/", "/var/run/secrets/ingot/", folder+"/token/").Replace(text)
				path := filepath.Join(folder, file)
				if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
					t.Fatal(err)
				}
				command := strings.TrimSuffix(file, ".yaml")
				all = append(all, told{by: "chart: " + choice + ": " + file, args: []string{command, "--config", path}, env: imageEnv(t, image), file: parse(t, file, []byte(text))[0]})
			}
		}
	}
	return all
}

// mounted returns a folder with what Kubernetes would mount for the program to read: the
// issuers as they were rendered, certificates, and tokens.
func mounted(t *testing.T, docs []object) string {
	t.Helper()
	folder := t.TempDir()
	cert, key := certificate(t)
	files := map[string]string{
		"tls/tls.crt": cert, "tls/tls.key": key, "ca/ca.crt": cert,
		"token/token": "hf_" + strings.Repeat("a", 60), "callers/token": strings.Repeat("b", 40),
	}
	for _, o := range docs {
		if text := o.text("data", "oidc.yaml"); text != "" {
			files["oidc/oidc.yaml"] = strings.ReplaceAll(text, "/var/run/secrets/kubernetes.io/ca/ca.crt", filepath.Join(folder, "ca", "ca.crt"))
		}
	}
	for name, text := range files {
		path := filepath.Join(folder, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o777), os.WriteFile(path, []byte(text), 0o666)); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

// certificate makes one that signs itself, with its key, in PEM.
func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}))
}

// imageEnv returns the environment that a target of the Dockerfile sets.
func imageEnv(t *testing.T, target string) []string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(root, "docker", "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	stage, env := "", []string{}
	joined := strings.ReplaceAll(string(content), "\\\n", " ")
	for line := range strings.Lines(joined) {
		f := strings.Fields(line)
		switch {
		case len(f) > 3 && f[0] == "FROM":
			stage = f[len(f)-1]
		case len(f) > 1 && f[0] == "ENV" && stage == target:
			env = append(env, f[1:]...)
		}
	}
	if len(env) == 0 {
		t.Fatalf("the image %s has no environment", target)
	}
	// The file of the image is that of the tree, and the home that of the test.
	for i, e := range env {
		env[i] = strings.Replace(e, "INGOT_CONFIG=/etc/ingot/", "INGOT_CONFIG="+filepath.Join(root, "docker", "image")+"/", 1)
	}
	return slices.DeleteFunc(env, func(e string) bool { return strings.HasPrefix(e, "HOME=") })
}
