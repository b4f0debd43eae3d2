package storetest_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/integration/storetest"
)

// TestServers starts each server, writes, kills it, and reads from its successor.
func TestServers(t *testing.T) {
	for name, start := range map[string]func(testing.TB) *storetest.Store{"minio": storetest.MinIO, "versitygw": storetest.Versity} {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			bucket := s.Bucket(t)
			s.Want(t, http.StatusOK, http.MethodPut, bucket+"/a/b c", "", []byte("bytes"))
			before := s.Pid()
			s.Kill(t)
			s.Restart(t)
			if s.Pid() == before {
				t.Error("the same process runs")
			}
			if got := s.Want(t, http.StatusOK, http.MethodGet, bucket+"/a/b c", "", nil); string(got) != "bytes" {
				t.Errorf("the object is %q", got)
			}
			list := s.Want(t, http.StatusOK, http.MethodGet, bucket, "list-type=2&prefix=a/", nil)
			if !strings.Contains(string(list), "<Key>a/b c</Key>") {
				t.Errorf("the list is %s", list)
			}
			other := *s
			other.SecretKey = "wrong"
			if status, answer := other.Do(t, http.MethodGet, bucket, "", nil); status != http.StatusForbidden {
				t.Errorf("with a wrong key: status %d, %s", status, answer)
			}
		})
	}
}
