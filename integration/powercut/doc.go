// Package powercut owns the tests of a registry whose disk fails it: the power goes
// while clients push, the disk is full, or says that it could not write.
//
// It has no API: all of it is tests. The disk is a file with a file system of its own
// in it, XFS or ext4, mounted through a loop device. Its power is cut by an ioctl that
// file systems have for this very purpose, FS_IOC_SHUTDOWN: nothing that was not
// synced reaches the file any more, not even the log. Then the file system is mounted
// again, as a machine would after the cut, and "ingot serve" is held to what it has
// acknowledged: clients kept a ledger outside.
//
// "make powercut" runs many rounds, and plants mistakes into the program that must
// lose something.
package powercut
