package s3_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/registry/internal/blobs"
	"github.com/ingot-ml/ingot/registry/internal/registers"
	"github.com/ingot-ml/ingot/registry/internal/s3"
)

// TestRegisterObject holds what is stored to docs/formats/registry.md.
func TestRegisterObject(t *testing.T) {
	store := stores.MinIO(t)
	nonces := strings.NewReader("0123456789abcdef")
	space := dial(t, store, s3.Options{Rand: nonces})
	version, err := space.Registers().CAS(t.Context(), "t/ns/model/latest", registers.Absent, []byte(`{"v":1}`))
	if err != nil {
		t.Fatal(err)
	}
	at := space.Location().Bucket + "/some/prefix/meta/t/ns/model/latest"
	const want = "ingot1 30313233343536373839616263646566\n{\"v\":1}"
	if got := store.Want(t, http.StatusOK, http.MethodGet, at, "", nil); string(got) != want {
		t.Errorf("the object is %q, want %q", got, want)
	}
	if version != "45d9545c7ea57ee58226b8612c170da1" {
		t.Errorf("version is %q, want the object's ETag", version)
	}
	_, err = space.Registers().CAS(t.Context(), "t/ns/model/latest", version, nil)
	if !errors.Is(err, io.EOF) {
		t.Errorf("without a nonce: %v", err)
	}
}

// TestForeignRegister reads objects that nobody wrote as registers.
func TestForeignRegister(t *testing.T) {
	store := stores.MinIO(t)
	space := dial(t, store, s3.Options{})
	for name, body := range map[string]string{
		"empty": "", "text": "hello", "short": "ingot1 30\nv", "other": "ingot2 30313233343536373839616263646566\nv",
		"long": "ingot1 30313233343536373839616263646566\n" + strings.Repeat("v", registers.MaxValue+1),
	} {
		store.Want(t, http.StatusOK, http.MethodPut, space.Location().Bucket+"/some/prefix/meta/"+name, "", []byte(body))
		if val, _, err := space.Registers().Get(t.Context(), name); !errors.Is(err, s3.ErrAnswer) {
			t.Errorf("%s is read as %q, %v", name, val, err)
		}
	}
	store.Want(t, http.StatusOK, http.MethodPut, space.Location().Bucket+"/some/prefix/meta/not a key", "", nil)
	entries, err := space.Registers().List(t.Context(), "", "", 10)
	if err != nil || len(entries) != 5 || slices.ContainsFunc(entries, func(e registers.Entry) bool { return e.Key == "not a key" }) {
		t.Errorf("the list is %v, %v", entries, err)
	}
}

// TestUnknown loses answers in every way there is. Each write is sent once, and what
// became of it is found out by Settle.
func TestUnknown(t *testing.T) {
	tests := []struct {
		name  string
		fault fault
		wrote bool
	}{
		{"answer lost", lost, true},
		{"reset", reset, false},
		{"503", status(http.StatusServiceUnavailable, "SlowDown"), false},
		{"500", status(http.StatusInternalServerError, "InternalError"), false},
		{"409", status(http.StatusConflict, "ConditionalRequestConflict"), false},
		{"507", status(http.StatusInsufficientStorage, "XMinioStorageFull"), false},
		{"proxy's error", page(http.StatusBadGateway, "<html>bad gateway</html>"), false},
		{"proxy's 404", page(http.StatusNotFound, "<html>not found</html>"), false},
		{"no ETag", page(http.StatusOK, ""), false},
	}
	space, w := wired(t)
	e := space.Registers()
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			key := fmt.Sprintf("k/%d", i)
			want, err := e.CAS(t.Context(), key, registers.Absent, []byte("old"))
			if err != nil {
				t.Fatal(err)
			}
			w.fail(method(http.MethodPut), tt.fault)
			if _, err := e.CAS(t.Context(), key, want, []byte("mine")); !errors.Is(err, registers.ErrUnknown) || errors.Is(err, registers.ErrConflict) {
				t.Errorf("error is %v, want ErrUnknown", err)
			}
			if n := w.count(method(http.MethodPut)); n != 1 || w.left() != 0 {
				t.Errorf("%d PUTs were sent, %d faults are left", n, w.left())
			}
			val, version, err := e.Get(t.Context(), key)
			if err != nil || (string(val) == "mine") != tt.wrote || (version != want) != tt.wrote {
				t.Errorf("register is %q, %v; written %v is wanted", val, err, tt.wrote)
			}
			w.fail(method(http.MethodPut), tt.fault)
			if _, err := registers.Settle(t.Context(), e, key, version, []byte("settled")); err != nil {
				t.Errorf("settle: %v", err)
			}
			if val, _, err := e.Get(t.Context(), key); err != nil || string(val) != "settled" {
				t.Errorf("settled register is %q, %v", val, err)
			}
		})
	}
}

