//go:build !race

package doctor_test

const (
	whole = true
	again = 5
)
