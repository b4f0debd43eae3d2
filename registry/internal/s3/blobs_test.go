package s3_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/integration/storetest"
	"github.com/ingot-ml/ingot/registry/internal/blobs"
	"github.com/ingot-ml/ingot/registry/internal/s3"
)

var slowDown = status(http.StatusServiceUnavailable, "SlowDown")

// TestPutFaults has the PUT of a blob go wrong. puts is how often it is sent.
func TestPutFaults(t *testing.T) {
	const mine, other = "the blob's bytes", "other bytes, ok?"
	tests := []struct {
		name   string
		there  string // before; "" for nothing
		faults []fault
		err    error
		puts   int
		holds  string
	}{
		{"503 and then fine", "", many(s3.Tries-1, slowDown), nil, s3.Tries, mine},
		{"503", "", many(s3.Tries, slowDown), s3.ErrUnreachable, s3.Tries, ""},
		{"answer lost", "", []fault{lost}, nil, 1, mine},
		{"reset", "", []fault{reset, reset}, nil, 3, mine},
		{"409", "", []fault{status(http.StatusConflict, "ConditionalRequestConflict")}, nil, 2, mine},
		{"changed on the way", "", []fault{flip}, nil, 2, mine},
		{"sent twice", "", []fault{twice}, blobs.ErrExists, 1, mine},
		{"answer lost, then sent again", "", []fault{status(http.StatusInternalServerError, "InternalError"), lost}, nil, 2, mine},
		{"taken, 500 at first", other, []fault{status(http.StatusInternalServerError, "InternalError")}, blobs.ErrExists, 2, other},
		{"500 although it happened", "", []fault{but(http.StatusInternalServerError)}, nil, 2, mine},
		{"taken", other, nil, blobs.ErrExists, 1, other},
		{"taken by equal bytes", mine, nil, blobs.ErrExists, 1, mine},
		{"taken, answer lost", other, []fault{lost}, blobs.ErrExists, 1, other},
		{"taken, reset", other[:3], []fault{reset}, blobs.ErrExists, 1, other[:3]},
		{"full", "", []fault{status(http.StatusInsufficientStorage, "XMinioStorageFull")}, blobs.ErrNoSpace, 1, ""},
		{"over quota", "", []fault{status(http.StatusForbidden, "QuotaExceeded")}, blobs.ErrNoSpace, 1, ""},
		{"denied", "", []fault{status(http.StatusForbidden, "AccessDenied")}, s3.ErrRefused, 1, ""},
		{"proxy's 404", "", []fault{page(http.StatusNotFound, "<html>")}, nil, 2, mine},
	}
	space, w := wired(t)
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			name := fmt.Sprintf("c/%d", i)
			if tt.there != "" {
				if err := space.Blobs().Put(t.Context(), name, []byte(tt.there)); err != nil {
					t.Fatal(err)
				}
			}
			w.fail(method(http.MethodPut), tt.faults...)
			err := space.Blobs().Put(t.Context(), name, []byte(mine[:4]), []byte(mine[4:]))
			if !errors.Is(err, tt.err) || err != nil && strings.Contains(err.Error(), "\n") {
				t.Errorf("Put: %v, want %v", err, tt.err)
			}
			if n := w.count(method(http.MethodPut)); n != tt.puts || w.left() != 0 {
				t.Errorf("%d PUTs were sent, want %d; %d faults are left", n, tt.puts, w.left())
			}
			got, err := readAll(t.Context(), space.Blobs(), name, 0, -1)
			if got != tt.holds || tt.holds != "" && err != nil || tt.holds == "" && !errors.Is(err, blobs.ErrNotFound) {
				t.Errorf("the blob is %q, %v; want %q", got, err, tt.holds)
			}
		})
	}
}

// TestPutContext takes the bytes back while the transport still sends them.
func TestPutContext(t *testing.T) {
	space, w := wired(t)
	body := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	ctx, cancel := context.WithCancel(t.Context())
	sending, done := make(chan struct{}), make(chan struct{})
	w.fail(method(http.MethodPut), func(req *http.Request, _ http.RoundTripper) (*http.Response, error) {
		go func() {
			defer close(done)
			var b [1 << 10]byte
			_, _ = req.Body.Read(b[:])
			close(sending)
			for err := error(nil); err == nil; {
				_, err = req.Body.Read(b[:])
			}
		}()
		<-sending
		cancel()
		return nil, ctx.Err()
	})
	if err := space.Blobs().Put(ctx, "c/x", body); !errors.Is(err, context.Canceled) {
		t.Errorf("Put: %v, want context.Canceled", err)
	}
	clear(body) // the race detector tells if anybody reads
	<-done
}

