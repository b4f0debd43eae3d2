package integration_test

import (
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/integration/storetest"
	"github.com/ingot-ml/ingot/openapi"
)

// oneChunk finds the requests for one chunk in a log: the status, and the bytes that
// the registry sent.
var oneChunk = regexp.MustCompile(`method=GET path=\S+/chunks/[0-9]+ status=([0-9]+) \S+ sent=([0-9]+) `)

// TestPresign pulls through a replica that sends its clients to the store: whole
// objects come from there and not through the registry, and the addresses, which are
// as good as passwords, are in no log.
func TestPresign(t *testing.T) {
	minio := storetest.MinIO(t)
	c := &cluster{t: t, minio: minio, bucket: minio.Bucket(t)}
	r := c.add("--presign", "1m", "--log-level", "debug")
	r.start()
	base, _ := interruptModels(t)
	r.push(base, "near/model:base")
	got, _ := r.pull("near/model:base", base)
	r.kill()
	log, sent := r.log.String(), 0
	for _, line := range oneChunk.FindAllStringSubmatch(log, -1) {
		switch n, err := strconv.Atoi(line[2]); {
		case line[1] == "307":
			sent++
		case err != nil || n >= openapi.SmallChunk:
			t.Errorf("the registry sent a chunk itself: %s", line[0])
		}
	}
	if sent == 0 || got.BytesReceived == 0 {
		t.Errorf("the store was asked for %d chunks, for %d bytes", sent, got.BytesReceived)
	}
	for _, secret := range []string{"X-Amz", "Signature", minio.AccessKey} {
		if strings.Contains(log, secret) {
			t.Errorf("the log has %q in it", secret)
		}
	}
}
