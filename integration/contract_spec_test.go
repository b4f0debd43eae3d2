package integration_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"

	"github.com/ingot-ml/ingot/openapi"
)

// contract is a transport that holds every request and its answer to
// registry.yaml, and remembers which operations it has seen.
type contract struct {
	t      *testing.T
	doc    *openapi3.T
	router routers.Router

	mu   sync.Mutex          // protects seen
	seen map[string][]string // the statuses, and the codes, that operations answered
}

func newContract(t *testing.T) *contract {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(openapi.Spec)
	if err != nil {
		t.Fatal(err)
	}
	dropNots(doc)
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	for _, media := range []string{openapi.MediaManifest, openapi.MediaChunk, openapi.MediaChunks, openapi.MediaDigests, openapi.MediaBitmap, openapi.MediaSignature} {
		openapi3filter.RegisterBodyDecoder(media, openapi3filter.FileBodyDecoder)
	}
	openapi3filter.RegisterBodyDecoder("application/yaml", openapi3filter.PlainBodyDecoder)
	openapi3filter.RegisterBodyDecoder("text/html", openapi3filter.PlainBodyDecoder)
	openapi3filter.RegisterBodyDecoder(mediaEvents, openapi3filter.PlainBodyDecoder)
	openapi3filter.RegisterBodyDecoder(openapi.MediaLines, openapi3filter.JSONBodyDecoder) // of a line
	return &contract{t: t, doc: doc, router: router, seen: map[string][]string{}}
}

// dropNots takes what values may not be out of the parameters: the library cannot
// decode those that have it. TestSpecAgainstServer judges with it.
func dropNots(doc *openapi3.T) {
	drop := func(list openapi3.Parameters) {
		for _, p := range list {
			s := p.Value.Schema.Value
			if s.Not = nil; s.Items != nil {
				s.Items.Value.Not = nil
			}
		}
	}
	for _, item := range doc.Paths.Map() {
		drop(item.Parameters)
		for _, op := range item.Operations() {
			drop(op.Parameters)
		}
	}
}

// provoked marks the context of a request that is wrong on purpose.
type provoked struct{}

// RoundTrip implements http.RoundTripper.
func (c *contract) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := readClose(req.Body)
	if err != nil {
		return nil, err
	}
	sent := req.Clone(req.Context())
	if req.Body != nil {
		sent.Body = io.NopCloser(bytes.NewReader(body))
	}
	resp, err := http.DefaultTransport.RoundTrip(sent)
	if err != nil {
		return nil, err
	}
	if resp.Header.Get("Content-Type") == mediaEvents {
		c.check(req, body, resp, nil) // it does not end
		return resp, nil
	}
	answer, err := readClose(resp.Body)
	if err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(answer))
	c.check(req, body, resp, answer)
	return resp, nil
}

const mediaEvents = "text/event-stream"

func readClose(r io.ReadCloser) ([]byte, error) {
	if r == nil {
		return nil, nil
	}
	b, err := io.ReadAll(r)
	return b, errors.Join(err, r.Close())
}

func (c *contract) check(req *http.Request, body []byte, resp *http.Response, answer []byte) {
	where := req.Method + " " + req.URL.RequestURI()
	if resp.Header.Get("X-Content-Type-Options") != "nosniff" || resp.Header.Get("Server") != "" {
		c.t.Errorf("%s: header %v", where, resp.Header)
	}
	route, params, err := c.router.FindRoute(req)
	if err != nil {
		c.checkUnrouted(where, resp.StatusCode, answer)
		return
	}
	c.note(route.Operation.OperationID, strconv.Itoa(resp.StatusCode))
	in := &openapi3filter.RequestValidationInput{Request: req.Clone(context.Background()), PathParams: params, Route: route}
	in.Request.Body = io.NopCloser(bytes.NewReader(body))
	if req.Context().Value(provoked{}) == nil {
		if err := openapi3filter.ValidateRequest(context.Background(), in); err != nil {
			c.t.Errorf("%s: the request is not in the specification: %v", where, err)
		}
	}
	documents := [][]byte{answer}
	if resp.Header.Get("Content-Type") == openapi.MediaLines {
		documents = bytes.SplitAfter(bytes.TrimSpace(answer), []byte("\n"))
	}
	for _, document := range documents {
		out := &openapi3filter.ResponseValidationInput{
			RequestValidationInput: in, Status: resp.StatusCode, Header: resp.Header,
			Body:    io.NopCloser(bytes.NewReader(document)),
			Options: &openapi3filter.Options{IncludeResponseStatus: true},
		}
		if err := openapi3filter.ValidateResponse(context.Background(), out); err != nil {
			c.t.Errorf("%s: the answer %d is not in the specification: %v", where, resp.StatusCode, err)
		}
	}
	if resp.StatusCode >= http.StatusBadRequest {
		c.checkCode(where, route.Operation, resp.StatusCode, answer)
	}
}

