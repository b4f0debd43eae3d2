package blobs_test

import (
	"testing"

	"github.com/ingot-ml/ingot/registry/internal/blobs"
	"github.com/ingot-ml/ingot/registry/internal/blobs/blobstest"
)

func TestMemory(t *testing.T) {
	blobstest.RunStore(t, func(*testing.T) blobs.Store { return blobs.NewMemory() })
}

func BenchmarkMemory(b *testing.B) {
	blobstest.RunBenchmarks(b, func(*testing.B) blobs.Store { return blobs.NewMemory() })
}
