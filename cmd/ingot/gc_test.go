package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/chunker/synth"
	"github.com/ingot-ml/ingot/openapi"
)

// TestPrintCollection prints a report of a newer registry, too.
func TestPrintCollection(t *testing.T) {
	var out bytes.Buffer
	p := &program{stdout: &out}
	p.printCollection(openapi.GCReport{
		DryRun: true, Versions: 12_000, Objects: 1_000_000, Bytes: 3 << 30, Freed: openapi.GCTotal{Objects: 1234, Bytes: 1 << 20},
		Kept: map[string]openapi.GCTotal{
			openapi.KeptReferenced: {Objects: 998_766, Bytes: 2 << 30},
			openapi.KeptYoung:      {},
			"of\x1b[2Jlater":       {Objects: 1, Bytes: 1},
		},
		Retired: 1, Aborted: 2, Anomalies: []string{"b/acme/m/1 has\nno head"}, Seconds: 1.5,
	})
	want := `1,234 of 1,000,000 objects would be freed, 1.00 MiB of 3.00 GiB
12,000 versions looked at, 1.50 s
1 version would be retired: no tag has pointed at them for too long
2 commits given up that were never finished

KEPT              OBJECTS     BYTES  WHY
referenced        998,766  2.00 GiB  versions need it
"of\x1b[2Jlater"        1       1 B  -

odd: b/acme/m/1 has no head
`
	if out.String() != want {
		t.Errorf("printed\n%s\nwant\n%s", out.String(), want)
	}
}

// TestPrintVerified names what is damaged, the versions, and what to do.
func TestPrintVerified(t *testing.T) {
	const digest = "8b1a9953c4611296a827abf8c47804d7e9f7a5c1d9dd1a9e0f0a4b8a7a3b2c1d"
	ref := "acme/llama@" + digest
	for _, tt := range []struct {
		object openapi.BadObject
		want   string
	}{
		{openapi.BadObject{Object: "c/1", Reason: "its bytes are\nothers", Versions: []string{ref}},
			"bad      c/1: its bytes are others; in acme/llama@8b1a9953c461: push the same files to acme/llama again, or remove the version\n"},
		{openapi.BadObject{Object: "c/2", Reason: "too short", Versions: []string{ref, ref, ref, ref, ref, "odd\x00"}},
			"bad      c/2: too short; in acme/llama@8b1a9953c461, acme/llama@8b1a9953c461, acme/llama@8b1a9953c461, acme/llama@8b1a9953c461 and 2 more: " +
				"push the same files to acme/llama again, or remove the version\n"},
		{openapi.BadObject{Object: "c/3", Reason: "gone"}, "bad      c/3: gone; no version needs it: a collection frees it\n"},
	} {
		var out bytes.Buffer
		p := &program{stdout: &out}
		p.printVerified(openapi.VerifyReport{Bad: []openapi.BadObject{tt.object}, Foreign: []string{"photo.jpg"}, Objects: 3, Versions: 1, Chunks: 2, Bytes: 10}, true)
		want := tt.want + "foreign  photo.jpg\n3 objects of 1 version, 10 B, 2 chunks compared with their names, 0.00 s\n"
		if out.String() != want {
			t.Errorf("printed\n%s\nwant\n%s", out.String(), want)
		}
	}
}

func TestPhaseLine(t *testing.T) {
	var out bytes.Buffer
	l := &phaseLine{w: &out, title: "collecting"}
	l.clear()
	l.show("mark", 1200, 0)
	l.show("sw\x1beep", 1, 4000)
	l.clear()
	want := clearLine + "collecting: mark 1,200" + clearLine + `collecting: "sw\x1beep" 1 of 4,000` + clearLine
	if out.String() != want {
		t.Errorf("drew %q, want %q", out.String(), want)
	}
	none := (&program{stderr: &out, json: true}).line("collecting")
	none.show("mark", 1, 2)
	none.clear()
	if out.String() != want {
		t.Errorf("drew %q where nothing is wanted", out.String())
	}
}

// TestVerifyAll damages one chunk and takes another away: verify names both and the
// version, a push of the same files heals it, and a collection takes the rest.
func TestVerifyAll(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	address, stop, err := startRegistry(data)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	model := filepath.Join(t.TempDir(), "model")
	if err := synth.Write(t.Context(), model, synth.ForSize(8<<20)); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"INGOT_REGISTRY": address, "HOME": t.TempDir()}
	want := func(exit int, args ...string) outcome {
		t.Helper()
		got := call(t.Context(), env, args...)
		if got.code != exit {
			t.Fatalf("%q: %+v, want exit code %d", args, got, exit)
		}
		return got
	}
	want(exitDone, "push", model, "acme/m")
	want(exitDone, "verify", "--all")
	chunks, err := filepath.Glob(filepath.Join(data, "blobs", "c", "*", "*"))
	if err != nil || len(chunks) < 2 {
		t.Fatalf("chunks %q, %v", chunks, err)
	}
	spoil(t, chunks[0])
	if err := os.Remove(chunks[1]); err != nil {
		t.Fatal(err)
	}
	want(exitCorrupt, "verify", "--all", "--shallow") // one is not there
	got := want(exitCorrupt, "verify", "--all")
	for _, says := range []string{`(?m)^bad      c/.*; in acme/m@[0-9a-f]{12}: push the same files to acme/m again, or remove the version$`,
		`(?m)^missing  c/.*; in acme/m@[0-9a-f]{12}: push`} {
		if !regexp.MustCompile(says).MatchString(got.stdout) {
			t.Errorf("printed %q, want %s", got.stdout, says)
		}
	}
	if got.stderr != "ingot: 2 objects bad or missing that versions need, 0 healed: corrupt\n" {
		t.Errorf("said %q", got.stderr)
	}
	want(exitDone, "push", model, "acme/m")
	if got := want(exitDone, "verify", "--all"); !strings.Contains(got.stdout, "no version needs it: a collection frees it") {
		t.Errorf("printed %q", got.stdout)
	}
	want(exitDone, "gc", "--grace", "none")
	if got := want(exitDone, "verify", "--all"); strings.Contains(got.stdout, "bad") {
		t.Errorf("printed %q", got.stdout)
	}
	want(exitDone, "verify", "acme/m")
}

// spoil changes a byte in the middle of a file.
func spoil(t *testing.T, path string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := errors.Join(os.Remove(path), os.WriteFile(path, b, 0o666)); err != nil {
		t.Fatal(err)
	}
}
