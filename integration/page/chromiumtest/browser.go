// Package chromiumtest owns the driving of a real Chromium, by the pipe that it has for
// debuggers: no port is opened.
package chromiumtest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"time"
)

// patience is how long a browser may take for what it is told.
const patience = 90 * time.Second

// Browser is a running Chromium.
type Browser struct {
	cmd *exec.Cmd
	to  *os.File
	log bytes.Buffer // what it said; read once it has ended

	mu      sync.Mutex
	last    int
	waiting map[int]chan message
	pages   map[string]*Page // by session
	ended   chan struct{}    // closed when nothing comes any more
}

// message is one of the protocol, in either direction.
type message struct {
	ID      int             `json:"id,omitempty"`
	Session string          `json:"sessionId,omitempty"`
	Method  string          `json:"method,omitempty"`
	Params  any             `json:"params,omitempty"`
	Result  json.RawMessage `json:"result,omitempty"`
	Error   *struct {
		Message string `json:"message"`
	} `json:"error,omitempty"`
}

// ErrNone reports that there is no Chromium on this machine.
var ErrNone = errors.New("no chromium on the path: integration/env/chromium.sh installs it")

// Start runs a browser, which keeps what it has to below home.
func Start(home string) (*Browser, error) {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if program, err := exec.LookPath(name); err == nil {
			return start(program, home)
		}
	}
	return nil, ErrNone
}

func start(program, home string) (*Browser, error) {
	hears, to, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	from, says, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, hears.Close(), to.Close())
	}
	b := &Browser{to: to, waiting: map[int]chan message{}, pages: map[string]*Page{}, ended: make(chan struct{})}
	// Containers lack what its sandbox is made of, and all it opens is ours.
	b.cmd = exec.Command(program, "--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu",
		"--disable-dev-shm-usage", "--no-first-run", "--no-default-browser-check", "--disable-extensions",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--mute-audio",
		"--hide-scrollbars", "--force-color-profile=srgb", "--font-render-hinting=none", "--user-data-dir="+home, "about:blank")
	b.cmd.Env = append(os.Environ(), "HOME="+home)
	b.cmd.ExtraFiles = []*os.File{hears, says} // 3 and 4
	b.cmd.Stderr = &b.log
	b.cmd.WaitDelay = patience
	if err := b.cmd.Start(); err != nil {
		return nil, errors.Join(err, hears.Close(), to.Close(), from.Close(), says.Close())
	}
	go b.listen(from)
	return b, errors.Join(hears.Close(), says.Close())
}

// Close has the browser end, and kills one that does not.
func (b *Browser) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_ = b.call(ctx, "", "Browser.close", nil, nil) // it may be gone before it answers
	select {
	case <-b.ended:
	case <-ctx.Done():
		_ = b.cmd.Process.Kill()
	}
	if err := errors.Join(b.to.Close(), b.cmd.Wait()); err != nil {
		return fmt.Errorf("chromium ended: %w\n%s", err, b.log.Bytes())
	}
	return nil
}

// listen hands on what the browser says until it ends.
func (b *Browser) listen(from io.ReadCloser) {
	defer close(b.ended)
	defer from.Close()
	r := bufio.NewReaderSize(from, 1<<16)
	for {
		line, err := r.ReadBytes(0)
		if err != nil {
			return
		}
		var m struct {
			message
			Params json.RawMessage `json:"params"`
		}
		if json.Unmarshal(bytes.TrimSuffix(line, []byte{0}), &m) != nil {
			return
		}
		b.mu.Lock()
		answer, page := b.waiting[m.ID], b.pages[m.Session]
		delete(b.waiting, m.ID)
		b.mu.Unlock()
		switch {
		case m.ID != 0 && answer != nil:
			answer <- m.message
		case page != nil:
			page.note(m.Method, m.Params)
		}
	}
}

// call has a method of the protocol done, and reads its result into out if that is not nil.
func (b *Browser) call(ctx context.Context, session, method string, params, out any) error {
	answer := make(chan message, 1)
	b.mu.Lock()
	b.last++
	m := message{ID: b.last, Session: session, Method: method, Params: params}
	b.waiting[m.ID] = answer
	doc, err := json.Marshal(m)
	if err == nil {
		_, err = b.to.Write(append(doc, 0))
	}
	b.mu.Unlock()
	if err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	select {
	case got := <-answer:
		if got.Error != nil {
			return fmt.Errorf("%s: %s", method, got.Error.Message)
		}
		if out == nil {
			return nil
		}
		return json.Unmarshal(got.Result, out)
	case <-b.ended:
		return fmt.Errorf("%s: the browser has ended", method)
	case <-ctx.Done():
		return fmt.Errorf("%s: %w", method, ctx.Err())
	}
}
