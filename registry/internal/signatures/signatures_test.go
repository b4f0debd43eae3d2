package signatures_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/record"
	"github.com/ingot-ml/ingot/registry/internal/registers"
	"github.com/ingot-ml/ingot/registry/internal/signatures"
	"github.com/ingot-ml/ingot/registry/name"
	"github.com/ingot-ml/ingot/registry/signature"
)

var (
	repo = name.Repo{Namespace: "acme", Name: "llama"}
	doc  = []byte("a manifest")
	d    = chunker.Sum(doc)

	reader = access.Principal{Subject: "reader"}
	pusher = access.Principal{Subject: "pusher"}
	admin  = access.Principal{Subject: "admin"}
	nobody = access.Principal{Subject: "nobody"}
)

// byName allows what the subjects above are called for.
type byName struct{}

func (byName) Allow(p access.Principal, _ name.Repo, a access.Action) error {
	may := map[string]string{"reader": "read", "pusher": "read push", "admin": "read push delete"}
	if strings.Contains(may[p.Subject], string(a)) {
		return nil
	}
	return access.ErrDenied
}

type world struct {
	*signatures.Service
	t    *testing.T
	book record.Book
	key  *signature.PrivateKey
}

func newWorld(t *testing.T) *world {
	t.Helper()
	engine := registers.NewMemory()
	key, err := signature.Generate()
	if err != nil {
		t.Fatal(err)
	}
	w := &world{
		t: t, key: key, book: record.Book{Registers: engine, Rand: rand.Reader},
		Service: signatures.New(signatures.Config{Registers: engine, Policy: byName{}, Now: time.Now}),
	}
	w.head(record.Committed, "push1")
	return w
}

// head makes the version what a push, or its retirement, makes it.
func (w *world) head(state, push string) {
	w.t.Helper()
	var h record.Head
	v, err := w.book.Load(w.t.Context(), record.HeadKey(repo, d), &h)
	if err != nil {
		w.t.Fatal(err)
	}
	h.State, h.Push, h.Body = state, push, "b/"+push
	if _, err := w.book.Swap(w.t.Context(), record.HeadKey(repo, d), v, &h); err != nil {
		w.t.Fatal(err)
	}
}

// sign returns the n-th signature of a document.
func (w *world) sign(doc []byte, n int) []byte {
	w.t.Helper()
	b, err := signature.Sign(w.key, doc, signature.Claim{Repo: fmt.Sprintf("acme/n%d", n)})
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}

func (w *world) put(p access.Principal, b []byte) (openapi.Signature, error) {
	return w.Put(w.t.Context(), p, repo, d, signature.ID(b), b)
}

func (w *world) list() []openapi.Signature {
	w.t.Helper()
	list, err := w.List(w.t.Context(), reader, repo, d)
	if err != nil {
		w.t.Fatal(err)
	}
	return list.Signatures
}

func code(err error) openapi.Code {
	if e, ok := errors.AsType[*openapi.Error](err); ok {
		return e.Code
	}
	if err != nil {
		return openapi.Code(err.Error())
	}
	return ""
}

