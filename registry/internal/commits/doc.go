// Package commits owns what a commit on a branch is: a version, a change of its
// files, and the version that comes of both, with the first one as its parent.
//
// Laws:
//   - A commit is made whole or not at all, and a branch moves only from the version
//     that the commit was made on.
//   - The same change on the same version is the same commit, whoever repeats it and
//     whenever: nothing of the moment is in it. So an answer that was lost is given
//     again.
//   - Commits that do not say on what they are made all land, in some order.
//   - A version that names files which are not there says so itself, by the
//     annotation manifest.Incomplete.
package commits
