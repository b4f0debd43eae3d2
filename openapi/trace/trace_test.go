package trace_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/openapi/trace"
)

// notes is a recorder that writes down what it is told.
type notes struct{ lines []string }

type parentKey struct{}

func (n *notes) Start(ctx context.Context, name string, _ trace.Kind) (context.Context, trace.Recorded) {
	parent, _ := ctx.Value(parentKey{}).(string)
	n.lines = append(n.lines, parent+">"+name)
	return context.WithValue(ctx, parentKey{}, name), note{n, name}
}

func (*notes) Inject(ctx context.Context, h http.Header) {
	h.Set("Parent", ctx.Value(parentKey{}).(string))
}

func (*notes) Extract(ctx context.Context, h http.Header) context.Context {
	return context.WithValue(ctx, parentKey{}, h.Get("Parent"))
}

func (*notes) Under(ctx, parent context.Context) context.Context {
	return context.WithValue(ctx, parentKey{}, parent.Value(parentKey{}))
}

func (*notes) ID(ctx context.Context) string {
	id, _ := ctx.Value(parentKey{}).(string)
	return id
}

type note struct {
	notes *notes
	name  string
}

func (s note) Rename(name string)     { s.notes.lines = append(s.notes.lines, s.name+" is "+name) }
func (s note) Text(key, value string) { s.notes.lines = append(s.notes.lines, key+"="+value) }
func (s note) Number(key string, _ int64) {
	s.notes.lines = append(s.notes.lines, key)
}

func (s note) End(err error) {
	if err != nil {
		s.notes.lines = append(s.notes.lines, err.Error())
	}
}

// TestNobodyRecords: what nobody records costs nothing and can be used all the same.
func TestNobodyRecords(t *testing.T) {
	ctx, header := t.Context(), http.Header{}
	if n := testing.AllocsPerRun(100, func() {
		same, span := trace.Call(ctx, "name", header)
		span.Number("bytes", 1)
		span.Text("key", "value")
		span.Rename("other")
		span.End(nil)
		if same != ctx || trace.ID(same) != "" {
			t.Error("another context")
		}
	}); n != 0 {
		t.Errorf("%v allocations of a span that nobody records", n)
	}
	if len(header) != 0 || trace.On() {
		t.Errorf("header %v", header)
	}
}

// TestRecords follows a request from one part to another.
func TestRecords(t *testing.T) {
	n := &notes{}
	trace.Record(n)
	defer trace.Record(nil)
	ctx, pull := trace.Start(t.Context(), "pull")
	header := http.Header{}
	_, call := trace.Call(ctx, "GET", header)
	_, serve := trace.Serve(t.Context(), "answer", header)
	serve.Rename("GET /chunks")
	serve.Number("bytes", 7)
	serve.Text("code", "busy")
	serve.End(errors.New("it failed"))
	call.End(nil)
	_, behind := trace.Start(trace.Under(t.Context(), ctx), "behind")
	behind.End(nil)
	pull.End(nil)
	want := ">pull, pull>GET, GET>answer, answer is GET /chunks, bytes, code=busy, it failed, pull>behind"
	if got := strings.Join(n.lines, ", "); got != want {
		t.Errorf("recorded %s\nwant     %s", got, want)
	}
}

func TestRequestID(t *testing.T) {
	for _, id := range []string{"a", "0af7651916cd43dd8448eb211c80319c", "A.b-c_9", strings.Repeat("x", 64)} {
		if trace.NameRequest(id) != id {
			t.Errorf("%q was not taken", id)
		}
	}
	seen := map[string]bool{}
	for _, id := range []string{"", strings.Repeat("x", 65), "a b", "a\nb", "a\x00", "ä", "<script>", `a"b`, "a/b", "\xff"} {
		got := trace.NameRequest(id)
		if got == id || !trace.ValidRequest(got) || seen[got] {
			t.Errorf("%q became %q", id, got)
		}
		seen[got] = true
	}
}

// TestLogged: every line of a request says of which.
func TestLogged(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(trace.Logged(slog.NewTextHandler(&out, nil))).With("part", "registry")
	log.InfoContext(trace.WithRequest(t.Context(), "abc"), "of it")
	log.InfoContext(t.Context(), "of none")
	lines := strings.Split(out.String(), "\n")
	if !strings.Contains(lines[0], "part=registry request=abc") || strings.Contains(lines[1], "request=") {
		t.Errorf("logged %s", out.String())
	}
}

func FuzzRequestID(f *testing.F) {
	f.Add("abc")
	f.Add("a\r\nSet-Cookie: b")
	f.Fuzz(func(t *testing.T, given string) {
		id := trace.NameRequest(given)
		if !trace.ValidRequest(id) || len(id) > 64 || strings.ContainsAny(id, "\r\n\" <>&'\x00") {
			t.Errorf("%q became %q", given, id)
		}
	})
}
