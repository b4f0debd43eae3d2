package cuda

import (
	"encoding/hex"
	"fmt"
	"strings"
)

// UUID names a GPU, or a MIG slice of one, for good: numbers of devices differ from
// process to process.
type UUID [16]byte

// String returns the form that the tools of the driver use for a whole GPU.
func (u UUID) String() string {
	return fmt.Sprintf("GPU-%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:])
}

// ParseUUID reads a UUID with the prefix GPU- or MIG-, or with none.
func ParseUUID(s string) (UUID, error) {
	bare := strings.TrimPrefix(strings.TrimPrefix(s, "GPU-"), "MIG-")
	var u UUID
	if len(bare) == 36 && bare[8] == '-' && bare[13] == '-' && bare[18] == '-' && bare[23] == '-' {
		digits := bare[:8] + bare[9:13] + bare[14:18] + bare[19:23] + bare[24:]
		if _, err := hex.Decode(u[:], []byte(digits)); err == nil {
			return u, nil
		}
	}
	return UUID{}, fmt.Errorf("%q is not the UUID of a GPU: it looks like GPU-8f0c1b1e-5d2a-4a5c-9d0e-1f2a3b4c5d6e", s)
}
