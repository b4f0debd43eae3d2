// Package s3 owns a registry's place in an S3-compatible store: registers as objects
// that are written conditionally, blobs as objects of their names, and the marker
// that says whose place it is. See "On S3" in docs/formats/registry.md.
//
// Laws, beside those of packages registers and blobs:
//   - A conditional write is one request. Nothing between here and the network sends
//     it twice; a write whose answer is lost is unknown, never failed.
//   - What a store says is checked: lengths, ranges, order, what a list holds. Its
//     answers cannot make us use more memory than bounds in this package say.
//   - Bytes that do not come are an error, never an end.
//   - A 404 counts only if the store itself says it.
//   - Errors of an operator's making come as one sentence that says what to do.
//
// The store must give conditional writes that are atomic (package doctor finds out),
// lists that hold every object whose write was acknowledged, and ranges.
package s3
