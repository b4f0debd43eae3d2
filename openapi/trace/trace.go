// Package trace owns what follows a piece of work from part to part: the id of the
// request that asked for it, and spans of time for whoever records them.
//
// Laws:
//   - Nobody records until Record is called. Until then a span is nil, and costs one
//     look at a variable.
//   - A header from outside is a hint: what is not well-formed is as if it were not
//     there, and nothing of it is longer than the form allows.
//   - It knows no tracing library. Package otlp gives it one.
package trace

import (
	"context"
	"net/http"
	"sync/atomic"
)

// Kind is where a span stands between parts.
type Kind int

// The kinds.
const (
	Inside Kind = iota // of one part
	Served             // answers another part
	Called             // asks another part
)

// Recorder keeps spans. Implementations are safe for concurrent use.
type Recorder interface {
	// Start begins a span below the one in ctx, and returns a context with it.
	Start(ctx context.Context, name string, kind Kind) (context.Context, Recorded)
	// Inject writes the span in ctx into a header, and Extract returns ctx with that
	// of a header as the parent of what is started next.
	Inject(ctx context.Context, h http.Header)
	Extract(ctx context.Context, h http.Header) context.Context
	// Under returns ctx with the span in parent, whatever becomes of that context.
	Under(ctx, parent context.Context) context.Context
	// ID names the trace of ctx in a log; empty for none.
	ID(ctx context.Context) string
}

// Recorded is a span of a Recorder.
type Recorded interface {
	Rename(name string)
	Text(key, value string)
	Number(key string, value int64)
	End(err error)
}

// recorder is that of the process: what a span belongs to goes through every part of
// it, also those that have no configuration.
var recorder atomic.Pointer[Recorder]

// Record has r record the spans of the process from now on, nil nobody.
func Record(r Recorder) {
	if r == nil {
		recorder.Store(nil)
		return
	}
	recorder.Store(&r)
}

// On tells whether spans are recorded.
func On() bool { return recorder.Load() != nil }

// Span is a piece of work that takes time. Nil is one that nobody records.
type Span struct{ recorded Recorded }

// Start begins a span inside this part. The caller ends it.
func Start(ctx context.Context, name string) (context.Context, *Span) {
	r := recorder.Load()
	if r == nil {
		return ctx, nil
	}
	return start(ctx, *r, name, Inside)
}

// Serve begins the span of a request that came with the header h.
func Serve(ctx context.Context, name string, h http.Header) (context.Context, *Span) {
	r := recorder.Load()
	if r == nil {
		return ctx, nil
	}
	return start((*r).Extract(ctx, h), *r, name, Served)
}

// Call begins the span of a request to another part, and writes into its header h
// what that part continues.
func Call(ctx context.Context, name string, h http.Header) (context.Context, *Span) {
	r := recorder.Load()
	if r == nil {
		return ctx, nil
	}
	ctx, s := start(ctx, *r, name, Called)
	if h != nil {
		(*r).Inject(ctx, h)
	}
	return ctx, s
}

// Under returns ctx for work that is begun for parent, and may outlast it.
func Under(ctx, parent context.Context) context.Context {
	r := recorder.Load()
	if r == nil {
		return ctx
	}
	return (*r).Under(ctx, parent)
}

func start(ctx context.Context, r Recorder, name string, kind Kind) (context.Context, *Span) {
	ctx, recorded := r.Start(ctx, name, kind)
	return ctx, &Span{recorded}
}

// ID names the trace of ctx; empty for none.
func ID(ctx context.Context) string {
	r := recorder.Load()
	if r == nil {
		return ""
	}
	return (*r).ID(ctx)
}

// Rename gives the span a name that was not known when it began.
func (s *Span) Rename(name string) {
	if s != nil {
		s.recorded.Rename(name)
	}
}

// Text notes something of the span.
func (s *Span) Text(key, value string) {
	if s != nil {
		s.recorded.Text(key, value)
	}
}

// Number notes a number of the span.
func (s *Span) Number(key string, value int64) {
	if s != nil {
		s.recorded.Number(key, value)
	}
}

// End ends the span, which failed if err is not nil.
func (s *Span) End(err error) {
	if s != nil {
		s.recorded.End(err)
	}
}
