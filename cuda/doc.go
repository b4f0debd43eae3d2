// Package cuda owns the way to NVIDIA's driver: it opens libcuda while the program
// runs, without cgo and without headers, and puts Go types before its calls.
//
// Laws:
//   - A machine without a library, without a driver or without a GPU is no fault.
//     Open says which of them it is, and nothing else of the program breaks.
//   - Every call's result is looked at. An error names the call, the code and the
//     code's name, and errors.Is tells the class: what to do depends on that alone.
//   - A context is current on an OS thread, not on a goroutine. What needs one is a
//     method of Bound, which exists only inside of Context.With and only on that
//     thread. A Bound that is used elsewhere, or later, refuses.
//   - It is always the primary context of a device, the one that every library in a
//     process shares. Waiting for it sleeps; it does not spin.
//   - Symbols are looked up by the versioned names of their ABI: the plain name of
//     a function that has changed is its oldest form.
//   - What C writes to never lies on a goroutine's stack, which may move meanwhile.
//
// Sizes and addresses are bytes. Memory that a copy reads or writes must stay until
// the stream is synchronized, and the caller sees to that: the driver reads memory
// that is registered after the call has returned.
//
// cuMemcpyBatchAsync_v2 is left out. It gains where copies are small; here they are
// coalesced to megabytes, for which it is neutral, it does not work on every driver
// that all else works on, and a call costs a fraction of a microsecond.
package cuda
