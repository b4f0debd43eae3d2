package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/cuda/ptx"
)

func TestLayout(t *testing.T) {
	for _, size := range []int64{6 << 20, 64 << 20, 96 << 20, 1 << 30, 16 << 30} {
		l := layoutFor(size)
		if l.tensors%l.files != 0 || l.tensors < l.files || l.bytes() > max(size, 4*chunk) || l.bytes() < size/2 {
			t.Errorf("of %d: %+v, %d bytes", size, l, l.bytes())
		}
		a, b := l.base("a", 1), l.tuned("b", 1, 2)
		if share := float64(l.differ(a, b)) / float64(l.bytes()); size >= 64<<20 && (share < 0.03 || share > 0.07) {
			t.Errorf("of %d: the tuned variant differs in %.3f of its bytes", size, share)
		}
		if got := l.differ(a, l.layer("c", 1, 3, l.tensors-1)); got != l.tensorBytes() {
			t.Errorf("of %d: another layer differs in %d bytes, want %d", size, got, l.tensorBytes())
		}
		if got := l.differ(a, l.base("d", 9)); got != l.bytes() {
			t.Errorf("of %d: another model differs in %d bytes of %d", size, got, l.bytes())
		}
	}
}

// TestBecome changes a folder from variant to variant: its files are those that a new
// folder would have, and the checksums those of what is in them.
func TestBecome(t *testing.T) {
	l := layout{tensors: 4, chunks: 2, files: 2}
	d := &disk{layout: l, dir: t.TempDir()}
	steps := []variant{l.base("base", 1), l.tuned("tuned", 1, 2), l.layer("layer", 1, 3, 2), l.base("base", 1)}
	for _, v := range steps {
		if err := d.become(context.Background(), v); err != nil {
			t.Fatal(err)
		}
		anew := &disk{layout: l, dir: t.TempDir()}
		if err := anew.become(context.Background(), v); err != nil {
			t.Fatal(err)
		}
		for tensor := range l.tensors {
			name, place := l.file(tensor)
			got, want := readFile(t, d.dir, name), readFile(t, anew.dir, name)
			if got != want {
				t.Fatalf("%s: %s is not what it is in a new folder", v.name, name)
			}
			header, err := l.header(tensor / (l.tensors / l.files))
			if err != nil {
				t.Fatal(err)
			}
			for i := range l.chunks {
				at := len(header) + place*int(l.tensorBytes()) + i*chunk
				if sum := ptx.Sum64([]byte(got[at : at+chunk])); sum != d.sum(v, tensor, i) {
					t.Errorf("%s: chunk %d of tensor %d has another checksum", v.name, i, tensor)
				}
			}
		}
	}
}

