// Command summary reads the output of "go test -json" on standard input, or from the
// files that it is given, all side by side, and prints what a person wants to see: the
// line of every package, everything a failed test said, why tests were skipped, which
// tests took longest, and at the end one line,
//
//	N passed, N failed, N skipped
//
// in which every test and subtest counts as one. A package that fails without
// a failing test (it does not compile, or exits) counts as one failure. The
// exit status is 1 when anything failed, or when no test ran at all. A stream that ends
// before a package does is a failure too.
//
// With -again COMMAND, up to three tests that failed run again by themselves when all
// others are done, and one that passes then counts as passed; a line names it. What
// did not compile, was cut off or had a data race is not tried again.
package main