// TestOpenFaults breaks reads in every way: all bytes come, or an error.
func TestOpenFaults(t *testing.T) {
	space, w := wired(t)
	text := strings.Repeat("0123456789", 1000)
	if err := space.Blobs().Put(t.Context(), "c/x", []byte(text)); err != nil {
		t.Fatal(err)
	}
	get := method(http.MethodGet)
	cuts := []fault{cut(100, io.ErrUnexpectedEOF), cut(0, errReset), reset, cut(1000, io.EOF), slowDown}
	for name, part := range map[string][2]int64{"whole": {0, -1}, "range": {500, 5000}, "rest": {500, -1}} {
		off, n := part[0], part[1]
		want := text[off:]
		if n >= 0 {
			want = want[:n]
		}
		w.fail(get, cuts...)
		if got, err := readAll(t.Context(), space.Blobs(), "c/x", off, n); err != nil || got != want || w.left() != 0 {
			t.Errorf("%s: %d bytes, %v; want %d", name, len(got), err, len(want))
		}
		w.fail(get, many(100, cut(10, io.EOF))...)
		got, err := readAll(t.Context(), space.Blobs(), "c/x", off, n)
		if !errors.Is(err, io.ErrUnexpectedEOF) || !strings.HasPrefix(want, got) {
			t.Errorf("%s, cut again and again: %d bytes, %v; want io.ErrUnexpectedEOF", name, len(got), err)
		}
		if left := 100 - w.left(); left != s3.Tries {
			t.Errorf("%s: %d tries, want %d", name, left, s3.Tries)
		}
	}
	w.fail(get, object(text))
	if got, err := readAll(t.Context(), space.Blobs(), "c/x", 500, 10); !errors.Is(err, s3.ErrAnswer) {
		t.Errorf("a store without ranges: %d bytes, %v", len(got), err)
	}
	w.fail(get, many(s3.Tries, page(http.StatusOK, "<html>"))...)
	if got, err := readAll(t.Context(), space.Blobs(), "c/x", 0, -1); err == nil {
		t.Errorf("a proxy's page is read as %q", got)
	}
	w.fail(get, many(s3.Tries, page(http.StatusNotFound, "<html>"))...)
	if _, err := readAll(t.Context(), space.Blobs(), "c/x", 0, -1); err == nil || errors.Is(err, blobs.ErrNotFound) {
		t.Errorf("a proxy's 404: %v", err)
	}
}