func readFile(t *testing.T, dir, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestTable(t *testing.T) {
	dir := t.TempDir()
	figure := 51.25
	r := report{Schema: schema, Date: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Program: "ingot v1", Notes: []string{"it rained"},
		GPU:     gpu{Name: "NVIDIA X", Memory: 80 << 30, Free: 79 << 30, CUDA: 13020},
		Machine: machine{CPUs: 16, Memory: 128 << 30, Kernel: "6.8", Torch: "2.11"}, Model: 16 << 30, Seconds: 400,
		Lines: []line{
			{Group: "agent", Name: "load: rate", State: failed, Figure: &figure, Unit: "GB/s", Want: ">= 95 % of 54"},
			{Group: "python", Name: "a|b", State: skipped, Reason: "no\nPython"},
		}}
	report, page := filepath.Join(dir, "r.json"), filepath.Join(dir, "gpu.md")
	if err := r.write(report); err != nil {
		t.Fatal(err)
	}
	before := "# GPU\n\n" + tableBegin + "\nNot run.\n" + tableEnd + "\nMore.\n"
	if err := os.WriteFile(page, []byte(before), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time it is the same
		if err := tableInto(report, page); err != nil {
			t.Fatal(err)
		}
		got := readFile(t, dir, "gpu.md")
		for _, want := range []string{"# GPU\n\n" + tableBegin, tableEnd + "\nMore.\n", "Measured on 2026-01-02.", "\nit rained\n",
			"| GPU | NVIDIA X, 80 GiB, 79 GiB free |", "| driver | CUDA 13.2 |", "| model | 16 GiB |",
			"| agent | load: rate | fail | 51.2 GB/s | >= 95 % of 54 |  |", `| python | a\|b | skip |  |  | no Python |`} {
			if !strings.Contains(got, want) {
				t.Errorf("no %q in\n%s", want, got)
			}
		}
		if strings.Contains(got, "Not run.") {
			t.Error("what was there before is still there")
		}
	}
	for name, text := range map[string]string{"no.md": "# no place\n", "half.md": tableBegin} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := tableInto(report, filepath.Join(dir, name)); err == nil || !strings.Contains(err.Error(), "no place for the table") {
			t.Errorf("%s: %v, want an error about the place", name, err)
		}
	}
	if err := os.WriteFile(report, []byte(`{"schema": 2}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := tableInto(report, page); err == nil || !strings.Contains(err.Error(), "schema 2, want 1") {
		t.Errorf("%v, want an error about the schema", err)
	}
}

// TestDocument wants the document to have the place for the table.
func TestDocument(t *testing.T) {
	page := readFile(t, "../../docs", "gpu.md")
	if !strings.Contains(page, tableBegin) || !strings.Contains(page, tableEnd) {
		t.Error("docs/gpu.md has no place for the table")
	}
}

func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 3: "3", 5e10: "50000000000", 0.1234: "0.123", 12.345: "12.3", 123.4: "123", 1e-5: "1e-05"} {
		if got := number(v); got != want {
			t.Errorf("%v: %s, want %s", v, got, want)
		}
	}
	for n, want := range map[int64]string{1 << 30: "1 GiB", 3 << 29: "1.5 GiB", 96 << 20: "96 MiB"} {
		if got := size(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}

// TestJudged holds rates to nothing where the driver is a fake, and bytes always.
func TestJudged(t *testing.T) {
	for _, fake := range []bool{false, true} {
		b := &bench{report: report{Fake: fake}, group: "g"}
		b.held("rate", 1, "GB/s", ">= 2", false)
		b.counted("bytes", 1, "B", "2", false)
		b.measured("time", 1, "s")
		want := map[bool][]state{false: {failed, failed, passed}, true: {unjudged, failed, unjudged}}[fake]
		for i, l := range b.report.Lines {
			if l.State != want[i] || l.Group != "g" || *l.Figure != 1 {
				t.Errorf("fake %v: %+v, want %s", fake, l, want[i])
			}
		}
	}
}

func TestChildrenOf(t *testing.T) {
	if found := childrenOf(os.Getppid(), os.Args[0]); len(found) != 1 || found[0] != os.Getpid() {
		t.Errorf("children of this test's parent with its name: %v, want %d", found, os.Getpid())
	}
	if found := childrenOf(os.Getppid(), "no such word"); len(found) != 0 {
		t.Errorf("children without the word: %v", found)
	}
}

// TestRoom makes the model smaller where there is not enough of something, and says of
// what.
func TestRoom(t *testing.T) {
	const much = 1 << 50
	for _, tt := range []struct {
		gpu, memory, want int64
		fake              bool
		says              string
	}{
		{much, much, 32 << 20, false, "room for a model of 32 MiB only"},
		{much, much, 512 << 20, false, ""},
		{3 << 30, much, 512 << 20, false, "of GPU memory free: the model has"},
		{much, 2<<30 + 512<<20, 512 << 20, false, "of memory free: the model has"},
		{230 << 20, much, 512 << 20, true, "230 MiB of GPU memory free: the model has 100 MiB instead of 512 MiB"},
		{1 << 30, much, 512 << 20, false, "room for a model of 0 MiB only"},
	} {
		b := &bench{o: options{size: tt.want, dir: t.TempDir()}}
		b.report.Fake, b.report.GPU.Free, b.report.Machine.Free = tt.fake, tt.gpu, tt.memory
		err := b.makeRoom()
		said := strings.Join(b.report.Notes, "\n")
		if err != nil {
			said += err.Error()
		}
		if !strings.Contains(said, tt.says) || tt.says == "" && said != "" {
			t.Errorf("%+v: it says %q", tt, said)
		}
		if err == nil && (b.report.Model == tt.want) != (tt.says == "") {
			t.Errorf("%+v: the model has %d bytes", tt, b.report.Model)
		}
	}
}
