// Package otlp owns the sending of spans to a collector, by the protocol of
// OpenTelemetry over HTTP, in JSON. It alone knows OpenTelemetry.
//
// Laws:
//   - The variables OTEL_* say everything, as their specification has it, but that
//     nothing is sent unless one of them names a collector.
//   - What cannot be sent is dropped, and the work that it is of goes on. The spans that
//     wait take bounded memory.
//   - Only what the trace context of the W3C says is taken from outside and given away,
//     never baggage.
package otlp

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	otrace "go.opentelemetry.io/otel/trace"

	"github.com/ingot-ml/ingot/openapi/trace"
)

// Environment looks a variable up; empty is one that is not set.
type Environment func(name string) string

// Wanted tells whether the environment asks for spans, or why it cannot have them.
func Wanted(env Environment) (bool, error) {
	if env("OTEL_SDK_DISABLED") == "true" {
		return false, nil
	}
	named := env("OTEL_EXPORTER_OTLP_ENDPOINT") != "" || env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") != ""
	switch exporter := env("OTEL_TRACES_EXPORTER"); exporter {
	case "none":
		return false, nil
	case "otlp":
		named = true
	case "":
	default:
		return false, fmt.Errorf("OTEL_TRACES_EXPORTER=%.80q: want otlp or none", exporter)
	}
	// Whoever takes the one takes the other too.
	protocol := first(env, "PROTOCOL")
	if named && protocol != "" && protocol != "http/protobuf" && protocol != "http/json" {
		return false, fmt.Errorf("OTEL_EXPORTER_OTLP_PROTOCOL=%.80q: want http/json, which collectors take on port 4318", protocol)
	}
	return named, nil
}

// Begin sends the spans of this process, which is called service unless the
// environment says otherwise, until end is called, which sends those that wait. How
// many are taken and wait, the library reads from the environment of the process.
func Begin(ctx context.Context, env Environment, service, version string, log *slog.Logger) (end func(context.Context) error, err error) {
	exporter, err := newExporter(env)
	if err != nil {
		return nil, err
	}
	about, err := resource.New(ctx,
		resource.WithAttributes(attribute.String("service.name", service), attribute.String("service.version", version)),
		resource.WithHost(), resource.WithFromEnv(), // the last decides
	)
	if err != nil {
		return nil, fmt.Errorf("send traces: OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc((&complaints{log: log}).handle))
	provider := sdk.NewTracerProvider(sdk.WithBatcher(exporter), sdk.WithResource(about))
	trace.Record(recorder{provider.Tracer("github.com/ingot-ml/ingot", otrace.WithInstrumentationVersion(version))})
	return func(ctx context.Context) error {
		trace.Record(nil)
		return provider.Shutdown(ctx)
	}, nil
}

// recorder implements trace.Recorder.
type recorder struct{ tracer otrace.Tracer }

var propagator = propagation.TraceContext{}

var kinds = map[trace.Kind]otrace.SpanKind{
	trace.Inside: otrace.SpanKindInternal, trace.Served: otrace.SpanKindServer, trace.Called: otrace.SpanKindClient,
}

// Start implements trace.Recorder.
func (r recorder) Start(ctx context.Context, name string, kind trace.Kind) (context.Context, trace.Recorded) {
	ctx, s := r.tracer.Start(ctx, name, otrace.WithSpanKind(kinds[kind]))
	return ctx, span{s}
}

// Inject implements trace.Recorder.
func (recorder) Inject(ctx context.Context, h http.Header) {
	propagator.Inject(ctx, propagation.HeaderCarrier(h))
}

// Extract implements trace.Recorder.
func (recorder) Extract(ctx context.Context, h http.Header) context.Context {
	return propagator.Extract(ctx, propagation.HeaderCarrier(h))
}

// Under implements trace.Recorder.
func (recorder) Under(ctx, parent context.Context) context.Context {
	return otrace.ContextWithSpan(ctx, otrace.SpanFromContext(parent))
}

// ID implements trace.Recorder.
func (recorder) ID(ctx context.Context) string {
	c := otrace.SpanContextFromContext(ctx)
	if !c.HasTraceID() {
		return ""
	}
	return c.TraceID().String()
}

// span implements trace.Recorded.
type span struct{ span otrace.Span }

// Rename implements trace.Recorded.
func (s span) Rename(name string) { s.span.SetName(name) }

// Text implements trace.Recorded.
func (s span) Text(key, value string) { s.span.SetAttributes(attribute.String(key, value)) }

// Number implements trace.Recorded.
func (s span) Number(key string, value int64) { s.span.SetAttributes(attribute.Int64(key, value)) }

// End implements trace.Recorded.
func (s span) End(err error) {
	if err != nil {
		s.span.SetStatus(codes.Error, fmt.Sprintf("%.300v", err))
	}
	s.span.End()
}

// complainEvery is how often it is said that spans cannot be sent.
const complainEvery = time.Minute

// complaints tells of failures now and then.
type complaints struct {
	log *slog.Logger

	mu   sync.Mutex // protects last
	last time.Time
}

func (c *complaints) handle(err error) {
	c.mu.Lock()
	now := time.Now()
	due := now.Sub(c.last) >= complainEvery
	if due {
		c.last = now
	}
	c.mu.Unlock()
	if due {
		c.log.Warn("traces are lost; is the collector of OTEL_EXPORTER_OTLP_ENDPOINT running?", "error", err)
	}
}
