package checkpoints_test

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/client/checkpoints"
)

// world is a folder, and a clock.
type world struct {
	t      *testing.T
	dir    string
	folder *checkpoints.Folder
	now    time.Time
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), now: time.Unix(1_800_000_000, 0)}
	w.open()
	return w
}

// open begins to look anew.
func (w *world) open() {
	w.t.Helper()
	var err error
	if w.folder, err = checkpoints.Open(w.dir, 5*time.Second); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) write(name, content string) {
	w.t.Helper()
	path := filepath.Join(w.dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o666); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) remove(name string) {
	w.t.Helper()
	if err := os.RemoveAll(filepath.Join(w.dir, filepath.FromSlash(name))); err != nil {
		w.t.Fatal(err)
	}
}

// look returns the names of what is complete, and lets time pass.
func (w *world) look(pass time.Duration) []checkpoints.Checkpoint {
	w.t.Helper()
	ready, _, err := w.folder.Look(w.now)
	if err != nil {
		w.t.Fatal(err)
	}
	w.now = w.now.Add(pass)
	return ready
}

// settled looks until what does not change is told of.
func (w *world) settled() (names string) {
	w.t.Helper()
	w.look(5 * time.Second)
	var list []string
	for _, c := range w.look(0) {
		list = append(list, c.Name)
	}
	return strings.Join(list, " ")
}

// tensors is a file of safetensors with n bytes of data.
func tensors(n int) string {
	header := `{"__metadata__":{"format":"pt"},"w":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}`
	return string(binary.LittleEndian.AppendUint64(nil, uint64(len(header)))) + header + strings.Repeat("x", n)
}

// TestSeries has checkpoints appear, one while it is being written.
func TestSeries(t *testing.T) {
	w := newWorld(t)
	if got := w.settled(); got != "" {
		t.Errorf("an empty folder holds %q", got)
	}
	w.write("checkpoint-1000/model.safetensors", tensors(4))
	w.write("checkpoint-500/model.safetensors", tensors(4))
	w.write("checkpoint-500/trainer_state.json", `{"global_step":7,"log_history":[{"loss":2.5},{"loss":1.25},{"eval_loss":9}]}`)
	w.write("tmp-checkpoint-1500/model.safetensors", tensors(4))
	w.write("runs/events", "x")
	w.write("model.safetensors", tensors(4))
	if got := w.look(4 * time.Second); len(got) != 0 {
		t.Errorf("%+v has just come", got)
	}
	if got := w.look(time.Second); len(got) != 0 {
		t.Errorf("%+v came four seconds ago", got)
	}
	got := w.look(0)
	if len(got) != 2 || got[0].Name != "checkpoint-500" || got[0].Step != "500" || got[0].Loss != "1.25" || got[1].Step != "1000" || got[1].Loss != "" {
		t.Fatalf("%+v", got)
	}
	w.folder.Done(got[0])
	if again := w.look(0); len(again) != 1 || again[0].Name != "checkpoint-1000" {
		t.Errorf("beside what is done: %+v", again)
	}
	if got[1].Changed() {
		t.Error("nothing has changed")
	}
	w.write("checkpoint-1000/optimizer.pt", "x")
	if !got[1].Changed() {
		t.Error("a new file is no change")
	}
	if got := w.look(0); len(got) != 0 {
		t.Errorf("%+v has just changed", got)
	}
	if names := w.settled(); names != "checkpoint-1000" {
		t.Errorf("complete are %q", names)
	}
	w.remove("checkpoint-1000")
	w.remove("checkpoint-500")
	if names := w.settled(); names != "" {
		t.Errorf("%q is not there, and what is beside it no checkpoint", names)
	}
}

// TestNames tells folders of steps from others.
func TestNames(t *testing.T) {
	w := newWorld(t)
	names := map[string]bool{
		"checkpoint-5": true, "step_0010": true, "iter_0000020": true, "epoch=3": true, "global_step40": true,
		"layer0": false, "checkpoint-": false, "-5": false, "5": false, "checkpoint-5b": false, "checkpoint-1234567890123456789": false,
	}
	for name := range names {
		w.write(name+"/pytorch_model.bin", "x")
	}
	want := "epoch=3 checkpoint-5 step_0010 iter_0000020 global_step40"
	if got := w.settled(); got != want {
		t.Errorf("checkpoints are %q, want %q", got, want)
	}
}

// TestSingle writes one folder over and over.
func TestSingle(t *testing.T) {
	w := newWorld(t)
	for _, content := range []int{4, 4} {
		w.write("model.safetensors", tensors(content))
		w.write("trainer_state.json", `{"global_step":30}`)
		w.look(5 * time.Second)
		got := w.look(0)
		if len(got) != 1 || got[0].Name != "" || got[0].Step != "30" || got[0].Path != w.dir {
			t.Fatalf("%+v", got)
		}
		w.folder.Done(got[0])
		if names := w.look(0); len(names) != 0 {
			t.Errorf("told of twice: %+v", names)
		}
		past := w.now.Add(-time.Hour) // the next one is of another time, however fast it comes
		if err := os.Chtimes(filepath.Join(w.dir, "model.safetensors"), past, past); err != nil {
			t.Fatal(err)
		}
	}
}

