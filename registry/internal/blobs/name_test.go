package blobs_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/registry/internal/blobs"
)

func TestCheckName(t *testing.T) {
	for _, name := range []string{
		"a", "c/3f0/3f01.push.0", "b/meta-llama/Llama_3.1/x", "a..b", "-", "_", "a/-/b.",
		strings.Repeat("n", blobs.MaxSegment),
		strings.Repeat("n/", blobs.MaxName/2-1) + "ab",
	} {
		if err := blobs.CheckName(name); err != nil {
			t.Errorf("%.40q refused: %v", name, err)
		}
	}
	for _, name := range []string{
		"", "/", "/a", "a/", "a//b", ".", "..", "a/..", "../a", "a/./b", ".tmp", "a/.b", "a/...",
		"a b", "a\\b", "a\x00", "a\n", "é", "a:b", "a%2f", "~", "a*",
		strings.Repeat("n", blobs.MaxSegment+1),
		strings.Repeat("n/", blobs.MaxName/2) + "a",
	} {
		err := blobs.CheckName(name)
		if !errors.Is(err, blobs.ErrName) || strings.ContainsAny(err.Error(), "\n\x00") {
			t.Errorf("%.40q: %v, want one line that is ErrName", name, err)
		}
	}
}

func TestSpan(t *testing.T) {
	const most = 1<<63 - 1
	tests := []struct {
		size, off, n int64
		want         int64 // -1 for a range that leaves the blob
	}{
		{10, 0, -1, 10}, {10, 0, 10, 10}, {10, 3, 4, 4}, {10, 3, -1, 7}, {10, 10, 0, 0}, {10, 10, -1, 0}, {0, 0, -1, 0},
		{10, 0, 11, -1}, {10, 9, 2, -1}, {10, 11, 0, -1}, {10, 11, -1, -1}, {10, -1, 1, -1}, {10, -1, -1, -1},
		{10, 5, most, -1}, {10, most, most, -1}, {10, most, -1, -1}, {10, -most, -1, -1},
	}
	for _, tt := range tests {
		got, err := blobs.Span(tt.size, tt.off, tt.n)
		if tt.want < 0 && !errors.Is(err, io.ErrUnexpectedEOF) || tt.want >= 0 && (err != nil || got != tt.want) {
			t.Errorf("Span(%d, %d, %d) = %d, %v; want %d", tt.size, tt.off, tt.n, got, err, tt.want)
		}
	}
}
