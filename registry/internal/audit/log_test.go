package audit_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/registry/internal/audit"
)

var quiet = slog.New(slog.DiscardHandler)

// entries reads what was written.
func entries(t *testing.T, text string) (list []audit.Entry) {
	t.Helper()
	lines := bufio.NewScanner(strings.NewReader(text))
	for lines.Scan() {
		var e audit.Entry
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			t.Fatalf("line %q: %v", lines.Text(), err)
		}
		list = append(list, e)
	}
	return list
}

// TestHostileEntries writes what callers may have chosen: each is one line of printable
// ASCII, and is read as what it was.
func TestHostileEntries(t *testing.T) {
	for _, hostile := range []string{
		"line\nbreak\r\n", `quote" and \ slash`, "\x1b[2J\x7f\u0085", "\u202eturned", "emoji \U0001f600", `","result":"ok","x":"`,
	} {
		var b bytes.Buffer
		audit.To(&b, time.Now, quiet).Record(audit.Entry{Who: hostile, Repo: hostile, Ref: hostile, From: hostile, Action: "a", Result: audit.Denied})
		text := b.String()
		if strings.Count(text, "\n") != 1 || !strings.HasSuffix(text, "\n") {
			t.Errorf("%q is not one line: %q", hostile, text)
		}
		for _, r := range strings.TrimSuffix(text, "\n") {
			if r < ' ' || r > '~' {
				t.Errorf("%q is written with %U", hostile, r)
			}
		}
		if got := entries(t, text); len(got) != 1 || got[0].Who != hostile || got[0].Result != audit.Denied {
			t.Errorf("%q is read as %+v", hostile, got)
		}
	}
	var b bytes.Buffer
	audit.To(&b, time.Now, quiet).Record(audit.Entry{Ref: strings.Repeat("\U0001f600", 1000) + "\xff"})
	if len(b.Bytes()) > 8<<10 {
		t.Errorf("a long text takes %d bytes", b.Len())
	}
}

// TestConcurrentEntries has many write at once.
func TestConcurrentEntries(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	l, err := audit.Open(path, time.Now, quiet)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 50 {
				l.Record(audit.Entry{Who: "alice", Action: "tag.set", Result: audit.OK, Status: 200})
			}
		})
	}
	all.Wait()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil || len(entries(t, string(text))) != 400 {
		t.Errorf("%d lines, %v", bytes.Count(text, []byte{'\n'}), err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v, %v", info.Mode(), err)
	}
}

// TestRotate moves the file away while entries come.
func TestRotate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	now := time.Now()
	l, err := audit.Open(path, func() time.Time { return now }, quiet)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	l.Record(audit.Entry{Action: "first"})
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	now = now.Add(time.Minute)
	l.Record(audit.Entry{Action: "second"})
	for name, want := range map[string]string{path + ".1": "first", path: "second"} {
		text, err := os.ReadFile(name)
		if got := entries(t, string(text)); err != nil || len(got) != 1 || got[0].Action != want {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// full is a disk that takes some bytes, and then none until there is room again.
type full struct {
	bytes.Buffer
	room int
}

var errFull = errors.New("no space left on device")

func (f *full) Write(p []byte) (int, error) {
	n := min(f.room, len(p))
	f.room -= n
	f.Buffer.Write(p[:n])
	if n < len(p) {
		return n, errFull
	}
	return n, nil
}

// TestFullDisk loses no entry without a word: it is in the other log, and nothing is to
// be changed until there is room again.
func TestFullDisk(t *testing.T) {
	var other bytes.Buffer
	disk := &full{room: 200}
	l := audit.To(disk, time.Now, slog.New(slog.NewTextHandler(&other, nil)))
	for range 2 {
		l.Record(audit.Entry{Who: "alice", Action: "tag.set", Repo: "acme/model", Ref: "prod", Result: audit.OK})
	}
	if err := l.Ready(); !errors.Is(err, audit.ErrUnwritable) || !errors.Is(err, errFull) {
		t.Errorf("with a full disk: %v", err)
	}
	if !strings.Contains(other.String(), "acme/model") {
		t.Errorf("the log of the program has %q", other.String())
	}
	disk.room = 1 << 20
	if err := l.Ready(); err != nil {
		t.Errorf("with room again: %v", err)
	}
	l.Record(audit.Entry{Action: "last"})
	var got []audit.Entry
	for line := range strings.Lines(disk.String()) {
		var e audit.Entry
		if json.Unmarshal([]byte(line), &e) == nil {
			got = append(got, e)
		}
	}
	if n := len(got); n < 3 || got[n-1].Action != "last" || got[n-2].Action != "audit.resume" || !strings.HasPrefix(got[n-2].Ref, "1 ") {
		t.Errorf("whole lines: %+v", got)
	}
}

// TestNoFile is a path that cannot be written.
func TestNoFile(t *testing.T) {
	if _, err := audit.Open(filepath.Join(t.TempDir(), "none", "audit.jsonl"), time.Now, quiet); err == nil {
		t.Error("a folder that is not there")
	}
	l, err := audit.Open(audit.Standard, time.Now, quiet)
	if err != nil || l.Close() != nil {
		t.Errorf("standard output: %v", err)
	}
}

var _ io.Writer = (*full)(nil)