// TestUnknownContext ends the context while the store writes.
func TestUnknownContext(t *testing.T) {
	space, w := wired(t)
	ctx, cancel := context.WithCancel(t.Context())
	w.fail(method(http.MethodPut), func(req *http.Request, next http.RoundTripper) (*http.Response, error) {
		resp, err := next.RoundTrip(req.Clone(context.WithoutCancel(ctx)))
		if err != nil {
			return nil, err
		}
		cancel()
		return nil, errors.Join(ctx.Err(), resp.Body.Close())
	})
	_, err := space.Registers().CAS(ctx, "k", registers.Absent, []byte("v"))
	if !errors.Is(err, registers.ErrUnknown) || !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v, want ErrUnknown and context.Canceled", err)
	}
	if val, _, err := space.Registers().Get(t.Context(), "k"); err != nil || string(val) != "v" {
		t.Errorf("register is %q, %v", val, err)
	}
}

// TestCertain are outcomes that are not unknown.
func TestCertain(t *testing.T) {
	space, w := wired(t)
	e := space.Registers()
	version, err := e.CAS(t.Context(), "k", registers.Absent, []byte("v"))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name  string
		want  registers.Version
		fault fault
		err   error
	}{
		{"412", registers.Absent, fine, registers.ErrConflict},
		{"404", version, status(http.StatusNotFound, "NoSuchKey"), registers.ErrConflict},
		{"version of no store", "\"\n", fine, registers.ErrConflict},
		{"403", version, status(http.StatusForbidden, "AccessDenied"), s3.ErrRefused},
		{"no bucket", version, status(http.StatusNotFound, "NoSuchBucket"), s3.ErrNoBucket},
		{"bytes changed on the way", version, flip, s3.ErrAnswer},
	}
	for _, tt := range tests {
		w.fail(method(http.MethodPut), tt.fault)
		_, err := e.CAS(t.Context(), "k", tt.want, []byte("other"))
		if !errors.Is(err, tt.err) || errors.Is(err, registers.ErrUnknown) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.err)
		}
		if n := w.count(method(http.MethodPut)); n > 1 {
			t.Errorf("%s: %d PUTs were sent", tt.name, n)
		}
	}
	if val, now, err := e.Get(t.Context(), "k"); err != nil || string(val) != "v" || now != version {
		t.Errorf("register is %q in version %q, %v", val, now, err)
	}
	if _, err := e.CAS(t.Context(), "none", version, nil); !errors.Is(err, registers.ErrConflict) {
		t.Errorf("write over a version of a register that is not there: %v", err)
	}
}

// TestFalseConflict has a proxy send a write twice: the second finds the first.
func TestFalseConflict(t *testing.T) {
	space, w := wired(t)
	e := space.Registers()
	version := registers.Absent
	for i := range 3 {
		w.fail(method(http.MethodPut), twice)
		val := fmt.Appendf(nil, "value %d", i)
		next, err := e.CAS(t.Context(), "k", version, val)
		if err != nil || w.left() != 0 {
			t.Fatalf("write that was sent twice: %v", err)
		}
		got, now, err := e.Get(t.Context(), "k")
		if err != nil || !bytes.Equal(got, val) || now != next {
			t.Errorf("register is %q in version %q, %v; want version %q", got, now, err, next)
		}
		version = next
	}
}

