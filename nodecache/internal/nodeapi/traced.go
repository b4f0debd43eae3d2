package nodeapi

import (
	"net/http"

	"github.com/ingot-ml/ingot/openapi/trace"
)

// traced gives a request its name and its span, which done ends.
func (a *API) traced(w http.ResponseWriter, r *http.Request) (named *http.Request, done func()) {
	id := trace.NameRequest(r.Header.Get(trace.RequestHeader))
	w.Header().Set(trace.RequestHeader, id)
	ctx, span := trace.Serve(trace.WithRequest(r.Context(), id), "agent", r.Header)
	if _, ours := a.routes[r.URL.Path]; ours {
		span.Rename(r.Method + " " + r.URL.Path)
	}
	span.Text("http.request.method", r.Method)
	span.Text("ingot.request", id)
	return r.WithContext(ctx), func() { span.End(nil) }
}
