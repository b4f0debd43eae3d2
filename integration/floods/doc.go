// Package floods owns the tests of a registry under callers who mean no good: who open
// connections and say nothing, send a byte at a time, take no answers, guess tokens, or
// ask as fast as they can, while somebody else pulls.
//
// The small ones count, and are part of "make test". TestFloods runs the program itself
// and measures; "make floods" runs it.
package floods
