// Package chunkdir owns a directory of immutable files under opaque names: the
// registry's blobs, which must outlive a power cut, and the client's cache of
// chunks, which need not.
//
// Laws:
//   - A name is written once; of concurrent Puts one wins and the others get
//     ErrExists.
//   - A file is there whole or not at all: it is written in the folder .tmp and
//     then given its name, never replacing another.
//   - When Put of a durable Dir returns nil or ErrExists, the file is on the disk:
//     its bytes are synced before it has its name, then the folder, and the
//     folders above that are new.
//   - Nothing outside the directory is read or written, whatever links lie in it.
//     The directory itself may be reached through links.
//   - After a failed fsync of a folder nobody knows which names are on the disk.
//     Every later Put fails; reading goes on.
//
// The system calls of a Put of c/3f0/x into a durable Dir, those in brackets only
// the first time that it meets a folder:
//
//	lstat("c"), lstat("c/3f0")                      are they folders, not links
//	lstat("c/3f0/x")                                is it taken
//	openat(".tmp/RANDOM", O_RDWR|O_CREAT|O_EXCL)    nobody looks there
//	write(part)..., fsync, close                    the bytes are on the disk
//	[mkdirat("c"), mkdirat("c/3f0")]
//	renameat2(".tmp/RANDOM", "c/3f0/x", RENAME_NOREPLACE)
//	[fsync("."), fsync("c")]
//	fsync("c/3f0")                                  and now the name is
//
// Concurrent Puts share an fsync of a folder that begins after their renames.
//
// Folders are made as names need them, and stay: to remove an empty one would be a
// race with the Put that just made it. Nothing is kept in memory of what the
// files are, so several processes may share a Dir.
package chunkdir

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"
)

// Errors of a Dir, wrapped with the name.
var (
	// ErrNotFound reports a name that no file has.
	ErrNotFound = errors.New("file not found")
	// ErrExists reports a Put of a name that is taken. The file is as it was.
	ErrExists = errors.New("file exists")
	// ErrNoSpace reports a full disk or quota. Put has left nothing behind.
	ErrNoSpace = errors.New("no space left on the disk")
	// ErrName reports a name that could lead out of the directory, or that some
	// file system does not hold.
	ErrName = errors.New("invalid file name")
)

// Longest names in bytes.
const (
	MaxName    = 512
	MaxSegment = 255
)

// Info describes a file.
type Info struct {
	Name    string
	Size    int64 // bytes
	ModTime time.Time
}

// checkName returns nil for 1 to MaxName bytes in segments of A-Z a-z 0-9 . _ -
// that are separated by single slashes and do not start with a dot. The blobs of
// the registry have the same rule; it stands here again because this package is
// below it, and must be safe by itself.
func checkName(name string) error {
	if len(name) > MaxName {
		return fmt.Errorf("file %.80q: %d bytes, want at most %d: %w", name, len(name), MaxName, ErrName)
	}
	for segment := range strings.SplitSeq(name, "/") {
		if segment == "" || segment[0] == '.' || len(segment) > MaxSegment || strings.ContainsFunc(segment, odd) {
			return fmt.Errorf("file %.80q: segment %.80q: %w", name, segment, ErrName)
		}
	}
	return nil
}

// odd reports whether a name may not hold r.
func odd(r rune) bool {
	letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
	return !letter && r != '.' && r != '_' && r != '-'
}

// translate adds the sentinel to an error of the operating system that has one.
// A path through a file is as absent as any other.
func translate(err error) error {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("%w: %w", ErrNoSpace, err)
	case errors.Is(err, syscall.ENOENT), errors.Is(err, syscall.ENOTDIR):
		return fmt.Errorf("%w: %w", ErrNotFound, err)
	default:
		return err
	}
}
