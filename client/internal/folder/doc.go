// Package folder owns the folder that a pull fills: its lock, the files in the
// making, and how they take the place of old ones.
//
// Laws:
//   - Nothing outside the folder is read or written, whatever links lie in it.
//     Inside it no link is followed either: a link where a folder is needed is an
//     error, one where a file is needed is replaced.
//   - A file is replaced at once, by a rename. Until then its bytes are below
//     .ingot/partial, where an interrupted pull leaves them for the next.
//   - One pull at a time works in a folder, whatever process it is in.
//   - What lies below .ingot may have been left by anybody: it is used only after
//     it was verified, and removed when it is not a plain file with one name.
//
// Paths are those of manifests, which manifest.CheckPath has accepted.
package folder