func TestLife(t *testing.T) {
	w := newWorld(t)
	b := w.sign(doc, 1)
	for range 2 { // the second changes nothing
		one, err := w.put(pusher, b)
		if err != nil || one.ID != signature.ID(b) || one.Key != w.key.Public().Hint() || one.By != "pusher" {
			t.Fatalf("%+v, %v", one, err)
		}
	}
	if list := w.list(); len(list) != 1 || string(list[0].Bundle) != string(b) {
		t.Fatalf("%+v", list)
	}
	got, err := w.Signature(t.Context(), reader, repo, d, signature.ID(b))
	if err != nil || string(got) != string(b) {
		t.Errorf("%s, %v", got, err)
	}
	if err := w.Delete(t.Context(), admin, repo, d, signature.ID(b)); err != nil {
		t.Fatal(err)
	}
	if list := w.list(); len(list) != 0 {
		t.Errorf("after it was deleted: %+v", list)
	}
	for _, err := range []error{
		w.Delete(t.Context(), admin, repo, d, signature.ID(b)),
		second(w.Signature(t.Context(), reader, repo, d, signature.ID(b))),
	} {
		if code(err) != openapi.CodeNotFound {
			t.Errorf("of what is gone: %v", err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// TestGoesWithTheVersion retires a version and pushes it again.
func TestGoesWithTheVersion(t *testing.T) {
	w := newWorld(t)
	b := w.sign(doc, 1)
	if _, err := w.put(pusher, b); err != nil {
		t.Fatal(err)
	}
	w.head(record.Dead, "push1")
	if err := second(w.List(t.Context(), reader, repo, d)); code(err) != openapi.CodeNotFound {
		t.Errorf("of a version that is retired: %v", err)
	}
	if err := second(w.put(pusher, b)); code(err) != openapi.CodeNotFound {
		t.Errorf("put to a version that is retired: %v", err)
	}
	w.head(record.Committed, "push2")
	if list := w.list(); len(list) != 0 {
		t.Errorf("a version that was pushed again has %+v", list)
	}
	if _, err := w.put(pusher, b); err != nil || len(w.list()) != 1 {
		t.Errorf("signed again: %v", err)
	}
}

func TestRefused(t *testing.T) {
	w := newWorld(t)
	good, other := w.sign(doc, 1), w.sign([]byte("another"), 1)
	long := append([]byte(`{"x":"`+strings.Repeat("x", openapi.MaxSignature)), `"}`...)
	tests := []struct {
		what string
		err  error
		want openapi.Code
	}{
		{"a version that is not there", second(w.Put(t.Context(), pusher, repo, chunker.Sum([]byte("x")), signature.ID(good), good)), openapi.CodeNotFound},
		{"another name", second(w.Put(t.Context(), pusher, repo, d, signature.ID(other), good)), openapi.CodeBadRequest},
		{"a signature of another version", second(w.put(pusher, other)), openapi.CodeBadRequest},
		{"no signature", second(w.put(pusher, []byte("{}"))), openapi.CodeBadRequest},
		{"too long", second(w.put(pusher, long)), openapi.CodeTooLarge},
		{"put by a reader", second(w.put(reader, good)), openapi.CodeForbidden},
		{"put by nobody", second(w.put(nobody, good)), openapi.CodeNotFound},
		{"deleted by who may push", w.Delete(t.Context(), pusher, repo, d, signature.ID(good)), openapi.CodeForbidden},
		{"deleted by nobody", w.Delete(t.Context(), nobody, repo, d, signature.ID(good)), openapi.CodeNotFound},
		{"listed by nobody", second(w.List(t.Context(), nobody, repo, d)), openapi.CodeNotFound},
		{"read by nobody", second(w.Signature(t.Context(), nobody, repo, d, signature.ID(good))), openapi.CodeNotFound},
	}
	for _, tt := range tests {
		if code(tt.err) != tt.want {
			t.Errorf("%s: %v, want %s", tt.what, tt.err, tt.want)
		}
	}
	if list := w.list(); len(list) != 0 {
		t.Errorf("what was refused is there: %+v", list)
	}
}

// TestBounded has many sign at once: as many as there is room for are kept, whole.
func TestBounded(t *testing.T) {
	w := newWorld(t)
	const many = openapi.MaxSignatures + 4
	var mu sync.Mutex
	kept, full := 0, 0
	var group sync.WaitGroup
	for n := range many {
		b := w.sign(doc, n)
		group.Go(func() {
			err := errors.New("none")
			for err != nil && (code(err) != openapi.CodeConflict || !strings.Contains(err.Error(), "already")) {
				if _, err = w.Put(context.WithoutCancel(t.Context()), pusher, repo, d, signature.ID(b), b); err == nil {
					break
				}
			}
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				kept++
			} else {
				full++
			}
		})
	}
	group.Wait()
	if kept != openapi.MaxSignatures || full != many-openapi.MaxSignatures || len(w.list()) != kept {
		t.Errorf("%d are kept, %d refused and %d listed", kept, full, len(w.list()))
	}
	first := w.list()[0].ID
	if err := w.Delete(t.Context(), admin, repo, d, first); err != nil {
		t.Fatal(err)
	}
	if _, err := w.put(pusher, w.sign(doc, many)); err != nil {
		t.Errorf("into the room of one that is gone: %v", err)
	}
}
