// Package known owns the memory of which local files hold which version: where a push has
// read them, and where a pull has put them.
//
// Laws:
//   - An entry is a hint. One that is lost, damaged or stale costs bytes and never a
//     transfer, so its errors are nobody's.
//   - A file counts while its size, time and inode are those that were noted. What it holds
//     is for the reader to verify.
//   - There is one entry for each folder or file that was moved, and a few hundred in all:
//     the oldest go.
package known
