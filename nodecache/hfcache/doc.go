// Package hfcache owns the folder in which clients of the Hugging Face Hub keep
// models, which they read with no server at hand:
//
//	models--NAMESPACE--NAME/blobs/SHA256         the bytes of a file
//	                        refs/NAME            the commit of a branch or tag
//	                        snapshots/COMMIT/…   a link to a blob for each file
//	                        trees/COMMIT.json    the listing, by which they know that it is all
//
// Laws:
//   - A blob is what its name says: its sha256 was compared while it was written, and
//     is compared again before a blob that is there is used.
//   - A ref names a commit only when the snapshot is there and whole, and readers see
//     every blob, listing, snapshot and ref whole or not at all.
//   - What was interrupted goes on from where it was.
//   - Nothing outside the folder is touched, whatever a version or the folder holds.
//   - What others keep in the folder stays, unless it is in the way of a file of the
//     snapshot.
package hfcache
