// Package integration owns the tests that look at ingot as a whole: the rules
// of its architecture, and the programs run together on real weights.
//
// It has no API. The folders below it hold what those tests and the Makefile
// run: the Python environment and the real weights (env), the closing lines of
// a test run (summary), and the measurements of the program alone (bench) and
// beside other stores (peers), which share their clocks (measure).
package integration
