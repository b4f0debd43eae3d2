package openapi_test

import (
	"testing"

	"github.com/ingot-ml/ingot/openapi"
)

// TestAccessLimitsMatchSpec compares numbers that stand in both.
func TestAccessLimitsMatchSpec(t *testing.T) {
	schemas := load(t).Components.Schemas
	if got := *schemas["TokenSpec"].Value.Properties["expires_seconds"].Value.Max; got != openapi.MaxTokenSeconds {
		t.Errorf("expires_seconds: at most %v, MaxTokenSeconds is %d", got, openapi.MaxTokenSeconds)
	}
	if got := *schemas["ProtectionList"].Value.Properties["protections"].Value.MaxItems; got != openapi.MaxProtections {
		t.Errorf("protections: at most %d, MaxProtections is %d", got, openapi.MaxProtections)
	}
}
