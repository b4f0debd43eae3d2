// Package source owns what is pushed: the files of a folder, in the order of
// their paths, and the certainty that they stayed the same while they were read.
//
// Laws:
//   - Nothing outside the folder is read through a link unless asked for.
//   - What cannot be pushed is ErrInput and named, before or while it is read.
//     Nothing is left out in silence but the folder that ingot keeps for itself.
package source
