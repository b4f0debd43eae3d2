package audit

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// ErrUnwritable reports that the last entry could not be written, so that nothing may be
// changed now.
var ErrUnwritable = errors.New("the audit log cannot be written")

// Standard is the name of the standard output.
const Standard = "-"

// lookEvery is how often it is looked whether the file still has its name.
const lookEvery = time.Second

// Log is where entries go. It is safe for concurrent use.
type Log struct {
	path   string // empty for what is no file
	now    func() time.Time
	logger *slog.Logger
	failed atomic.Bool // the last entry was not written

	mu     sync.Mutex // protects what follows
	to     io.Writer
	file   *os.File // is to; nil for what is no file
	looked time.Time
	torn   bool // the last line has no end
	lost   int  // entries that were not written
}

// Open returns a Log that adds to a file, which it makes if need be; Standard is the
// standard output. A file that is moved away, as by logrotate, is followed by another
// one under its name. The caller closes the Log.
func Open(path string, now func() time.Time, logger *slog.Logger) (*Log, error) {
	l := &Log{now: now, logger: logger}
	if path == Standard {
		l.to = os.Stdout
		return l, nil
	}
	l.path = path
	if err := l.open(); err != nil {
		return nil, fmt.Errorf("open audit log: %w", err)
	}
	return l, nil
}

// To returns a Log that writes to w.
func To(w io.Writer, now func() time.Time, logger *slog.Logger) *Log {
	return &Log{now: now, logger: logger, to: w}
}

// open opens the file. The caller holds mu, or is alone.
func (l *Log) open() error {
	f, err := os.OpenFile(l.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	if l.file != nil {
		_ = l.file.Close() // every line was written when it was made
	}
	l.file, l.to, l.torn, l.looked = f, f, false, l.now()
	return nil
}

// Close ends the Log.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil
	}
	if err := l.file.Close(); err != nil {
		return fmt.Errorf("close audit log: %w", err)
	}
	return nil
}

// Ready returns nil if what is done now can be written. After a failure it finds out by
// writing an entry of its own, which says how many were lost.
func (l *Log) Ready() error {
	if !l.failed.Load() {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.failed.Load() {
		return nil
	}
	err := l.write(Entry{
		Time: l.now(), Who: "registry", Action: "audit.resume", Result: OK, Ref: fmt.Sprintf("%d entries are only in the log of the program", l.lost),
	})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnwritable, err)
	}
	l.logger.Info("the audit log can be written again", "lost", l.lost)
	l.lost = 0
	l.failed.Store(false)
	return nil
}

// Record writes an entry.
func (l *Log) Record(e Entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	err := l.write(e)
	if err == nil {
		return
	}
	l.lost++
	l.failed.Store(true)
	l.logger.Error("the audit log cannot be written: nothing is changed until it can", "error", err, "time", e.Time, "request", e.Request,
		"who", e.Who, "token", e.Token, "from", e.From, "action", e.Action, "repo", e.Repo, "ref", e.Ref, "result", string(e.Result), "status", e.Status)
}

// write writes one line. The caller holds mu.
func (l *Log) write(e Entry) error {
	line, err := e.line()
	if err != nil {
		return err
	}
	if err := l.follow(); err != nil {
		return err
	}
	if l.torn {
		line = append([]byte{'\n'}, line...)
	}
	n, err := l.to.Write(line)
	if err != nil {
		l.torn = n > 0 || l.torn
		return err
	}
	l.torn = false
	return nil
}

// follow opens the file anew if another one has its name, or none. The caller holds mu.
func (l *Log) follow() error {
	if l.path == "" || l.now().Sub(l.looked) < lookEvery {
		return nil
	}
	l.looked = l.now()
	mine, err := l.file.Stat()
	if err != nil {
		return l.open()
	}
	named, err := os.Stat(l.path)
	if err == nil && os.SameFile(mine, named) {
		return nil
	}
	return l.open()
}
