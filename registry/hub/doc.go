// Package hub owns the interface of the Hugging Face Hub as its clients use it:
// paths, headers, JSON and error codes. It is a translation of a catalog.Source, and
// of a Writer where something is taken.
//
// Laws:
//   - A path is taken apart as it is escaped: a branch may have slashes in its name.
//   - Every failure has the status and the X-Error-Code that make clients raise their
//     own class of error, and a message that says what to do.
//   - What is not there and what the caller may not know of are answered alike.
//   - Nothing is announced that is not served: no header or field of Xet unless Xet
//     is on.
package hub