// TestIncomplete has every sign that more is to come.
func TestIncomplete(t *testing.T) {
	const index = `{"weight_map":{"a":"one.safetensors","b":"two.safetensors"}}`
	tests := []struct {
		name  string
		files map[string]string
		want  bool
	}{
		{"nothing with weights", map[string]string{"config.json": "{}"}, false},
		{"an empty file", map[string]string{"pytorch_model.bin": ""}, false},
		{"a shard is missing", map[string]string{"model.safetensors.index.json": index, "one.safetensors": tensors(4)}, false},
		{"every shard", map[string]string{"model.safetensors.index.json": index, "one.safetensors": tensors(4), "two.safetensors": tensors(4)}, true},
		{"half an index", map[string]string{"model.safetensors.index.json": index[:20], "one.safetensors": tensors(4)}, false},
		{"a shard that leads elsewhere", map[string]string{"model.safetensors.index.json": `{"weight_map":{"a":"../x"}}`, "one.safetensors": tensors(4)}, false},
		{"a short file", map[string]string{"model.safetensors": tensors(3)}, false},
		{"a longer file", map[string]string{"model.safetensors": tensors(5)}, false},
		{"half a header", map[string]string{"model.safetensors": tensors(0)[:30]}, false},
		{"no header", map[string]string{"model.safetensors": "abc"}, false},
		{"a header of nothing", map[string]string{"model.safetensors": strings.Repeat("\xff", 16)}, false},
		{"a lock", map[string]string{"model.safetensors": tensors(4), "model.lock": ""}, false},
		{"a part", map[string]string{"model.safetensors": tensors(4), "two.safetensors.part": "x"}, false},
		{"a folder on its way", map[string]string{"model.safetensors": tensors(4), "tmp0/two.bin": "x"}, false},
		{"no metadata", map[string]string{"dist/__0_0.distcp": "x"}, false},
		{"metadata", map[string]string{"dist/__0_0.distcp": "x", "dist/.metadata": "x"}, true},
		{"notes of something else", map[string]string{"model.safetensors": tensors(4), "trainer_state.json": "[1]"}, true},
	}
	for _, tt := range tests {
		w := newWorld(t)
		for name, content := range tt.files {
			w.write("checkpoint-1/"+name, content)
		}
		if got := w.settled() != ""; got != tt.want {
			t.Errorf("%s: complete is %v", tt.name, got)
		}
	}
}

// TestJournal looks anew, at what was done before and at what has changed since.
func TestJournal(t *testing.T) {
	w, dir := newWorld(t), t.TempDir()
	for _, name := range []string{"checkpoint-1", "checkpoint-2", "checkpoint-3"} {
		w.write(name+"/model.safetensors", tensors(4))
	}
	begin := func(purpose string) *checkpoints.Journal {
		t.Helper()
		w.open()
		j, err := checkpoints.OpenJournal(dir, w.folder, purpose)
		if err != nil {
			t.Fatal(err)
		}
		return j
	}
	j := begin("one")
	w.look(5 * time.Second)
	for _, c := range w.look(0)[:2] {
		if err := j.Done(w.folder, c); err != nil {
			t.Fatal(err)
		}
	}
	begin("one")
	if got := w.settled(); got != "checkpoint-3" {
		t.Errorf("to be done are %q", got)
	}
	begin("another")
	if got := w.settled(); got != "checkpoint-1 checkpoint-2 checkpoint-3" {
		t.Errorf("for another purpose %q", got)
	}
	w.write("checkpoint-1/config.json", "{}")
	w.remove("checkpoint-2")
	j = begin("one")
	w.look(5 * time.Second)
	got := w.look(0)
	if len(got) != 2 || got[0].Name != "checkpoint-1" {
		t.Fatalf("after a change: %+v", got)
	}
	if err := j.Done(w.folder, got[1]); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%q, %v", files, err)
	}
	if b, err := os.ReadFile(files[0]); err != nil || strings.Contains(string(b), "checkpoint-2") {
		t.Errorf("what is gone is remembered: %s, %v", b, err)
	}
	if err := os.WriteFile(files[0], []byte("{"), 0o666); err != nil {
		t.Fatal(err)
	}
	begin("one")
	if got := w.settled(); got != "checkpoint-1 checkpoint-3" {
		t.Errorf("with a damaged journal %q", got)
	}
	if _, err := checkpoints.OpenJournal("", w.folder, "one"); err != nil {
		t.Error(err)
	}
	if _, err := checkpoints.Open(files[0], 0); err == nil {
		t.Error("a file is looked into")
	}
}
