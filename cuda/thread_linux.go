//go:build linux

package cuda

import "golang.org/x/sys/unix"

// threadID returns what names the calling OS thread.
func threadID() int { return unix.Gettid() }
