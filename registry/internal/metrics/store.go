package metrics

import (
	"context"
	"errors"
	"io"
	"iter"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ingot-ml/ingot/openapi/trace"
	"github.com/ingot-ml/ingot/registry/internal/blobs"
	"github.com/ingot-ml/ingot/registry/internal/registers"
)

// The parts of a store, and what is asked of them.
const (
	partBlobs     = "blobs"
	partRegisters = "registers"
)

var operations = map[string][]string{
	partBlobs:     {"put", "open", "stat", "list", "delete"},
	partRegisters: {"get", "swap", "list"},
}

// How requests to a store end. None and conflict are answers as good as others.
const (
	resultDone        = "done"
	resultNone        = "none"     // nothing of that name
	resultConflict    = "conflict" // something is there already, or has changed
	resultFull        = "full"
	resultUnavailable = "unavailable"
	resultFailed      = "failed"
)

var results = []string{resultDone, resultNone, resultConflict, resultFull, resultUnavailable, resultFailed}

// storeMetrics are of the requests to a store.
type storeMetrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	written  prometheus.Counter
}

func newStoreMetrics() storeMetrics {
	s := storeMetrics{
		requests: counters("store_requests_total", "Requests to the store, by how they ended.", "part", "operation", "result"),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: prefix + "store_seconds", Help: "How long the store took; of what is opened and listed, until it began to come.",
			Buckets: []float64{.0001, .0003, .001, .003, .01, .03, .1, .3, 1, 3, 10, 30},
		}, []string{"part", "operation"}),
		written: prometheus.NewCounter(prometheus.CounterOpts{
			Name: prefix + "store_written_bytes_total", Help: "Bytes of blobs that were put into the store.",
		}),
	}
	for part, names := range operations {
		for _, operation := range names {
			s.seconds.WithLabelValues(part, operation)
			s.requests.WithLabelValues(part, operation, resultDone)
		}
	}
	return s
}

func (s storeMetrics) all() []prometheus.Collector {
	return []prometheus.Collector{s.requests, s.seconds, s.written}
}

// resultOf says how a request ended.
func resultOf(err error) string {
	switch {
	case err == nil:
		return resultDone
	case errors.Is(err, blobs.ErrNotFound), errors.Is(err, registers.ErrNotFound):
		return resultNone
	case errors.Is(err, blobs.ErrExists), errors.Is(err, registers.ErrConflict):
		return resultConflict
	case errors.Is(err, blobs.ErrNoSpace):
		return resultFull
	case errors.Is(err, blobs.ErrUnavailable):
		return resultUnavailable
	}
	return resultFailed
}

// operation is one kind of request to a part of a store.
type operation struct {
	name    string // of its spans
	seconds prometheus.Observer
	results map[string]prometheus.Counter
}

func (s storeMetrics) operation(part, name string) operation {
	o := operation{name: "store " + part + " " + name, seconds: s.seconds.WithLabelValues(part, name), results: map[string]prometheus.Counter{}}
	for _, result := range results {
		o.results[result] = s.requests.WithLabelValues(part, name, result)
	}
	return o
}

// begin begins a request; done is called with its error when it has ended.
func (o operation) begin(ctx context.Context) (_ context.Context, done func(error)) {
	began := time.Now()
	ctx, span := trace.Call(ctx, o.name, nil)
	return ctx, func(err error) {
		result := resultOf(err)
		o.seconds.Observe(time.Since(began).Seconds())
		o.results[result].Inc()
		span.Text("result", result)
		if result == resultNone || result == resultConflict {
			err = nil
		}
		span.End(err)
	}
}

// Blobs returns the store, measured.
func (m *Metrics) Blobs(s blobs.Store) blobs.Store {
	of := func(name string) operation { return m.store.operation(partBlobs, name) }
	return measuredBlobs{s, m.store.written, of("put"), of("open"), of("stat"), of("list")}
}

type measuredBlobs struct {
	store                 blobs.Store
	written               prometheus.Counter
	put, open, stat, list operation
}

// Put implements blobs.Store.
func (b measuredBlobs) Put(ctx context.Context, name string, parts ...[]byte) error {
	ctx, done := b.put.begin(ctx)
	err := b.store.Put(ctx, name, parts...)
	done(err)
	if err == nil {
		n := 0
		for _, p := range parts {
			n += len(p)
		}
		b.written.Add(float64(n))
	}
	return err
}

// Open implements blobs.Store. The reader is the store's own, which may be a file.
func (b measuredBlobs) Open(ctx context.Context, name string, off, n int64) (io.ReadCloser, error) {
	// Not the context of the span: what is read is read after it has ended.
	_, done := b.open.begin(ctx)
	r, err := b.store.Open(ctx, name, off, n)
	done(err)
	return r, err
}

// Stat implements blobs.Store.
func (b measuredBlobs) Stat(ctx context.Context, name string) (blobs.Info, error) {
	ctx, done := b.stat.begin(ctx)
	info, err := b.store.Stat(ctx, name)
	done(err)
	return info, err
}

// List implements blobs.Store.
func (b measuredBlobs) List(ctx context.Context, prefix, after string) iter.Seq2[blobs.Info, error] {
	return func(yield func(blobs.Info, error) bool) {
		_, done := b.list.begin(ctx)
		first := true
		for info, err := range b.store.List(ctx, prefix, after) {
			if first {
				done(err)
			}
			first = false
			if !yield(info, err) {
				return
			}
		}
		if first {
			done(nil)
		}
	}
}

// Sweeper returns what deletes blobs, measured.
func (m *Metrics) Sweeper(s blobs.Sweeper) blobs.Sweeper {
	return measuredSweeper{s, m.store.operation(partBlobs, "delete")}
}

type measuredSweeper struct {
	sweeper blobs.Sweeper
	delete  operation
}

// Delete implements blobs.Sweeper.
func (s measuredSweeper) Delete(ctx context.Context, names []string) error {
	ctx, done := s.delete.begin(ctx)
	err := s.sweeper.Delete(ctx, names)
	done(err)
	return err
}

// Registers returns the engine, measured.
func (m *Metrics) Registers(e registers.Engine) registers.Engine {
	of := func(name string) operation { return m.store.operation(partRegisters, name) }
	return measuredRegisters{e, of("get"), of("swap"), of("list")}
}

type measuredRegisters struct {
	engine          registers.Engine
	get, swap, list operation
}

// Get implements registers.Engine.
func (r measuredRegisters) Get(ctx context.Context, key string) ([]byte, registers.Version, error) {
	ctx, done := r.get.begin(ctx)
	val, version, err := r.engine.Get(ctx, key)
	done(err)
	return val, version, err
}

// CAS implements registers.Engine.
func (r measuredRegisters) CAS(ctx context.Context, key string, want registers.Version, val []byte) (registers.Version, error) {
	ctx, done := r.swap.begin(ctx)
	version, err := r.engine.CAS(ctx, key, want, val)
	done(err)
	return version, err
}

// List implements registers.Engine.
func (r measuredRegisters) List(ctx context.Context, prefix, after string, n int) ([]registers.Entry, error) {
	ctx, done := r.list.begin(ctx)
	entries, err := r.engine.List(ctx, prefix, after, n)
	done(err)
	return entries, err
}
