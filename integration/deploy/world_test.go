package deploy_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.yaml.in/yaml/v4"

	"github.com/ingot-ml/ingot/integration/needtest"
)

// root is the folder of the module.
const root = "../.."

// object is a mapping of a YAML document.
type object map[string]any

// at returns what lies at a path of keys and indexes, or nil.
func (o object) at(path ...any) any {
	var v any = map[string]any(o)
	for _, step := range path {
		switch in := v.(type) {
		case map[string]any:
			key, ok := step.(string)
			if !ok {
				return nil
			}
			v = in[key]
		case []any:
			i, ok := step.(int)
			if !ok || i >= len(in) {
				return nil
			}
			v = in[i]
		default:
			return nil
		}
	}
	return v
}

// text returns the string at a path, or "".
func (o object) text(path ...any) string {
	s, _ := o.at(path...).(string)
	return s
}

// object returns the mapping at a path, or an empty one.
func (o object) object(path ...any) object {
	m, _ := o.at(path...).(map[string]any)
	return object(m)
}

// objects returns the mappings of the list at a path.
func (o object) objects(path ...any) []object {
	list, _ := o.at(path...).([]any)
	var all []object
	for _, v := range list {
		if m, ok := v.(map[string]any); ok {
			all = append(all, object(m))
		}
	}
	return all
}

// texts returns the list at a path as strings, whatever its values are.
func (o object) texts(path ...any) []string {
	list, _ := o.at(path...).([]any)
	var all []string
	for _, v := range list {
		all = append(all, fmt.Sprint(v))
	}
	return all
}

// documents returns those of a YAML file that are not empty.
func documents(t *testing.T, path string) []object {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, path, content)
}

func parse(t *testing.T, what string, content []byte) []object {
	t.Helper()
	var all []object
	in := yaml.NewDecoder(bytes.NewReader(content))
	for {
		var o map[string]any
		err := in.Decode(&o)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if len(o) > 0 {
			all = append(all, o)
		}
	}
}

// program builds ingot, once.
var program = sync.OnceValues(func() (string, error) {
	path, err := filepath.Abs(filepath.Join(root, ".cache", "test", "ingot-deploy"))
	if err != nil {
		return "", err
	}
	cmd := exec.Command("go", "build", "-trimpath", "-o", path, "./cmd/ingot")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0") // as "make build" has it, whose packages are compiled
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", errors.New(string(out))
	}
	return path, nil
})

// ingot returns a command of the program with nothing but that environment.
func ingot(t *testing.T, env []string, args ...string) *exec.Cmd {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatalf("build ingot: %v", err)
	}
	cmd := exec.Command(path, args...)
	cmd.Env = append([]string{"HOME=" + t.TempDir()}, env...)
	return cmd
}

// tool returns the path of a program that deploy.txt or servers.txt pins.
func tool(t *testing.T, list, name string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(root, "integration", "env", list))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(content)) {
		f := strings.Fields(line)
		if len(f) != 3 || f[0] != name {
			continue
		}
		path, err := filepath.Abs(filepath.Join(root, ".cache", "bin", name+"-"+f[2]))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(path); err != nil {
			needtest.Skip(t, name, fmt.Errorf("run make deploy-check: %w", err))
		}
		return path
	}
	t.Fatalf("%s names no %s", list, name)
	return ""
}

// python returns the path of a program of the environment that checks docker/.
func python(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join(root, ".cache", "venv-deploy", "bin", name))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		needtest.Skip(t, "deploy", fmt.Errorf("run make tools: %w", err))
	}
	return path
}
