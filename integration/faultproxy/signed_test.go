package faultproxy_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/integration/faultproxy"
	"github.com/ingot-ml/ingot/integration/storetest"
)

// TestSigned sends signed requests to a real store through the proxy, whose address
// is the one that was signed.
func TestSigned(t *testing.T) {
	minio := storetest.MinIO(t)
	bucket := minio.Bucket(t)
	p, err := faultproxy.Listen(faultproxy.Config{
		Target: strings.TrimPrefix(minio.Endpoint, "http://"), Describe: faultproxy.S3(bucket),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}()
	behind := *minio
	behind.Endpoint = p.URL()
	behind.Want(t, http.StatusOK, http.MethodPut, bucket+"/c/a b", "", []byte("one"))
	if got := behind.Want(t, http.StatusOK, http.MethodGet, bucket+"/c/a b", "", nil); string(got) != "one" {
		t.Errorf("the object is %q", got)
	}
	behind.Want(t, http.StatusOK, http.MethodGet, bucket, "list-type=2&prefix=c%2F", nil)
	p.Set(faultproxy.Rule{Fault: faultproxy.SlowDown, PerMille: 1000, Times: 1, Match: faultproxy.Call.Write})
	if status, answer := behind.Do(t, http.MethodPut, bucket+"/c/two", "", []byte("two")); status != http.StatusServiceUnavailable {
		t.Errorf("status %d, %s", status, answer)
	}
	if got := p.Counts().String(); got != "GET c 1, LIST c 1, PUT c 2" {
		t.Errorf("counted %s", got)
	}
	if status, _ := minio.Do(t, http.MethodGet, bucket+"/c/two", "", nil); status != http.StatusNotFound {
		t.Errorf("what the proxy refused has status %d", status)
	}
}
