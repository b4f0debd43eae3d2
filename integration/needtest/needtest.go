// Package needtest owns what becomes of a test that lacks something: it is skipped,
// and says what it needs, or fails where that may not be missing.
package needtest

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// Skip skips a test for want of what, or fails it if INGOT_TEST_REQUIRE, a list
// with commas, names that.
func Skip(t testing.TB, what string, why any) {
	t.Helper()
	if slices.Contains(strings.Split(os.Getenv("INGOT_TEST_REQUIRE"), ","), what) {
		t.Fatalf("needs %s, which INGOT_TEST_REQUIRE names: %v", what, why)
	}
	t.Skipf("needs %s: %v", what, why)
}
