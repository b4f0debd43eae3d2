package checkpoints

import (
	"bytes"
	"testing"
)

// FuzzSafetensorsEnd reads headers that others have written.
func FuzzSafetensorsEnd(f *testing.F) {
	f.Add([]byte("\x02\x00\x00\x00\x00\x00\x00\x00{}"))
	f.Add([]byte("\xff\xff\xff\xff\xff\xff\xff\xff{}"))
	f.Add([]byte("\x29\x00\x00\x00\x00\x00\x00\x00" + `{"w":{"data_offsets":[0,9223372036854775]}}`))
	f.Add([]byte("\x25\x00\x00\x00\x00\x00\x00\x00" + `{"w":{"data_offsets":[0,4]},"x":null}` + "abcd"))
	f.Fuzz(func(t *testing.T, b []byte) {
		end, err := safetensorsEnd(bytes.NewReader(b), int64(len(b)))
		if err == nil && end < 8 {
			t.Errorf("a file ends at %d", end)
		}
	})
}
