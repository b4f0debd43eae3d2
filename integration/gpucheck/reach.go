package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// freeAddress returns a loopback address where nothing listens.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	return l.Addr().String(), l.Close()
}

// healthy tells whether a registry answers.
func healthy(ctx context.Context, address string) error {
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, address+"/healthz", nil)
	if err != nil {
		return err
	}
	r, err := http.DefaultClient.Do(q)
	if err != nil {
		return err
	}
	_ = r.Body.Close() // of no interest
	if r.StatusCode != http.StatusOK {
		return fmt.Errorf("the registry says %s", r.Status)
	}
	return nil
}

// childrenOf returns the processes that a process has started and that have this word
// among their arguments.
func childrenOf(pid int, word string) (found []int) {
	names, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is sound
	for _, name := range names {
		stat, err := os.ReadFile(name)
		if err != nil {
			continue // it has ended
		}
		fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		dir := filepath.Dir(name)
		args, err := os.ReadFile(filepath.Join(dir, "cmdline"))
		child, _ := strconv.Atoi(filepath.Base(dir)) // the pattern has digits only
		if err == nil && len(fields) > 1 && fields[1] == strconv.Itoa(pid) && contains(args, word) {
			found = append(found, child)
		}
	}
	return found
}

func contains(args []byte, word string) bool {
	for arg := range strings.SplitSeq(string(args), "\x00") {
		if arg == word {
			return true
		}
	}
	return false
}
