// Package hub owns the tests with clients that others have written: those of the
// Hugging Face Hub, of OCI registries, and the calls of engines that cannot be run
// here, replayed from their contracts.
//
// It has no API: all of it is tests. They run the program as people have it, and what
// they show is docs/compatibility.md, which is written from a run of them.
package hub
