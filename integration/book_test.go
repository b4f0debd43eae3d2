package integration_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// bookPages are the pages whose blocks of commands are run as they stand.
var bookPages = []string{"start.md", "secure.md", "troubleshoot.md"}

// step is a command of a page, and the lines that it is said to print.
type step struct {
	line    int
	command string
	prints  []string
}

// TestBook runs the commands of the documentation, each page in a shell of its own, and
// compares what they print with what the page says they do. "..." stands for anything.
func TestBook(t *testing.T) {
	weights(t, "minilm-bf16-layer")
	for _, page := range bookPages {
		t.Run(strings.TrimSuffix(page, ".md"), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(filepath.Join("..", "docs", page))
			if err != nil {
				t.Fatal(err)
			}
			steps := readSteps(string(text))
			if len(steps) == 0 {
				t.Fatal("there are no commands on this page")
			}
			b := newBook(t)
			heard := b.run(steps)
			for i, s := range steps {
				b.compare(page, s, heard, i)
			}
		})
	}
}

// readSteps returns the commands in blocks of "console".
func readSteps(text string) (steps []step) {
	inside := false
	for i, line := range strings.Split(text, "\n") {
		switch {
		case strings.HasPrefix(line, "```"):
			inside = line == "```console"
		case !inside:
		case strings.HasPrefix(line, "$ "):
			steps = append(steps, step{line: i + 1, command: line[2:]})
		case len(steps) == 0:
		case strings.HasPrefix(line, "> "):
			steps[len(steps)-1].command += "\n" + line[2:]
		default:
			steps[len(steps)-1].prints = append(steps[len(steps)-1].prints, line)
		}
	}
	return steps
}

// book is where a page is run: its own home, its own /tmp, its own ports.
type book struct {
	t     *testing.T
	tmp   string
	ports map[string]string // in the page, and here
}

func newBook(t *testing.T) *book {
	t.Helper()
	tmp, err := os.MkdirTemp("", "book") // short, as the paths of sockets have to be
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(tmp) })
	return &book{t: t, tmp: tmp, ports: map[string]string{"7070": "", "7071": "", "7072": ""}}
}

var mentioned = regexp.MustCompile(`127\.0\.0\.1:(70\d\d)`)

// here turns what a page says into what is meant where the test runs.
func (b *book) here(text string) string {
	for port, own := range b.ports {
		if own == "" {
			_, own, _ = strings.Cut(freeAddress(b.t), ":")
			b.ports[port] = own
		}
	}
	text = mentioned.ReplaceAllStringFunc(text, func(m string) string { return "127.0.0.1:" + b.ports[m[len(m)-4:]] })
	return strings.ReplaceAll(text, "/tmp/", b.tmp+"/")
}

// run runs the steps in one shell, and returns what it printed behind the mark of each.
func (b *book) run(steps []step) []string {
	b.t.Helper()
	plain, err := buildPlain()
	if err != nil {
		b.t.Fatalf("build ingot: %v", err)
	}
	bin := filepath.Join(b.tmp, "bin")
	if err := os.Mkdir(bin, 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.Symlink(plain, filepath.Join(bin, "ingot")); err != nil {
		b.t.Fatal(err)
	}
	out, err := os.Create(filepath.Join(b.tmp, "out"))
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = out.Close() }() // the shell has written it
	var script strings.Builder         // as a person does, it waits until what it has started says that it is ready
	for i, s := range steps {
		fmt.Fprintf(&script, "echo; echo '@@@ %d'\n%s\necho \"@@= $?\"\n", i, b.here(s.command))
		if strings.HasSuffix(s.command, "&") {
			fmt.Fprintf(&script, "for _ in {1..300}; do [ $(sed '1,/^@@@ %d$/d' %s | wc -l) -gt %d ] && break; sleep 0.1; done\n", i, out.Name(), len(s.prints))
		}
	}
	cmd := exec.CommandContext(b.t.Context(), "bash", "-m", "-c", script.String())
	cmd.Dir = ".."
	cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "HOME="+b.tmp, "XDG_RUNTIME_DIR="+b.tmp,
		"XDG_DATA_HOME=", "XDG_CACHE_HOME=", "XDG_CONFIG_HOME=", b.here("INGOT_SERVE_LISTEN=127.0.0.1:7070"), b.here("INGOT_REGISTRY=http://127.0.0.1:7070"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Stdout, cmd.Stderr = out, out
	defer endSession(cmd)
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		b.t.Fatal(err)
	}
	said, err := os.ReadFile(out.Name())
	if err != nil {
		b.t.Fatal(err)
	}
	heard := strings.Split(strings.ReplaceAll(string(said), b.tmp, "/tmp"), "\n@@@ ")
	if len(heard) != len(steps)+1 {
		b.t.Fatalf("%d of %d commands were run:\n%s", len(heard)-1, len(steps), said)
	}
	return heard[1:]
}

// endSession ends what a page has left running in the background of its shell.
func endSession(cmd *exec.Cmd) {
	if cmd.Process != nil {
		_ = exec.Command("pkill", "-KILL", "-s", strconv.Itoa(cmd.Process.Pid)).Run() // there may be nothing
	}
}

// compare holds what was heard of a step to what the page says. What a command in the
// background prints may come later.
func (b *book) compare(page string, s step, heard []string, i int) {
	b.t.Helper()
	said, status, _ := strings.Cut(heard[i], "@@= ")
	if strings.HasSuffix(s.command, "&") {
		said = strings.Join(heard[i:], "\n")
	}
	want := s.prints
	code := "0"
	if n := len(want); n > 0 && strings.HasPrefix(want[n-1], "exit status ") {
		code, want = strings.TrimPrefix(want[n-1], "exit status "), want[:n-1]
	}
	if got, _, _ := strings.Cut(status, "\n"); got != code {
		b.t.Errorf("%s:%d: %s\nended with %s, want %s, and said\n%s", page, s.line, s.command, got, code, said)
	}
	rest := said
	for _, line := range want {
		if line == "..." {
			continue
		}
		parts := strings.Split(line, "...")
		for j, p := range parts {
			parts[j] = regexp.QuoteMeta(b.page(p))
		}
		at := regexp.MustCompile(`(?m)^` + strings.Join(parts, ".*") + `[ \t]*$`).FindStringIndex(b.page(rest))
		if at == nil {
			b.t.Errorf("%s:%d: %s\nsays it prints\n%s\nand printed\n%s", page, s.line, s.command, line, said)
			return
		}
		rest = b.page(rest)[at[1]:]
	}
}

// page turns what was printed here into what a page would say.
func (b *book) page(text string) string {
	for port, own := range b.ports {
		text = strings.ReplaceAll(text, "127.0.0.1:"+own, "127.0.0.1:"+port)
	}
	return text
}
