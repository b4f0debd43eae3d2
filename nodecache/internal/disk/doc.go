// Package disk owns the folder of a node: the chunks of its disk tier, the
// manifests of the versions that it keeps there, and what it has to know after a
// restart.
//
// Laws:
//   - What Read and Manifest return are the bytes that the name stands for, or they
//     fail. Every read of a chunk is checked by its CRC-32C, which finds what a disk
//     does to bytes. After an end that was not in order, a power cut above all, it is
//     checked by its name too when it is first read, for then the file may be
//     anything.
//   - What is damaged is dropped at once, and counted, so that it can be put again.
//   - The chunks, the manifests and the state together never take more blocks of
//     4 KiB than the budget has. The state alone is written even beyond it: it is
//     small, and without it nobody knows what the rest is. Folders and inodes are not
//     counted.
//   - A folder has one Store at a time, and what an ingot has written that this one
//     does not know is refused.
//
// A chunk costs no fsync: it can be fetched again. A manifest and the state are on
// the disk when the call returns.
//
// The names of all chunks are in memory, about 75 bytes for each; Open reads them
// from one listing of the folder.
//
// The files are described in docs/formats/node.md.
package disk
