//go:build race

package doctor_test

// The race detector makes an examination many times slower: with it a liar has only
// its own property examined, and stores are put to the test less often.
const (
	whole = false
	again = 2
)
