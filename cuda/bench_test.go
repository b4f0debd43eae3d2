//go:build linux && (amd64 || arm64)

package cuda_test

import (
	"testing"

	"github.com/ingot-ml/ingot/cuda"
)

// BenchmarkFakeCall is what a call costs that needs no context.
func BenchmarkFakeCall(b *testing.B) {
	fakeOf(b, 1)
	v := open(b).Devices()[0]
	b.ReportAllocs()
	for b.Loop() {
		_, _ = v.Attribute(cuda.FileHandles)
	}
}

// BenchmarkFakeBoundCall is what a call costs inside of With.
func BenchmarkFakeBoundCall(b *testing.B) {
	_, c, _ := oneDevice(b)
	b.ReportAllocs()
	within(b, c, func(bound *cuda.Bound) error {
		for b.Loop() {
			_ = bound.Synchronize(0)
		}
		return nil
	})
}

// BenchmarkFakeWith is what it costs to bind a context and let go of it.
func BenchmarkFakeWith(b *testing.B) {
	_, c, _ := oneDevice(b)
	b.ReportAllocs()
	for b.Loop() {
		_ = c.With(func(*cuda.Bound) error { return nil })
	}
}
