// Package manifest owns the immutable description of one model version: which
// files it has, which chunks make up each file, where tensors lie in them, its
// parent and its annotations.
//
// Laws:
//   - A version has exactly one document. Parse accepts only what Encode would
//     write, byte for byte, so the digest of the bytes names the version.
//   - A document holds names of plain bytes only. Where a chunk is stored and how
//     it is encoded are nobody's business here, so neither can change a name.
//   - A parsed or built Manifest is valid: every chunk is used, every file is
//     covered by its chunks, every tensor lies inside its file, and every path can
//     be created on any file system without touching anything else. Whether the
//     chunks exist, and hold what their names say, is for others to verify.
//   - No count or length read from a document is trusted before it is checked
//     against the bytes that are left.
//
// The bytes are described in docs/formats/manifest.md.
package manifest
