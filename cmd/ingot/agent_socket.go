package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

const (
	// maxSocketPath is the longest path that a socket can have on every system.
	maxSocketPath = 103
	// sharedFolder is where the sockets of users without a folder of their own are.
	sharedFolder = "/tmp"
)

// socketPath returns where the agent of this user is, if nobody says otherwise.
func (p *program) socketPath() string {
	const below = "agent.sock"
	if dir := p.env("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "ingot", below)
	}
	if os.Getuid() == 0 {
		return filepath.Join("/run", "ingot", below)
	}
	return filepath.Join(sharedFolder, "ingot-"+strconv.Itoa(os.Getuid()), below)
}

// settleSocket makes the path of the agent's own socket whole.
func (p *program) settleSocket(path string) (string, error) {
	abs, err := filepath.Abs(cmp.Or(path, p.socketPath()))
	if err != nil {
		return "", fmt.Errorf("agent: socket %s: %w", path, err)
	}
	if len(abs) > maxSocketPath {
		return "", usagef("agent: socket %s: the path has %d bytes, and a socket at most %d: choose a shorter one with --socket", abs, len(abs), maxSocketPath)
	}
	return abs, nil
}

// listenSocket makes the socket. One that an agent has left behind is replaced; one
// that an agent answers on is not.
func listenSocket(ctx context.Context, path string, mode os.FileMode) (net.Listener, error) {
	if err := socketFolder(filepath.Dir(path)); err != nil {
		return nil, err
	}
	if err := removeStale(ctx, path); err != nil {
		return nil, err
	}
	l, err := new(net.ListenConfig).Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("agent: %w; choose another place with --socket", err)
	}
	if err := os.Chmod(path, mode); err != nil {
		return nil, errors.Join(fmt.Errorf("agent: socket: %w", err), l.Close())
	}
	return l, nil
}

// socketFolder makes the folder of a socket. Below /tmp another user could have
// been first, and whoever owns the folder could pass for the agent: there it has to
// be this user's, which changing its mode shows.
func socketFolder(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("agent: folder of the socket: %w; choose another place with --socket", err)
	}
	if filepath.Dir(dir) != sharedFolder {
		return nil
	}
	info, err := os.Lstat(dir)
	if err == nil && !info.IsDir() {
		err = syscall.ENOTDIR
	}
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		return fmt.Errorf("agent: folder of the socket: %s has to be this user's own: %w; choose another place with --socket", dir, err)
	}
	return nil
}

// removeStale removes a socket that nobody answers on.
func removeStale(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("agent: socket: %w", err)
	}
	if info.Mode().Type() != fs.ModeSocket {
		return usagef("agent: %s is there and no socket: choose another place with --socket", path)
	}
	conn, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err == nil {
		return errors.Join(fmt.Errorf("agent: another agent answers on %s: stop it, or choose another place with --socket and another --data", path), conn.Close())
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("agent: socket: %w; choose another place with --socket", err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("agent: socket: %w", err)
	}
	return nil
}
