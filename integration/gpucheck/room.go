package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// What a model of a given size takes, in sizes of it: the base, what its variants
// have of their own, and a small model beside.
const (
	onDisk   = 3.5 // the files, the registry's chunks, the agent's
	inMemory = 1.6 // the agent's tier, and what is filled up
	onGPU    = 2.3 // the base and a variant without a slab in common
)

// Some room that is nobody's business.
const (
	spareMemory = 2 << 30
	spareGPU    = 2 << 30
)

// The sizes of a model.
const (
	realSize  = 16 << 30
	fakeSize  = 96 << 20
	leastSize = 64 << 20
)

// makeRoom chooses the size of the model and the folder.
func (b *bench) makeRoom() error {
	want := b.o.size
	switch {
	case want == 0 && b.report.Fake:
		want = fakeSize
	case want == 0:
		want = realSize
	}
	n, spare := want, int64(spareMemory)
	if b.report.Fake {
		spare = 0
	}
	limit := func(what string, free, taken int64, sizes float64) {
		if most := max(int64(float64(free-taken)/sizes), 0); most < n {
			b.note("%s of %s free: the model has %s instead of %s", size(free), what, size(most), size(want))
			n = most
		}
	}
	gpuSpare := int64(spareGPU)
	if b.report.Fake {
		gpuSpare = 0
	}
	limit("GPU memory", b.report.GPU.Free, gpuSpare, onGPU)
	parent, inRAM, err := b.folder(n)
	if err != nil {
		return err
	}
	memory := inMemory
	if inRAM {
		memory += onDisk
	}
	limit("memory", b.report.Machine.Free, spare, memory)
	if free, err := room(parent); err == nil {
		limit(parent, free, 0, onDisk)
	}
	b.report.Model = n
	if n < leastSize {
		return fmt.Errorf("there is room for a model of %s only, and the least is %s", size(n), size(leastSize))
	}
	b.dir, err = os.MkdirTemp(parent, "ingot-gpu-check-")
	return err
}

// folder returns where the models go: where somebody said, or where there is room.
func (b *bench) folder(n int64) (path string, inRAM bool, err error) {
	if b.o.dir != "" {
		path, err = filepath.Abs(b.o.dir)
		if err != nil {
			return "", false, err
		}
		return path, isMemory(path), os.MkdirAll(path, 0o700)
	}
	most := int64(-1)
	for _, candidate := range []string{os.TempDir(), "/var/tmp", "/dev/shm"} {
		free, err := room(candidate)
		memory := isMemory(candidate)
		if memory {
			free = min(free, b.report.Machine.Free-int64(inMemory*float64(n))-spareMemory)
		}
		if err == nil && free > most {
			path, inRAM, most = candidate, memory, free
		}
		if err == nil && float64(free) >= onDisk*float64(n) {
			return candidate, memory, nil
		}
	}
	return path, inRAM, nil
}

// room returns the bytes that are free in a folder.
func room(path string) (int64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil {
		return 0, fmt.Errorf("ask for the room in %s: %w", path, err)
	}
	return int64(s.Bavail) * s.Bsize, nil
}

// isMemory tells whether what is in a folder takes memory.
func isMemory(path string) bool {
	var s unix.Statfs_t
	return unix.Statfs(path, &s) == nil && s.Type == unix.TMPFS_MAGIC
}

// freeMemory is what can be had without anything being swapped out: of the machine,
// or of the control group, if that allows less.
func freeMemory() int64 {
	free := memory("MemAvailable")
	const group = "/sys/fs/cgroup/memory."
	limit, err := os.ReadFile(group + "max")
	if err != nil {
		return free
	}
	most, err := strconv.ParseInt(strings.TrimSpace(string(limit)), 10, 64)
	used, e := os.ReadFile(group + "current")
	if err != nil || e != nil {
		return free // no limit
	}
	now, err := strconv.ParseInt(strings.TrimSpace(string(used)), 10, 64)
	if err != nil {
		return free
	}
	return min(free, most-now+pageCache(group+"stat"))
}

// pageCache is the memory of a control group that is given back when it is wanted.
func pageCache(file string) (bytes int64) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	for l := range strings.Lines(string(text)) {
		var name string
		var n int64
		if _, err := fmt.Sscan(l, &name, &n); err == nil && (name == "inactive_file" || name == "active_file") {
			bytes += n
		}
	}
	return bytes
}

// memory returns a line of what the system says of its memory, in bytes.
func memory(name string) int64 {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0
	}
	for l := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(l, name+":"); ok {
			kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			if err != nil {
				return 0
			}
			return kib << 10
		}
	}
	return 0
}
