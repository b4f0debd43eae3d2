// Package xet owns the formats in which clients of the Hugging Face Hub send large
// files: xorbs, which are chunks in a row, shards, which say of which chunks files
// are made, and the hashes that name them; and the form in which files are shown to
// such clients as if they were stored that way.
//
// Laws:
//   - What is read comes from outside: every length is checked before it is used, and
//     memory does not depend on what a sender claims.
//   - The name of a xorb is computed from the bytes of its chunks. So who knows a
//     name cannot put other bytes under it.
package xet
