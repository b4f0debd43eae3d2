package main

import (
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/ingot-ml/ingot/client"
)

// bar shows a transfer on a terminal. The transfer only counts; one goroutine of
// the bar draws what was counted, ten times a second.
type bar struct {
	total, done atomic.Int64
	stop        chan struct{} // closed by close
	stopped     chan struct{} // closed when nothing more is drawn
}

// watch calls transfer with a progress bar that is gone when watch returns. There
// is none unless standard error is a terminal and the user wants one.
func (p *program) watch(title string, transfer func(client.Progress) error) error {
	if p.quiet || p.json || !terminal(p.stderr) {
		return transfer(nil)
	}
	b := &bar{stop: make(chan struct{}), stopped: make(chan struct{})}
	go b.draw(p.stderr, title)
	defer b.close()
	return transfer(b)
}

// terminal reports whether w is a terminal.
func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// Total implements client.Progress.
func (b *bar) Total(n int64) { b.total.Add(n) }

// Add implements client.Progress.
func (b *bar) Add(n int64) { b.done.Add(n) }

func (b *bar) close() {
	close(b.stop)
	<-b.stopped
}

// draw draws until close. Errors are the terminal's, and nothing depends on it.
func (b *bar) draw(w io.Writer, title string) {
	defer close(b.stopped)
	const frame = 100 * time.Millisecond
	tick := time.NewTicker(frame)
	defer tick.Stop()
	line := progressbar.NewOptions64(1,
		progressbar.OptionSetWriter(w),
		progressbar.OptionSetDescription(title),
		progressbar.OptionSetWidth(24),
		progressbar.OptionShowBytes(true),
		progressbar.OptionShowCount(),
		progressbar.OptionUseANSICodes(true),
		progressbar.OptionUseIECUnits(true),
		progressbar.OptionSetElapsedTime(false),
		progressbar.OptionSetPredictTime(true),
	)
	line.StartWithoutRender()
	fmt.Fprint(w, title)
	for {
		select {
		case <-b.stop:
			fmt.Fprint(w, clearLine)
			return
		case <-tick.C:
		}
		if total := b.total.Load(); total > 0 {
			done := b.done.Load()
			// The library ends a bar that is full, and files may still be added.
			if most := max(total, done+1); most != line.GetMax64() {
				line.ChangeMax64(most)
			}
			_ = line.Set64(done)
		}
	}
}

// phaseLine shows on a terminal how far a registry is with something. It is for one
// goroutine.
type phaseLine struct {
	w     io.Writer // nil for none
	title string
	drawn bool
}

// line returns a phaseLine: an empty one unless standard error is a terminal and the
// user wants it.
func (p *program) line(title string) *phaseLine {
	if p.quiet || p.json || !terminal(p.stderr) {
		return &phaseLine{}
	}
	return &phaseLine{w: p.stderr, title: title}
}

const clearLine = "\r\x1b[K"

func (l *phaseLine) show(phase string, done, total int64) {
	if l.w == nil {
		return
	}
	l.drawn = true
	fmt.Fprintf(l.w, "%s%s: %s %s", clearLine, l.title, shown(phase), thousands(done))
	if total > 0 {
		fmt.Fprintf(l.w, " of %s", thousands(total))
	}
}

// clear takes the line away.
func (l *phaseLine) clear() {
	if l.drawn {
		fmt.Fprint(l.w, clearLine)
	}
}
