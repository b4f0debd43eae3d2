//go:build !(cgo && linux)

package inventory

import "testing"

func TestReadNotBuilt(t *testing.T) {
	r, err := Read(t.Context())
	if err != nil || r.State != NotBuilt || r.Message == "" || r.GPUs != nil {
		t.Errorf("%+v, %v", r, err)
	}
}