// checkCode holds a failure to the codes that its operation names.
func (c *contract) checkCode(where string, op *openapi3.Operation, status int, answer []byte) {
	code := c.code(where, status, answer)
	c.note(op.OperationID, string(code))
	r := op.Responses.Status(status)
	if r == nil {
		return // told already
	}
	if names, _ := r.Value.Extensions["x-codes"].([]any); !slices.Contains(names, any(string(code))) {
		c.t.Errorf("%s: code %s, the specification has %v", where, code, names)
	}
}

// checkUnrouted holds what the specification has no operation for to its text.
func (c *contract) checkUnrouted(where string, status int, answer []byte) {
	if code := c.code(where, status, answer); code != openapi.CodeNotFound && code != openapi.CodeNotAllowed {
		c.t.Errorf("%s is not in the specification and has the code %s", where, code)
	}
}

// code returns the code of a failure, which must have that status.
func (c *contract) code(where string, status int, answer []byte) openapi.Code {
	var doc openapi.ErrorBody
	if err := json.Unmarshal(answer, &doc); err != nil || doc.Error == nil {
		c.t.Errorf("%s: %d with %.200q, which is no error document: %v", where, status, answer, err)
		return ""
	}
	if doc.Error.Message == "" || doc.Error.Code.Status() != status {
		c.t.Errorf("%s: status %d with %+v", where, status, *doc.Error)
	}
	return doc.Error.Code
}

func (c *contract) note(operation, answer string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !slices.Contains(c.seen[operation], answer) {
		c.seen[operation] = append(c.seen[operation], answer)
	}
}

// checkSeen fails for every answer and every code of every operation that a caller
// can bring about and that was not seen.
func (c *contract) checkSeen() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for path, item := range c.doc.Paths.Map() {
		for method, op := range item.Operations() {
			for status, r := range op.Responses.Map() {
				if rare(op, statusOf(status)) {
					continue
				}
				names, _ := r.Value.Extensions["x-codes"].([]any)
				for _, want := range append(names, status) {
					if want == string(openapi.CodeForbidden) || want == string(openapi.CodeUnauthorized) || want == "401" {
						continue // who is refused what, integration/access tries
					}
					if !slices.Contains(c.seen[op.OperationID], want.(string)) {
						c.t.Errorf("%s (%s %s): no answer %s was seen", op.OperationID, method, path, want)
					}
				}
			}
		}
	}
}

func statusOf(s string) int {
	var n int
	_ = json.Unmarshal([]byte(s), &n) // the tests of package openapi hold it to a number
	return n
}

// rare tells the answers that need a race, a fault, a registry in trouble, one that
// keeps its chunks elsewhere, or one that controls access: only then a push cannot be
// started, a rule set, or a verification is refused. What net/http answers by itself is no
// document of the API. The tests of package httpapi bring about the rest, with a
// service that fails in each way.
func rare(op *openapi3.Operation, status int) bool {
	guarded := map[string]int{"beginSession": http.StatusUnauthorized, "endSession": http.StatusBadRequest, "startPush": http.StatusNotFound, "setRetention": http.StatusNotFound, "getQuota": http.StatusNotFound, "setQuota": http.StatusNotFound, "verifyStore": http.StatusForbidden, "listUpstreams": http.StatusForbidden}
	return guarded[op.OperationID] == status || slices.Contains([]int{
		http.StatusTemporaryRedirect, http.StatusConflict, http.StatusTooManyRequests, http.StatusInternalServerError,
		http.StatusServiceUnavailable, http.StatusInsufficientStorage, http.StatusRequestHeaderFieldsTooLarge,
	}, status)
}