// TestOpenContext ends the context in the middle of a body.
func TestOpenContext(t *testing.T) {
	space, w := wired(t)
	if err := space.Blobs().Put(t.Context(), "c/x", make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	w.fail(method(http.MethodGet), cut(1000, errReset))
	r, err := space.Blobs().Open(ctx, "c/x", 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if n, err := io.Copy(io.Discard, r); !errors.Is(err, context.Canceled) {
		t.Errorf("%d bytes, %v; want context.Canceled", n, err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

// TestDelete deletes more than a page in all buckets.
func TestDelete(t *testing.T) {
	store := stores.MinIO(t)
	w := newWire(t)
	space := dial(t, store, s3.Options{Buckets: []string{store.Bucket(t)}, Transport: w})
	var names []string
	for i := range 40 {
		names = append(names, fmt.Sprintf("c/%d", i))
		if err := space.Blobs().Put(t.Context(), names[i]); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 1200 {
		names = append(names, fmt.Sprintf("c/none%d", i))
	}
	w.fail(method(http.MethodPost), slowDown, reset, lost)
	if err := space.Blobs().Delete(t.Context(), names); err != nil {
		t.Fatal(err)
	}
	if n := w.count(method(http.MethodPost)); n != 4+3 {
		t.Errorf("%d requests, want 4 and 3 that failed", n)
	}
	for info, err := range space.Blobs().List(t.Context(), "", "") {
		t.Errorf("%s is left, %v", info.Name, err)
	}
}

// TestDeletePartly has a store delete some of a batch.
func TestDeletePartly(t *testing.T) {
	answer := func(gone []string, failed map[string]string) fault {
		doc := "<DeleteResult>"
		for _, key := range gone {
			doc += "<Deleted><Key>some/prefix/" + key + "</Key></Deleted>"
		}
		for key, code := range failed {
			doc += "<Error><Key>some/prefix/" + key + "</Key><Code>" + code + "</Code><Message>no</Message></Error>"
		}
		return page(http.StatusOK, doc+"</DeleteResult>")
	}
	tests := []struct {
		name   string
		faults []fault
		err    error
		sent   int
	}{
		{"some later", []fault{
			answer([]string{"a"}, map[string]string{"b": "SlowDown", "c": "InternalError"}),
			answer([]string{"b"}, map[string]string{"c": "InternalError"}), answer([]string{"c"}, nil),
		}, nil, 3},
		{"not there", []fault{answer([]string{"a", "b"}, map[string]string{"c": "NoSuchKey"})}, nil, 1},
		{"one denied", []fault{answer([]string{"a", "b"}, map[string]string{"c": "AccessDenied"})}, s3.ErrRefused, 1},
		{"unmentioned", []fault{answer([]string{"a"}, nil), answer([]string{"b", "c"}, nil)}, nil, 2},
		{"hidden by minio-go", many(s3.Tries, answer([]string{"a", "b"}, map[string]string{"c": "InvalidArgument"})), s3.ErrAnswer, s3.Tries},
		{"others", many(s3.Tries, answer([]string{"x", "y", "z"}, nil)), s3.ErrAnswer, s3.Tries},
	}
	space, w := wired(t)
	for _, tt := range tests {
		w.fail(method(http.MethodPost), tt.faults...)
		err := space.Blobs().Delete(t.Context(), []string{"a", "b", "c"})
		if !errors.Is(err, tt.err) || (err == nil) != (tt.err == nil) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.err)
		}
		if n := w.count(method(http.MethodPost)); n != tt.sent || w.left() != 0 {
			t.Errorf("%s: %d requests, want %d", tt.name, n, tt.sent)
		}
	}
}

// listing is a page of a list as a store sends it.
func listing(next string, keys ...string) fault {
	doc := "<ListBucketResult>"
	for _, key := range keys {
		doc += "<Contents><Key>" + url.QueryEscape(key) + "</Key><Size>1</Size><LastModified>2026-01-02T03:04:05Z</LastModified></Contents>"
	}
	if next != "" {
		doc += "<IsTruncated>true</IsTruncated><NextContinuationToken>" + next + "</NextContinuationToken>"
	}
	return page(http.StatusOK, doc+"<EncodingType>url</EncodingType></ListBucketResult>")
}

// TestListFaults lists over a store that fails or lies.
func TestListFaults(t *testing.T) {
	const p = "some/prefix/"
	tests := []struct {
		name   string
		faults []fault
		want   string
		err    error
	}{
		{"pages", []fault{listing("1", p+"a", p+"b"), listing("", p+"c")}, "a b c", nil},
		{"fails between pages", []fault{listing("1", p+"a", p+"b"), slowDown, reset, listing("", p+"c")}, "a b c", nil},
		{"begins anew", []fault{listing("1", p+"a", p+"b"), slowDown, listing("", p+"a", p+"b", p+"c")}, "a b c", nil},
		{"keys that are no names", []fault{listing("", p+".a", p+"a//b", p+"b", p+"b c", p+"c/", p+"d\n", p+"é")}, "b", nil},
		{"our own", []fault{listing("", p+"a", p+"ingot.json", p+"n")}, "a n", nil},
		{"out of order", []fault{listing("", p+"b", p+"a")}, "b", s3.ErrAnswer},
		{"twice", []fault{listing("", p+"b", p+"b")}, "b", s3.ErrAnswer},
		{"of another prefix", []fault{listing("", p+"a", "some/prefiy/b")}, "a", s3.ErrAnswer},
		{"no end", []fault{page(http.StatusOK, "<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>")}, "", s3.ErrAnswer},
		{"too long", []fault{page(http.StatusOK, "<ListBucketResult>"+strings.Repeat(" ", 5<<20))}, "", s3.ErrAnswer},
	}
	space, w := wired(t)
	for _, tt := range tests {
		w.fail(method(http.MethodGet), tt.faults...)
		var names []string
		var failed error
		for info, err := range space.Blobs().List(t.Context(), "", "") {
			if err != nil {
				failed = err
				continue
			}
			names = append(names, info.Name)
		}
		if got := strings.Join(names, " "); got != tt.want || !errors.Is(failed, tt.err) || (failed == nil) != (tt.err == nil) {
			t.Errorf("%s: %q, %v; want %q, %v", tt.name, got, failed, tt.want, tt.err)
		}
	}
}

// TestListEndsSilently has the context end where minio-go just stops.
func TestListEndsSilently(t *testing.T) {
	space, w := wired(t)
	ctx, cancel := context.WithCancel(t.Context())
	w.fail(method(http.MethodGet), func(req *http.Request, next http.RoundTripper) (*http.Response, error) {
		defer cancel()
		return listing("1", "some/prefix/a")(req, next)
	})
	var errs []error
	for _, err := range space.Blobs().List(ctx, "", "") {
		errs = append(errs, err)
	}
	if len(errs) != 1 || !errors.Is(errs[0], context.Canceled) {
		t.Errorf("the list yields %v, want context.Canceled", errs)
	}
	cancelled, stop := context.WithCancel(t.Context())
	stop()
	if entries, err := space.Registers().List(cancelled, "", "", 10); !errors.Is(err, context.Canceled) {
		t.Errorf("registers: %v, %v", entries, err)
	}
}

// TestPresign reads a blob as one who has nothing but its URL.
func TestPresign(t *testing.T) {
	for name, get := range map[string]func(testing.TB) *storetest.Store{"minio": stores.MinIO, "versitygw": stores.Versity} {
		t.Run(name, func(t *testing.T) {
			store := get(t)
			space := dial(t, store, s3.Options{Buckets: []string{store.Bucket(t)}})
			var names []string
			for i := range 6 { // in either bucket
				names = append(names, fmt.Sprintf("c/3f0/%d", i))
				if err := space.Blobs().Put(t.Context(), names[i], []byte(names[i])); err != nil {
					t.Fatal(err)
				}
			}
			for _, name := range names {
				at, err := space.Blobs().PresignGet(t.Context(), name, time.Minute)
				if err != nil {
					t.Fatal(err)
				}
				if code, body := fetch(t, at); code != http.StatusOK || body != name {
					t.Errorf("%s: status %d, %q", name, code, body)
				}
				if code, _ := fetch(t, strings.Replace(at, "3f0", "3f1", 1)); code != http.StatusForbidden {
					t.Errorf("a URL for another blob: status %d", code)
				}
				if code, _ := fetch(t, strings.Replace(at, "X-Amz-Expires=60", "X-Amz-Expires=600", 1)); code != http.StatusForbidden {
					t.Errorf("a longer life: status %d", code)
				}
			}
			if at, err := space.Blobs().PresignGet(t.Context(), "c/none", time.Minute); !errors.Is(err, blobs.ErrNotFound) {
				t.Errorf("of no blob: %q, %v", at, err)
			}
		})
	}
}

func fetch(t *testing.T, at string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, at, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// TestReservedNames keeps blobs from our own objects.
func TestReservedNames(t *testing.T) {
	space, _ := wired(t)
	for _, name := range []string{"ingot.json", "meta/t/x", "doctor/x"} {
		_, openErr := readAll(t.Context(), space.Blobs(), name, 0, -1)
		_, statErr := space.Blobs().Stat(t.Context(), name)
		putErr, deleteErr := space.Blobs().Put(t.Context(), name), space.Blobs().Delete(t.Context(), []string{"c/x", name})
		for _, err := range []error{openErr, statErr, putErr, deleteErr} {
			if !errors.Is(err, blobs.ErrName) {
				t.Errorf("%s: %v, want ErrName", name, err)
			}
		}
	}
	var names []string
	for _, name := range []string{"doctor.x", "doctor0", "meta-x", "meta0", "metb", "z"} {
		if err := space.Blobs().Put(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := space.Registers().CAS(t.Context(), "t/x", "", nil); err != nil {
		t.Fatal(err)
	}
	for info, err := range space.Blobs().List(t.Context(), "", "") {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, info.Name)
	}
	if want := []string{"doctor.x", "doctor0", "meta-x", "meta0", "metb", "z"}; !slices.Equal(names, want) {
		t.Errorf("the list is %q, want %q", names, want)
	}
}
