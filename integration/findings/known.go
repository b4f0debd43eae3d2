package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/version"
	"io"
	"os"
	"path/filepath"
	"regexp"
)

// goItself is what govulncheck calls the standard library.
const goItself = "stdlib"

// message is one of those that govulncheck prints, as far as it matters here.
type message struct {
	Config  *struct{}
	Finding *struct {
		OSV     string
		Fixed   string `json:"fixed_version"` // empty if it is not mended yet
		Version string
		Trace   []struct{ Module, Version, Function string }
	}
}

// readKnown returns the known mistakes that the code reaches, but for those of Go that
// are mended in what goes. The place of one is the module that it is in.
func readKnown(path, root, goes string) ([]issue, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it is only read
	var all []issue
	seen, began := map[string]bool{}, false
	for in := json.NewDecoder(f); ; {
		var m message
		err := in.Decode(&m)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read what govulncheck printed: %w", err)
		}
		began = began || m.Config != nil
		if m.Finding == nil || len(m.Finding.Trace) == 0 || m.Finding.Trace[0].Function == "" || seen[m.Finding.OSV] {
			continue // of what is there and never called
		}
		at := m.Finding.Trace[0]
		if at.Module == goItself && m.Finding.Fixed != "" && version.Compare("go"+m.Finding.Fixed[1:], goes) <= 0 {
			continue
		}
		seen[m.Finding.OSV] = true
		all = append(all, issue{Rule: m.Finding.OSV, File: filepath.Join(root, at.Module), Line: at.Version, Details: "a known mistake, mended in " + m.Finding.Fixed})
	}
	if !began {
		return nil, errors.New("govulncheck has printed nothing")
	}
	return all, nil
}

var goArg = regexp.MustCompile(`(?m)^ARG GO=([0-9.]+)$`)

// buildsWith returns the Go that images are built with, such as go1.26.10.
func buildsWith(dockerfile string) (string, error) {
	b, err := os.ReadFile(dockerfile)
	if err != nil {
		return "", err
	}
	m := goArg.FindSubmatch(b)
	if m == nil || !version.IsValid("go"+string(m[1])) {
		return "", fmt.Errorf("%s names no Go", dockerfile)
	}
	return "go" + string(m[1]), nil
}
