package deploy_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// hole is where a compose file takes a variable: ${NAME}, ${NAME:-default} or
// ${NAME:?complaint}.
var hole = regexp.MustCompile(`\$\{(\w+)(?::([-?])([^}]*))?\}`)

// fill puts variables into holes as the tool does, and says which it lacks.
func fill(text string, vars map[string]string) (string, error) {
	var missing error
	out := hole.ReplaceAllStringFunc(text, func(m string) string {
		g := hole.FindStringSubmatch(m)
		if v := vars[g[1]]; v != "" {
			return v
		}
		if g[2] != "-" {
			missing = errors.Join(missing, fmt.Errorf("%s: %s", g[1], g[3]))
		}
		return g[3]
	})
	return out, missing
}

func composeText(t *testing.T) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(root, "docker", "compose.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// secrets are what a person has to choose.
var secrets = map[string]string{"INGOT_S3_USER": "ingot", "INGOT_S3_PASSWORD": "0123456789abcdef"}

// compose returns the compose file with the least that a person says.
func compose(t *testing.T) object {
	t.Helper()
	text, err := fill(composeText(t), secrets)
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, "compose.yaml", []byte(text))[0]
}

// TestComposeIsConfined: nothing is reached from elsewhere, no password is written
// down, and no service may do more than it has to.
func TestComposeIsConfined(t *testing.T) {
	if _, err := fill(composeText(t), nil); err == nil || !strings.Contains(err.Error(), "INGOT_S3_PASSWORD: set it in") {
		t.Errorf("started without a password it says %v", err)
	}
	c := compose(t)
	for name := range c.object("services") {
		s := c.object("services", name)
		for _, port := range s.texts("ports") {
			if !strings.HasPrefix(port, "127.0.0.1:") {
				t.Errorf("%s can be reached at %s", name, port)
			}
		}
		if s.text("restart") == "" || s.text("stop_grace_period") == "" || !strings.Contains(strings.Join(s.texts("security_opt"), " "), "no-new-privileges:true") {
			t.Errorf("%s is not told how to run: %v", name, s)
		}
		if image := s.text("image"); strings.HasSuffix(image, ":latest") || s.at("privileged") != nil {
			t.Errorf("%s runs %s", name, image)
		}
		if s.at("build") != nil && (s.at("read_only") != true || s.texts("cap_drop")[0] != "ALL" || s.text("mem_limit") == "") {
			t.Errorf("%s may do more than it has to", name)
		}
	}
	if c.at("networks", "inside", "internal") != true {
		t.Error("the store can be reached from elsewhere")
	}
}