// TestRegisterReads has reads and lists tried again, and no more than so often.
func TestRegisterReads(t *testing.T) {
	space, w := wired(t)
	e := space.Registers()
	version, err := e.CAS(t.Context(), "k", registers.Absent, []byte("value"))
	if err != nil {
		t.Fatal(err)
	}
	faults := map[string]fault{
		"503": status(http.StatusServiceUnavailable, "SlowDown"), "reset": reset, "lost": lost,
		"cut": cut(10, io.ErrUnexpectedEOF), "short": cut(10, io.EOF), "404 of a proxy": page(http.StatusNotFound, "gone"),
	}
	for name, f := range faults {
		w.fail(method(http.MethodGet), f, f)
		if val, now, err := e.Get(t.Context(), "k"); err != nil || string(val) != "value" || now != version || w.left() != 0 {
			t.Errorf("%s: register is %q, %v", name, val, err)
		}
		w.fail(method(http.MethodGet), f, f)
		entries, err := e.List(t.Context(), "", "", 2)
		if err != nil || !slices.Equal(entries, []registers.Entry{{Key: "k", Version: version}}) || w.left() != 0 {
			t.Errorf("%s: list is %v, %v", name, entries, err)
		}
	}
	for _, name := range []string{"reset", "404 of a proxy"} {
		w.fail(method(http.MethodGet), many(2*s3.Tries, faults[name])...)
		if _, _, err := e.Get(t.Context(), "k"); err == nil || errors.Is(err, registers.ErrNotFound) || w.left() != s3.Tries {
			t.Errorf("%s: %v after %d tries, want %d", name, err, 2*s3.Tries-w.left(), s3.Tries)
		}
		w.fail(method(http.MethodGet), many(2*s3.Tries, faults[name])...)
		if _, err := e.List(t.Context(), "", "", 2); err == nil || w.left() != s3.Tries {
			t.Errorf("%s: list: %v after %d tries, want %d", name, err, 2*s3.Tries-w.left(), s3.Tries)
		}
	}
}

// TestRequests counts what each call costs.
func TestRequests(t *testing.T) {
	space, w := wired(t)
	e, b := space.Registers(), space.Blobs()
	for i := range 5 {
		if _, err := e.CAS(t.Context(), fmt.Sprintf("k/%d", i), registers.Absent, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Put(t.Context(), "b/x", []byte("0123456789")); err != nil {
		t.Fatal(err)
	}
	var version registers.Version
	calls := []struct {
		what string
		call func() error
		want string
	}{
		{"Get", func() (err error) { _, version, err = e.Get(t.Context(), "k/1"); return err }, "GET"},
		{"CAS", func() error { _, err := e.CAS(t.Context(), "k/1", version, nil); return err }, "PUT"},
		{"List", func() error { _, err := e.List(t.Context(), "k/", "", 1000); return err }, "GET"},
		{"List page", func() error { _, err := e.List(t.Context(), "k/", "k/1", 3); return err }, "GET"},
		{"Put", func() error { return b.Put(t.Context(), "b/y", make([]byte, 20<<20)) }, "PUT"},
		{"Open", func() error { _, err := readAll(t.Context(), b, "b/x", 0, -1); return err }, "GET"},
		{"Open range", func() error { _, err := readAll(t.Context(), b, "b/x", 2, 3); return err }, "GET"},
		{"Stat", func() error { _, err := b.Stat(t.Context(), "b/x"); return err }, "HEAD"},
		{"list blobs", func() error {
			for _, err := range b.List(t.Context(), "", "") {
				if err != nil {
					return err
				}
			}
			return nil
		}, "GET GET"}, // up to the registers and from there
		{"Delete", func() error { return b.Delete(t.Context(), []string{"b/x", "b/y", "b/z"}) }, "POST"},
	}
	for _, c := range calls {
		w.fail(every)
		if err := c.call(); err != nil {
			t.Errorf("%s: %v", c.what, err)
		}
		var methods []string
		for _, line := range w.sent() {
			name, _, _ := strings.Cut(line, " ")
			methods = append(methods, name)
		}
		if got := strings.Join(methods, " "); got != c.want {
			t.Errorf("%s sends %s, want %s: %q", c.what, got, c.want, w.sent())
		}
	}
}

func readAll(ctx context.Context, s blobs.Store, name string, off, n int64) (string, error) {
	r, err := s.Open(ctx, name, off, n)
	if err != nil {
		return "", err
	}
	got, err := io.ReadAll(r)
	return string(got), errors.Join(err, r.Close())
}
