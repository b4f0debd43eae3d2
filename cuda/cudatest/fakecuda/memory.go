package fakecuda

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
)

// ErrFull says that a device has less free memory than was asked for.
var ErrFull = errors.New("device memory is taken")

// Used returns how much of a device's memory is taken: what any process holds by a
// handle, a mapping or a descriptor, and what is on its way in a socket. What a dead
// process held is gone.
func (s *State) Used(device int) (int64, error) {
	var used int64
	var failed error
	err := s.locked(func(l *layout) {
		failed = prune(l)
		used = l.used(device)
	})
	return used, errors.Join(err, failed)
}

func (l *layout) used(device int) int64 {
	var sum uint64
	for _, a := range l.allocations {
		if a.inode != 0 && a.device == uint64(device) {
			sum += a.size
		}
	}
	return int64(sum)
}

// prune drops what nobody holds any more, as ledger.c does: the lock of each piece
// is in /proc/locks while something holds it. A long list is not read at one moment,
// so only what three readings miss is gone.
func prune(l *layout) error {
	missed := map[int]int{}
	for range 3 {
		held, err := lockedFiles(l.filesystem)
		if err != nil {
			return err
		}
		before := len(missed)
		for i, a := range l.allocations {
			if a.inode != 0 && !held[a.inode] {
				missed[i]++
			}
		}
		if before == 0 && len(missed) == 0 {
			return nil
		}
	}
	for i, times := range missed {
		if times == 3 {
			l.allocations[i].inode = 0
		}
	}
	return nil
}

// lockedFiles lists the files of a filesystem, by inode, that a lock is on which
// belongs to an open file.
func lockedFiles(filesystem uint64) (map[uint64]bool, error) {
	f, err := os.Open("/proc/locks")
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	return parseLocks(f, filesystem)
}

func parseLocks(r io.Reader, filesystem uint64) (map[uint64]bool, error) {
	held := map[uint64]bool{}
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		var number, kind, advice, access, file string
		var pid int
		if n, _ := fmt.Sscan(lines.Text(), &number, &kind, &advice, &access, &pid, &file); n < 6 || kind != "OFDLCK" {
			continue
		}
		var major, minor uint32
		var inode uint64
		if n, _ := fmt.Sscanf(file, "%x:%x:%d", &major, &minor, &inode); n == 3 && deviceNumber(major, minor) == filesystem {
			held[inode] = true
		}
	}
	return held, lines.Err()
}

// Occupy takes memory of a device, as another process would that fills the GPU, until
// release is called. It is memory in the books only.
func (s *State) Occupy(device int, size int64) (release func(), err error) {
	file, inode, filesystem, err := occupant(size)
	if err != nil {
		return nil, err
	}
	failed := error(ErrFull)
	err = s.locked(func(l *layout) {
		if err := prune(l); err != nil {
			failed = err
			return
		}
		if l.used(device)+size > int64(l.memory) {
			return
		}
		for i := range l.allocations {
			if a := &l.allocations[i]; a.inode == 0 {
				l.filesystem = filesystem
				*a = allocation{inode: inode, size: uint64(size), device: uint64(device)}
				failed = nil
				return
			}
		}
	})
	if err = errors.Join(err, failed); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return func() { _ = file.Close() }, nil // the memory goes with it
}
