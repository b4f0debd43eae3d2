package integration_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/synth"
	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/client/agent"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/name"
)

// TestAgentsOnOneFolder starts a second agent on the folder of another, and one on
// its socket. Both end at once, in one line, and the first serves on.
func TestAgentsOnOneFolder(t *testing.T) {
	r := serve(t)
	_, want := r.pushed(4)
	n := r.node("")
	for flag, says := range map[string]string{
		"--socket": strconv.Itoa(n.cmd.Process.Pid), // who has the folder
		"--data":   n.path("agent.sock"),
	} {
		second := n.command()
		second.Args = append(second.Args, flag, n.path("other"))
		out, err := second.CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() < 1 {
			t.Errorf("a second agent with another %s: %v", flag, err)
		}
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		if last := lines[len(lines)-1]; !strings.Contains(last, says) {
			t.Errorf("a second agent with another %s says %q, want %q in its last line", flag, out, says)
		}
	}
	n.right(want)
}

// TestAgentReaderKilled kills a process that has leases: they end.
func TestAgentReaderKilled(t *testing.T) {
	t.Parallel()
	r := serve(t)
	got, want := r.pushed(4)
	n := r.node("")
	known := t.TempDir()
	remember(t, known, got.Digest, want)
	reader := n.reader(known)
	for range 3 {
		if _, reason := reader.lease(oddRef); reason != "" {
			t.Fatal(reason)
		}
	}
	if m := n.model(oddRef); m.Leases != 3 {
		t.Errorf("with three leases: %+v", m)
	}
	_, err := n.Unload(t.Context(), openapi.UnloadRequest{Ref: oddRef})
	refused(t, err, openapi.CodeConflict, "3 leases")
	reader.kill()
	n.until("no lease is left", func() error {
		if m := n.model(oddRef); m.Leases != 0 {
			return fmt.Errorf("%+v", m)
		}
		return nil
	})
	if _, err := n.Unload(t.Context(), openapi.UnloadRequest{Ref: oddRef}); err != nil {
		t.Error(err)
	}
}

// TestAgentBusyTag moves a tag ten times a second, while
// others lease what it names. All leases are right, and the last version stays.
func TestAgentBusyTag(t *testing.T) {
	t.Parallel()
	r := serve(t)
	spec := synth.ForSize(4 << 20)
	want := map[string]sums{}
	var digests []string
	for i := range 3 {
		dir := weightsOf(t, spec, synth.ChangeLayers(uint64(30+i), 0))
		got := r.push(dir, "odd/model:v"+strconv.Itoa(i))
		want[got.Digest] = sumsOf(t, dir)
		digests = append(digests, got.Digest)
	}
	r.tag("odd/model:v0")
	n := r.node(fmt.Sprintf("models: [{ref: %q, tier: ram, watch: true}]", oddRef))
	n.untilServed(oddRef, digests[0], openapi.TierRAM)
	moved := make(chan struct{})
	go func() {
		defer close(moved)
		r.rattle(digests, 31)
	}()
	for leases := 0; ; leases++ {
		select {
		case <-moved:
			t.Logf("%d leases", leases)
			n.untilServed(oddRef, digests[30%3], openapi.TierRAM)
			n.right(want[digests[30%3]])
			return
		default:
		}
		l := n.lease(oddRef)
		if err := errors.Join(want[l.Version().String()].check(t.Context(), l), l.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

// rattle moves the tag of oddRef so many times to one version after another, some
// ten times a second.
func (r *registry) rattle(digests []string, times int) {
	registry, err := client.New("http://"+r.addr, client.Options{})
	if err != nil {
		r.t.Error(err)
		return
	}
	defer registry.Close()
	for i := range times {
		d, err := chunker.ParseDigest(digests[i%len(digests)])
		if err == nil {
			_, err = registry.SetTag(r.t.Context(), name.Repo{Namespace: "odd", Name: "model"}, "main", openapi.SetTag{Digest: d})
		}
		if err != nil {
			r.t.Errorf("move the tag: %v", err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// tag moves main to another version.
func (r *registry) tag(ref string) {
	r.t.Helper()
	if out, err := r.command("tag", ref, "main").CombinedOutput(); err != nil {
		r.t.Fatalf("tag %s: %v\n%s", ref, err, out)
	}
}

// TestAgentDeletedTag deletes a tag that is followed: what the node has of it is
// served until it is unloaded, and status says why nothing newer comes.
func TestAgentDeletedTag(t *testing.T) {
	t.Parallel()
	r := serve(t)
	got, want := r.pushed(4)
	n := r.node(fmt.Sprintf("poll: 1s\nmodels: [{ref: %q, tier: ram, watch: true}]", oddRef))
	n.untilServed(oddRef, got.Digest, openapi.TierRAM)
	if out, err := r.command("rm", oddRef).CombinedOutput(); err != nil {
		t.Fatalf("delete the tag: %v\n%s", err, out)
	}
	n.until("it says that the tag is gone", func() error {
		if m := n.model(oddRef); !strings.Contains(m.Error, "no such tag") || m.Tier != openapi.TierRAM || m.Version != got.Digest {
			return fmt.Errorf("%+v", m)
		}
		return nil
	})
	n.right(want)
	n.unloaded(openapi.TierNone)
	_, err := n.Lease(t.Context(), openapi.LeaseRequest{Ref: oddRef, Deadline: 5}, agent.LeaseOptions{})
	refused(t, err, openapi.CodeNotFound, oddRef)
}

// unloaded unloads the model, as soon as the agent has noticed that its lease has
// ended.
func (n *node) unloaded(tier openapi.Tier) {
	n.t.Helper()
	n.until("it has noticed that the lease has ended", func() error {
		_, err := n.Unload(n.t.Context(), openapi.UnloadRequest{Ref: oddRef, Tier: tier})
		return err
	})
}

// TestAgentConfigMistakes has mistakes in the file of an agent: it ends before it
// begins, in one line that says where, and what was meant.
func TestAgentConfigMistakes(t *testing.T) {
	r := serve(t)
	file := t.TempDir() + "/agent.yaml"
	for text, says := range map[string]string{
		"disc: 1GiB":                                 "disk",
		"ram: much":                                  "agent.yaml:1:6",
		"disk: 1GiB\nx:":                             "agent.yaml:2:1",
		"models: [{ref: acme/x, tear: ram}]":         "tier",
		"models: [{ref: acme/x, tier: tape}]":        "disk, ram or gpu",
		"models: [{ref: Acme, tier: ram}]":           "agent.yaml:1:16",
		"models: [{match: acme/llama}]":              "namespace/*",
		"models: [{ref: acme/x, match: acme/*}]":     "match",
		"models: [{ref: acme/x}, {ref: acme/x}]":     "acme/x",
		"disk-high: 50\ndisk-low: 60":                "disk-low",
		"listen: 0.0.0.0:7071":                       "--insecure",
		"models:\n- ref: acme/x\n  watch: perhaps\n": "agent.yaml:3:10",
	} {
		if err := os.WriteFile(file, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		r.fails(2, says, "agent", "--config", file, "--data", t.TempDir(), "--socket", t.TempDir()+"/s")
	}
}
