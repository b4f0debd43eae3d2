// Command planted shows that the tests of the protocols can fail: it plants one
// mistake after the other in the code that is built, runs the test that is to catch
// it, and wants it to fail.
//
// A mistake is a small replacement in a source file, given to the go command by its
// -overlay flag, so that no file of the repository is touched. One that no longer
// applies, does not compile or is not caught makes the exit status 1.
//
//	go run ./integration/planted            # all of them, a few seconds to a minute each
//	go run ./integration/planted p4 epoch   # those whose names contain a word
package main
