// Package files owns the versions that a node keeps as files, for engines that open
// paths: which are there, how they come, and that they follow their references.
//
// Laws:
//   - Nothing is written before its room is accounted for, and what leaves the account
//     leaves the folder at once.
//   - A reference of the folder moves when the files of its new version are all there.
//     Those of the old one stay until their room is needed: who has opened some of
//     them goes on.
//   - What others keep in the folder is not touched.
//   - What is known survives the process: see state.
//
// The files themselves are package hfcache's, the account is package node's.
package files
