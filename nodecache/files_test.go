package nodecache_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/synth"
	"github.com/ingot-ml/ingot/client/agent"
	"github.com/ingot-ml/ingot/nodecache"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/name"
)

// few is about 5 MiB in four layers.
var few = synth.Spec{Layers: 4, Hidden: 256, KV: 128, FF: 512, Vocab: 512, DType: chunker.BF16, Seed: 1}

func parseRef(t *testing.T, text string) name.Ref {
	t.Helper()
	ref, err := name.ParseRef(text)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// sameFiles compares the files of a snapshot with the folder that was pushed.
func sameFiles(t *testing.T, snapshot, pushed string) {
	t.Helper()
	err := filepath.WalkDir(pushed, func(p string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		below, err := filepath.Rel(pushed, p)
		if err != nil {
			return err
		}
		want, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		got, err := os.ReadFile(filepath.Join(snapshot, below))
		if err == nil && !bytes.Equal(got, want) {
			t.Errorf("%s differs", below)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// refOf is what a ref of a folder says.
func refOf(t *testing.T, dir, repo, ref string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "models--"+strings.ReplaceAll(repo, "/", "--"), "refs", ref))
	if err != nil {
		return ""
	}
	return string(b)
}

// TestKeepFiles follows a tag as files: they are there without anybody asking, move
// with the tag, count in the disk's budget and are known after a restart.
func TestKeepFiles(t *testing.T) {
	address, r := serveRegistry(t)
	v1 := pushLike(t, r, few, "acme/llama:prod")
	c := nodecache.Config{
		Name: "gpu1", Registry: address, Data: t.TempDir(), Files: filepath.Join(t.TempDir(), "hf"), Disk: 64 << 20, Heartbeat: -1,
		Models: []nodecache.Model{{Ref: parseRef(t, "acme/llama:prod"), Files: true, Watch: true}},
	}
	a, stop := serveNode(t, c)
	var first openapi.ModelFiles
	until(t, a, "the files", func(s openapi.NodeStatus) bool {
		m := model(s, "acme/llama:prod")
		if m.Files != nil {
			first = *m.Files
		}
		return m.Files != nil && s.Tiers.Disk.FilesBytes >= m.Files.Bytes && s.Tiers.Disk.Used >= s.Tiers.Disk.FilesBytes &&
			refOf(t, c.Files, "acme/llama", "prod") == m.Files.Commit
	})
	sameFiles(t, first.Path, v1)

	v2 := pushLike(t, r, few, "acme/llama:prod", synth.ChangeLayers(5, 1))
	var second openapi.ModelFiles
	until(t, a, "the files of the new version", func(s openapi.NodeStatus) bool {
		m := model(s, "acme/llama:prod")
		if m.Files != nil {
			second = *m.Files
		}
		return m.Files != nil && m.Files.Commit != first.Commit && refOf(t, c.Files, "acme/llama", "prod") == m.Files.Commit
	})
	sameFiles(t, second.Path, v2)
	sameFiles(t, first.Path, v1) // until somebody wants the room
	stop()

	c.Registry = "" // what is there is there
	a, stop = serveNode(t, c)
	defer stop()
	until(t, a, "the files after a restart", func(s openapi.NodeStatus) bool {
		return len(s.Models) == 2 && s.Models[0].Files != nil && s.Models[1].Files != nil && s.Tiers.Disk.FilesBytes > first.Bytes
	})
	sameFiles(t, second.Path, v2)
	got, err := a.Materialize(t.Context(), openapi.MaterializeRequest{Ref: "acme/llama:prod"})
	if err != nil || got.Path != second.Path || got.BytesReused != second.Bytes {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestFilesLeave asks for more files than there is room for: those that were not used
// for the longest time leave, pinned ones do not, and what others have in the folder
// stays.
func TestFilesLeave(t *testing.T) {
	address, r := serveRegistry(t)
	dir := filepath.Join(t.TempDir(), "hf")
	foreign := filepath.Join(dir, "models--other--model", "snapshots", strings.Repeat("a", 40), "file")
	if err := os.MkdirAll(filepath.Dir(foreign), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(foreign, []byte("of somebody else"), 0o644); err != nil {
		t.Fatal(err)
	}
	a, stop := serveNode(t, nodecache.Config{Registry: address, Data: t.TempDir(), Files: dir, Disk: 15 << 20, Heartbeat: -1})
	defer stop()
	paths := map[string]string{}
	for i, tag := range []string{"a", "b", "c", "d"} {
		pushed := pushLike(t, r, few, "acme/llama:"+tag, synth.ChangeLayers(uint64(i), 0, 1, 2, 3))
		got, err := a.Materialize(t.Context(), openapi.MaterializeRequest{Ref: "acme/llama:" + tag})
		if err != nil {
			t.Fatal(err)
		}
		paths[tag] = got.Path
		sameFiles(t, got.Path, pushed)
		if got.HFCache != dir || refOf(t, dir, "acme/llama", tag) != got.Commit {
			t.Errorf("%+v", got)
		}
	}
	status, err := a.Status(t.Context())
	if err != nil || status.Tiers.Disk.Used > 15<<20 {
		t.Errorf("%+v, %v", status.Tiers.Disk, err)
	}
	if _, err := os.Stat(paths["a"]); err == nil {
		t.Error("the files that were used first are there still")
	}
	if _, err := os.Stat(paths["d"]); err != nil {
		t.Error(err)
	}
	if refOf(t, dir, "acme/llama", "a") != "" {
		t.Error("a ref names files that have left")
	}
	if _, err := os.Stat(foreign); err != nil {
		t.Error(err)
	}
	// What leaves the node leaves the folder.
	freed, err := a.Unload(t.Context(), openapi.UnloadRequest{Ref: "acme/llama:d"})
	if err != nil || freed.Freed.Disk == 0 {
		t.Errorf("%+v, %v", freed, err)
	}
	if _, err := os.Stat(paths["d"]); err == nil {
		t.Error("unloaded files are there still")
	}
}

// TestFilesLeased has a client use a version: its files stay, whoever wants the room.
func TestFilesLeased(t *testing.T) {
	address, r := serveRegistry(t)
	a, stop := serveNode(t, nodecache.Config{Registry: address, Data: t.TempDir(), Disk: 15 << 20, RAM: 64 << 20, Heartbeat: -1, Wait: 300 * time.Millisecond})
	defer stop()
	pushLike(t, r, few, "acme/llama:used")
	got, err := a.Materialize(t.Context(), openapi.MaterializeRequest{Ref: "acme/llama:used"})
	if err != nil {
		t.Fatal(err)
	}
	l, err := a.Lease(t.Context(), openapi.LeaseRequest{Ref: "acme/llama:used", Deadline: 60}, agent.LeaseOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for i, tag := range []string{"b", "c", "d"} {
		pushLike(t, r, few, "acme/llama:"+tag, synth.ChangeLayers(uint64(i), 0, 1, 2, 3))
		_, _ = a.Materialize(t.Context(), openapi.MaterializeRequest{Ref: "acme/llama:" + tag}) // there may be no room
	}
	if _, err := os.Stat(got.Path); err != nil {
		t.Errorf("the files of a leased version left: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

// TestMaterializeFails tells what is wrong by codes.
func TestMaterializeFails(t *testing.T) {
	address, r := serveRegistry(t)
	pushLike(t, r, few, "acme/llama:main")
	a, stop := serveNode(t, nodecache.Config{Registry: address, Data: t.TempDir(), Disk: 3 << 20, Heartbeat: -1})
	defer stop()
	for ref, code := range map[string]openapi.Code{
		"acme/none": openapi.CodeNotFound, "acme/llama:none": openapi.CodeNotFound, "acme/llama": openapi.CodeTooLarge, "-": openapi.CodeBadName,
	} {
		if _, err := a.Materialize(t.Context(), openapi.MaterializeRequest{Ref: ref}); !errors.Is(err, &openapi.Error{Code: code}) {
			t.Errorf("%s: %v, want %s", ref, err, code)
		}
	}
}