// TestComposeRuns starts what the compose file starts, with its commands, its
// environment and its health checks, on a MinIO that is built here: with folders in
// place of volumes, and addresses in place of names.
func TestComposeRuns(t *testing.T) {
	minio := tool(t, "servers.txt", "minio")
	services := compose(t).object("services")
	at, address, folder := freeAddress(t), freeAddress(t), t.TempDir()

	// The store: its image has the program on the path, and its folder is a volume.
	s := services.object("minio")
	bin := filepath.Join(folder, "bin")
	if err := errors.Join(os.Mkdir(bin, 0o777), os.Symlink(minio, filepath.Join(bin, "minio"))); err != nil {
		t.Fatal(err)
	}
	argv := s.texts("entrypoint")
	console := freeAddress(t)
	script := strings.NewReplacer("/data", filepath.Join(folder, "store"), ":9000", at, ":9001", console).Replace(argv[2])
	store := exec.Command(argv[0], argv[1], script)
	store.Env = append(variables(s), "PATH="+bin+":"+os.Getenv("PATH"), "HOME="+folder)
	background(t, store)
	waitFor(t, at)

	s = services.object("registry")
	env := append(imageEnv(t, "registry"), variables(s)...)
	for i := range env {
		env[i] = strings.ReplaceAll(env[i], "minio:9000", at)
	}
	// What the file of the image says of the container's network and disk.
	env = append(env, "INGOT_SERVE_LISTEN="+address, "INGOT_SERVE_DATA="+filepath.Join(folder, "registry"))
	registry := ingot(t, env, s.texts("command")...)
	said := background(t, registry)
	health := []string{"ping", "--registry", "http://" + address} // that of the image asks the port of the image
	if out, err := until(t, func() ([]byte, error) { return ingot(t, nil, health...).CombinedOutput() }); err != nil {
		t.Fatalf("the registry is not healthy: %v\n%s\n%s", err, out, said())
	}
	token := regexp.MustCompile(`\bhf_[A-Za-z0-9]{33,}`).FindString(said())
	if token == "" {
		t.Fatalf("no token was printed:\n%s", said())
	}
	user := []string{"INGOT_REGISTRY=http://" + address, "INGOT_TOKEN=" + token}
	if out, err := ingot(t, user[:1], "push", "compose_test.go", "acme/file").CombinedOutput(); err == nil {
		t.Errorf("somebody without a token pushed:\n%s", out)
	}
	if out, err := ingot(t, user, "push", "compose_test.go", "acme/file").CombinedOutput(); err != nil {
		t.Errorf("push: %v\n%s", err, out)
	}
	if out, err := ingot(t, user, "pull", "acme/file", filepath.Join(folder, "pulled")).CombinedOutput(); err != nil {
		t.Errorf("pull: %v\n%s", err, out)
	}
	if objects, err := filepath.Glob(filepath.Join(folder, "store", "ingot", "registry", "*")); err != nil || len(objects) == 0 {
		t.Errorf("nothing is in the store: %v", err)
	}
	if err := registry.Process.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
}

// background runs a command until the test ends, and returns what says what it printed.
func background(t *testing.T, cmd *exec.Cmd) func() string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "log")
	log, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := func() string {
		b, _ := os.ReadFile(path) // for a message
		return string(bytes.TrimSpace(b))
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // it may have ended
		_, _ = cmd.Process.Wait()
		if t.Failed() {
			t.Logf("%s said:\n%s", cmd.Path, said())
		}
	})
	return said
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }() // it only found a free port
	return l.Addr().String()
}

func waitFor(t *testing.T, address string) {
	t.Helper()
	dial := func() ([]byte, error) {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			return nil, err
		}
		return nil, conn.Close()
	}
	if _, err := until(t, dial); err != nil {
		t.Fatal(err)
	}
}

// until tries something until it succeeds, for half a minute.
func until(t *testing.T, try func() ([]byte, error)) ([]byte, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		out, err := try()
		if err == nil {
			return out, nil
		}
		select {
		case <-ctx.Done():
			return out, err
		case <-tick.C:
		}
	}
}

// TestComposeSpecification has the library of Docker Compose read the file, and every
// default and complaint in it be of the form that it knows.
func TestComposeSpecification(t *testing.T) {
	check := tool(t, "deploy.txt", "compose")
	text, err := fill(composeText(t), secrets)
	if err != nil {
		t.Fatal(err)
	}
	read := func(text string) ([]byte, error) {
		folder := t.TempDir()
		if err := os.WriteFile(filepath.Join(folder, "compose.yaml"), []byte(text), 0o666); err != nil {
			return nil, err
		}
		cmd := exec.Command(check, "compose.yaml")
		cmd.Dir = folder
		return cmd.CombinedOutput()
	}
	if out, err := read(text); err != nil || !strings.Contains(string(out), "registry:") {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := read(strings.Replace(text, "stop_grace_period", "stop_grace_perlod", 1)); err == nil {
		t.Errorf("a misspelt key is accepted:\n%s", out)
	}
	if out, err := read(composeText(t)); err == nil || !strings.Contains(string(out), "set it in docker/.env") {
		t.Errorf("without a password: %v\n%s", err, out)
	}
}
