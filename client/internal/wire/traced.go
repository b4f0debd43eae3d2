package wire

import (
	"context"
	"net/http"

	"github.com/ingot-ml/ingot/openapi/trace"
)

// traced begins the span of a request, and has the registry go on with it.
func traced(ctx context.Context, req *http.Request) *trace.Span {
	_, span := trace.Call(ctx, req.Method+" registry", req.Header)
	span.Text("http.request.method", req.Method)
	span.Text("url.path", req.URL.Path)
	span.Text("server.address", req.URL.Host)
	return span
}
