package otlp

import (
	"strconv"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	sdk "go.opentelemetry.io/otel/sdk/trace"
)

// The documents of the protocol, as far as the spans here fill them. Ids are hex, and
// integers of 64 bits are texts, as the protocol has them in JSON.
type (
	document struct {
		ResourceSpans []resourceSpans `json:"resourceSpans"`
	}
	resourceSpans struct {
		Resource   resourceOf   `json:"resource"`
		ScopeSpans []scopeSpans `json:"scopeSpans"`
	}
	resourceOf struct {
		Attributes []keyValue `json:"attributes"`
	}
	scopeSpans struct {
		Scope scope      `json:"scope"`
		Spans []spanData `json:"spans"`
	}
	scope struct {
		Name    string `json:"name"`
		Version string `json:"version,omitempty"`
	}
	spanData struct {
		TraceID    string     `json:"traceId"`
		SpanID     string     `json:"spanId"`
		TraceState string     `json:"traceState,omitempty"`
		ParentID   string     `json:"parentSpanId,omitempty"`
		Flags      uint32     `json:"flags,omitempty"`
		Name       string     `json:"name"`
		Kind       int        `json:"kind"` // the library's numbers are the protocol's
		Start      string     `json:"startTimeUnixNano"`
		End        string     `json:"endTimeUnixNano"`
		Attributes []keyValue `json:"attributes,omitempty"`
		Status     status     `json:"status"`
	}
	status struct {
		Code    int    `json:"code,omitempty"`
		Message string `json:"message,omitempty"`
	}
	keyValue struct {
		Key   string   `json:"key"`
		Value anyValue `json:"value"`
	}
	anyValue struct {
		Text   *string `json:"stringValue,omitempty"`
		Number string  `json:"intValue,omitempty"`
		Yes    *bool   `json:"boolValue,omitempty"`
	}
)

// statusError is the protocol's number of a span that failed.
const statusError = 2

// documentOf returns the document of spans, which are all of this process.
func documentOf(spans []sdk.ReadOnlySpan) document {
	byScope := map[instrumentation.Scope]int{}
	var scopes []scopeSpans
	for _, s := range spans {
		of := s.InstrumentationScope()
		i, ok := byScope[of]
		if !ok {
			i = len(scopes)
			byScope[of] = i
			scopes = append(scopes, scopeSpans{Scope: scope{of.Name, of.Version}})
		}
		scopes[i].Spans = append(scopes[i].Spans, dataOf(s))
	}
	about := resourceOf{attributesOf(spans[0].Resource().Attributes())}
	return document{[]resourceSpans{{about, scopes}}}
}

func dataOf(s sdk.ReadOnlySpan) spanData {
	c := s.SpanContext()
	d := spanData{
		TraceID: c.TraceID().String(), SpanID: c.SpanID().String(), TraceState: c.TraceState().String(), Flags: uint32(c.TraceFlags()),
		Name: s.Name(), Kind: int(s.SpanKind()), Start: nanoseconds(s.StartTime()), End: nanoseconds(s.EndTime()),
		Attributes: attributesOf(s.Attributes()),
	}
	if p := s.Parent(); p.HasSpanID() {
		d.ParentID = p.SpanID().String()
	}
	if st := s.Status(); st.Code == codes.Error {
		d.Status = status{statusError, st.Description}
	}
	return d
}

func nanoseconds(t time.Time) string { return strconv.FormatInt(t.UnixNano(), 10) }

func attributesOf(attributes []attribute.KeyValue) (list []keyValue) {
	for _, a := range attributes {
		list = append(list, keyValue{string(a.Key), valueOf(a.Value)})
	}
	return list
}

func valueOf(v attribute.Value) anyValue {
	switch v.Type() {
	case attribute.INT64:
		return anyValue{Number: strconv.FormatInt(v.AsInt64(), 10)}
	case attribute.BOOL:
		yes := v.AsBool()
		return anyValue{Yes: &yes}
	}
	text := v.String()
	return anyValue{Text: &text}
}
