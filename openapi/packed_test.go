package openapi_test

import (
	"testing"

	"github.com/ingot-ml/ingot/openapi"
)

func TestAcceptsGzip(t *testing.T) {
	for header, want := range map[string]bool{
		"": false, "gzip": true, "br, gzip": true, "GZIP": true, "deflate, gzip;q=0.5, *;q=0": true,
		"gzip;q=0": false, "gzip; q=0.0": false, "gzip;q=x": false, "identity": false, "notgzip": false,
	} {
		if got := openapi.AcceptsGzip(header); got != want {
			t.Errorf("%q: %v", header, got)
		}
	}
}
