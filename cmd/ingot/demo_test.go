package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/client"
)

func TestDemoModels(t *testing.T) {
	models, err := demoModels(demoFlags{
		base:     "weights/minilm/",
		variants: []string{"weights/minilm-layer", "elsewhere/minilm_head", "other", "again/other", "weights/minilm", "a b", "base"},
	})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, m := range models {
		names = append(names, m.Name)
	}
	if got, want := strings.Join(names, " "), "base layer head other variant-4 variant-5 variant-6 variant-7"; got != want {
		t.Errorf("the models are called %s, want %s", got, want)
	}
}

func TestDemoFindsEveryDifference(t *testing.T) {
	m := &demoModel{sums: map[string]string{"a": "1", "b": "2"}}
	for _, tc := range []struct {
		pulled map[string]string
		ok     bool
	}{
		{map[string]string{"a": "1", "b": "2"}, true},
		{map[string]string{"a": "1", "b": "3"}, false},
		{map[string]string{"a": "1"}, false},
		{map[string]string{"a": "1", "b": "2", "c": "3"}, false},
		{map[string]string{"a": "1", "c": "2"}, false},
	} {
		if _, err := m.compare(tc.pulled); (err == nil) != tc.ok || err != nil && !errors.Is(err, client.ErrCorrupt) {
			t.Errorf("compare(%v) = %v", tc.pulled, err)
		}
	}
}

// hangup ends a context at the first row of results.
type hangup struct {
	bytes.Buffer
	cancel func()
}

func (h *hangup) Write(p []byte) (int, error) {
	if bytes.HasPrefix(p, []byte("base")) {
		h.cancel()
	}
	return h.Buffer.Write(p)
}

func TestInterruptedDemoCleansUp(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stdout, stderr := &hangup{cancel: cancel}, &bytes.Buffer{}
	code := run(ctx, []string{"demo", "--size", "2MiB"}, os.Environ(), stdout, stderr)
	if code != exitInterrupted || strings.Count(stderr.String(), "\n") != 1 {
		t.Errorf("ended with %d, %q", code, stderr)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
}

func TestProgress(t *testing.T) {
	var stderr bytes.Buffer
	p := &program{stderr: &stderr}
	err := p.watch("pushing", func(progress client.Progress) error {
		if progress != nil {
			t.Error("there is a bar where nobody sees it")
		}
		return client.ErrInput
	})
	if !errors.Is(err, client.ErrInput) || stderr.Len() > 0 {
		t.Errorf("watch: %v, and wrote %q", err, &stderr)
	}

	b := &bar{stop: make(chan struct{}), stopped: make(chan struct{})}
	go b.draw(&stderr, "pushing")
	b.Total(10)
	b.Add(4)
	b.close()
	if got := stderr.String(); !strings.HasPrefix(got, "pushing") || !strings.HasSuffix(got, "\r\x1b[K") {
		t.Errorf("the bar drew %q, want the title first and a clear line last", got)
	}
}
