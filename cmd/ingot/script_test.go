package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/ingot-ml/ingot/chunker/synth"
	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/registry"
	"github.com/ingot-ml/ingot/registry/name"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"ingot": main})
}

// TestScript runs the stories of testdata/script, each beside a registry of its
// own that INGOT_REGISTRY names.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:   filepath.Join("testdata", "script"),
		Setup: setup,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"agent":      runAgent,
			"controlled": controlled,
			"damage":     damage,
			"digest":     digest,
			"empty":      empty,
			"fails":      fails,
			"field":      field,
			"keep":       keep,
			"synth":      makeModel,
			"tensors":    writeTensors,
			"waitlog":    waitLog,
			"write":      writeBytes,
		},
	})
}

func setup(env *testscript.Env) error {
	address, stop, err := startRegistry(filepath.Join(env.WorkDir, ".registry"))
	if err != nil {
		return err
	}
	env.Defer(func() {
		if err := stop(); err != nil {
			env.T().Log("stop the registry: ", err)
			env.T().FailNow()
		}
	})
	env.Setenv("INGOT_REGISTRY", address)
	env.Setenv("GORACE", os.Getenv("GORACE"))
	env.Setenv("OCI", "oci://"+address)
	env.Setenv("HOME", filepath.Join(env.WorkDir, ".home"))
	env.Setenv("XDG_RUNTIME_DIR", filepath.Join(env.WorkDir, ".run"))
	env.Values[agentKey{}] = &scriptAgent{}
	return nil
}

// startRegistry runs a registry in this process.
func startRegistry(data string) (address string, stop func() error, err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	r, err := registry.Open(context.Background(), registry.Config{Data: data, Version: version})
	if err != nil {
		return "", nil, errors.Join(err, listener.Close())
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- serveRegistry(ctx, r, listener) }()
	return listener.Addr().String(), func() error { cancel(); return <-done }, nil
}

// fails CODE ARGS... runs ingot, which must end with that code and say one line.
func fails(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: fails CODE ARGS...")
	}
	var exit *exec.ExitError
	err := ts.Exec("ingot", args[1:]...)
	if !errors.As(err, &exit) || strconv.Itoa(exit.ExitCode()) != args[0] {
		ts.Fatalf("ended with %v, want exit code %s", err, args[0])
	}
	said := ts.ReadFile("stderr")
	if strings.Count(said, "\n") != 1 || !strings.HasPrefix(said, "ingot: ") && !strings.HasPrefix(said, `{"error":`) {
		ts.Fatalf("said %q, want one line", said)
	}
}

// field NAME WANT looks into the JSON document on standard output. NAME leads
// through objects and lists with dots; WANT is a value, or >0.
func field(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: field NAME WANT")
	}
	got, err := lookup([]byte(ts.ReadFile("stdout")), strings.Split(args[0], "."))
	ts.Check(err)
	match := got == args[1]
	if args[1] == ">0" {
		n, err := strconv.ParseFloat(got, 64)
		match = err == nil && n > 0
	}
	if match == neg {
		ts.Fatalf("%s is %s", args[0], got)
	}
}

// lookup spells what lies at path in a JSON document; of lists their length.
func lookup(document []byte, path []string) (string, error) {
	var v any
	d := json.NewDecoder(bytes.NewReader(document))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return "", err
	}
	if d.More() {
		return "", errors.New("more than one document")
	}
	for _, step := range path {
		switch in := v.(type) {
		case map[string]any:
			v = in[step]
		case []any:
			i, err := strconv.Atoi(step)
			if err != nil || i >= len(in) {
				return "", fmt.Errorf("no entry %s in a list of %d", step, len(in))
			}
			v = in[i]
		}
		if v == nil {
			return "", fmt.Errorf("no %s", step)
		}
	}
	if list, ok := v.([]any); ok {
		return strconv.Itoa(len(list)), nil
	}
	return fmt.Sprint(v), nil
}

// synth DIR [layer|train] makes a model of 4 MiB, or one with another layer, or with 5 %
// of its values changed.
func makeModel(ts *testscript.TestScript, neg bool, args []string) {
	var changes []synth.Change
	switch {
	case len(args) == 2 && args[1] == "layer":
		changes = append(changes, synth.ChangeLayers(2, 1))
	case len(args) == 2 && args[1] == "train":
		changes = append(changes, synth.Train(7, .05))
	case neg || len(args) != 1:
		ts.Fatalf("usage: synth DIR [layer|train]")
	}
	ts.Check(synth.Write(context.Background(), ts.MkAbs(args[0]), synth.ForSize(4<<20), changes...))
}

// write FILE TEXT writes TEXT, in which Go's escapes mean what they do in Go.
func writeBytes(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: write FILE TEXT")
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), unescape(ts, args[1]), 0o666))
}

// damage FILE changes the last byte.
func damage(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: damage FILE")
	}
	file := ts.MkAbs(args[0])
	b, err := os.ReadFile(file)
	ts.Check(err)
	b[len(b)-1] ^= 1
	ts.Check(os.WriteFile(file, b, 0o666))
}

// tensors FILE HEADER DATA writes a safetensors file, with the escapes of write.
func writeTensors(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: tensors FILE HEADER DATA")
	}
	header := unescape(ts, args[1])
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	b = append(append(b, header...), unescape(ts, args[2])...)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), b, 0o666))
}

func unescape(ts *testscript.TestScript, s string) []byte {
	text, err := strconv.Unquote(`"` + strings.ReplaceAll(s, `"`, `\"`) + `"`)
	ts.Check(err)
	return []byte(text)
}

// digest VARIABLE REF puts the digest of a version into a variable.
func digest(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: digest VARIABLE REF")
	}
	ts.Check(ts.Exec("ingot", "show", args[1], "--json"))
	d, err := lookup([]byte(ts.ReadFile("stdout")), []string{"digest"})
	ts.Check(err)
	ts.Setenv(args[0], d)
}

// waitlog REF N waits until the log of a version has N entries.
func waitLog(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: waitlog REF N")
	}
	ref, err := name.ParseRef(args[0])
	ts.Check(err)
	r, err := client.New("http://"+ts.Getenv("INGOT_REGISTRY"), client.Options{})
	ts.Check(err)
	defer r.Close()
	n := 0
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		entries, err := collect(r.Log(context.Background(), ref, 0))
		if n = len(entries); err == nil && strconv.Itoa(n) == args[1] {
			return
		}
	}
	ts.Fatalf("the log of %s has %d entries, want %s", args[0], n, args[1])
}

// empty DIR fails unless the folder holds nothing.
func empty(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: empty DIR")
	}
	entries, err := os.ReadDir(ts.MkAbs(args[0]))
	ts.Check(err)
	for _, e := range entries {
		ts.Fatalf("%s holds %s", args[0], e.Name())
	}
}
